//! The published chain: TLogs that the persisted map does not reflect yet are fetched and applied in order.

use alloc::string::{String, ToString};
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::{ChainHead, ObjectName};
use formats::tlog::TlogObject;
use glossary::TlogId;

use super::TakeOver;
use crate::context::{Context, VolumeAsk};
use crate::serving::run_of;

impl TakeOver {
    pub(super) fn replay_chain(&mut self, context: &mut Context<'_>) {
        let reflected = self.cork.map(|cork| cork.tlog);
        let newer = |tlog: TlogId| reflected.is_none_or(|cork| tlog > cork);
        let tlogs = self.objects.iter().rev().filter_map(|(name, size)| match name {
            ObjectName::Tlog(tlog) if newer(*tlog) => Some((*tlog, *size)),
            _ => None,
        });
        self.chain = tlogs.collect();
        self.fetch_next(context);
    }

    fn fetch_next(&mut self, context: &mut Context<'_>) {
        match self.chain.last() {
            Some((tlog, size)) => {
                let body = ObjectBody::Get { name: ObjectName::Tlog(*tlog), offset: 0, length: *size };
                context.object(self.id, VolumeAsk::ChainTlog(*tlog), self.record().namespace, body);
            }
            None if self.cork == self.head => {
                self.clients = self.published_clients.iter().copied().collect();
                self.recover_local(context);
            }
            None => self.halt("the chain of TLogs on the ASDs does not end where the namespace says".into()),
        }
    }

    /// The backend answered with a TLog of the chain.
    pub(crate) fn chain_fetched(&mut self, tlog: TlogId, answer: &ObjectAnswer, context: &mut Context<'_>) {
        if self.outcome.is_some() || self.chain.last().is_none_or(|(next, _)| *next != tlog) {
            return;
        }
        match answer {
            ObjectAnswer::Data(data) => {
                let bytes = data.contiguous();
                let checksum = checksum::crc32c(&bytes);
                match TlogObject::decode(&bytes).filter(|o| o.tlog == tlog && o.predecessor == self.cork) {
                    Some(object) => self.apply_chain(&object, checksum, context),
                    None => self.halt(alloc::format!("TLog {tlog} on the ASDs does not continue the chain")),
                }
            }
            ObjectAnswer::Failed(ObjectError::Lost | ObjectError::NotFound) => {
                self.halt(alloc::format!(
                    "TLog {tlog} is lost: more of its fragments are gone than parity makes up for"
                ));
            }
            _ => self.chain_unavailable(tlog),
        }
    }

    fn apply_chain(&mut self, object: &TlogObject, checksum: u32, context: &mut Context<'_>) {
        object.entries.iter().for_each(|entry| self.base.apply(run_of(entry), &mut self.dead));
        self.cork = Some(ChainHead { tlog: object.tlog, checksum });
        self.published_clients.clone_from(&object.clients);
        self.chain.pop();
        self.opening.unanswered = None;
        self.fetch_next(context);
    }

    /// Not now: asked again when the driver's timer next runs out.
    fn chain_unavailable(&mut self, tlog: TlogId) {
        debug_assert!(self.chain.last().is_some_and(|(next, _)| *next == tlog), "{}", tlog.to_string());
        self.opening.fetch_again = true;
        self.opening.unanswered = Some(tlog);
    }

    /// What it waits for that somebody can do something about.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let tlog = self.opening.unanswered?;
        Some(alloc::format!(
            "too few OSDs answer to read TLog {tlog}; `ovs osd list` tells which don't: start them"
        ))
    }

    /// The driver's timer ran out.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        if core::mem::take(&mut self.opening.fetch_again) {
            self.fetch_next(context);
        }
    }

    /// Whether it waits for the driver's timer.
    pub(crate) fn wants_tick(&self) -> bool {
        self.opening.fetch_again
    }
}

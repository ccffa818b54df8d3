//! Questions that are asked until they are answered.
//!
//! `formats::kv_client` is not this: it speaks to the KV alone, has no purpose beside a request, and never gives one up.
//! Here one table and one timer hold what the KV and the objects client are asked, and a take-over or deletion forgets
//! what its volume asked before. On top of it there would be the same table once more; what both share is that a KV
//! session has its own sequence of commands, which is four lines.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use formats::message::kv::{KvBody, KvCommand, KvQuery, KvRequest};
use formats::message::object::{ObjectBody, ObjectRequest};
use formats::{Effect, Message};
use glossary::{NamespaceId, NodeId};
use step::{Effects, Timestamp};

/// Every question that waits for its answer, each with what the answer is for. Their number is bounded by
/// what the volumes have under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asks<P> {
    kv: NodeId,
    objects: NodeId,
    wait: (Duration, Duration),
    session: u64,
    next_request: u64,
    next_sequence: u64,
    open: BTreeMap<u64, Ask<P>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask<P> {
    purpose: P,
    to: NodeId,
    message: Message,
    sequence: Option<u64>,
    due: Timestamp,
    wait: Duration,
}

impl<P> Asks<P> {
    /// Nothing asked yet. `session` was drawn at random for this life; so is, by it, the first request's
    /// number: a late answer to an earlier life must find no question.
    pub(crate) fn new(kv: NodeId, objects: NodeId, session: u64, wait: (Duration, Duration)) -> Self {
        Asks {
            kv,
            objects,
            wait,
            session,
            next_request: session >> 1,
            next_sequence: 1,
            open: BTreeMap::new(),
        }
    }

    pub(crate) fn command(
        &mut self,
        purpose: P,
        command: KvCommand,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let unanswered = self.open.values().filter_map(|ask| ask.sequence).min();
        let answered_below = unanswered.unwrap_or(sequence);
        let body = KvBody::Command { session: self.session, sequence, answered_below, command };
        let message = Message::Kv(KvRequest { request: self.next_request, body });
        self.send(purpose, self.kv, message, Some(sequence), now, effects);
    }

    pub(crate) fn query(
        &mut self,
        purpose: P,
        query: KvQuery,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let message = Message::Kv(KvRequest { request: self.next_request, body: KvBody::Query(query) });
        self.send(purpose, self.kv, message, None, now, effects);
    }

    pub(crate) fn object(
        &mut self,
        purpose: P,
        namespace: NamespaceId,
        body: ObjectBody,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let message = Message::Object(ObjectRequest { request: self.next_request, namespace, body });
        self.send(purpose, self.objects, message, None, now, effects);
    }

    /// Takes the question that an answer belongs to; `None` for an answer that came before.
    pub(crate) fn answered(&mut self, request: u64) -> Option<P> {
        self.open.remove(&request).map(|ask| ask.purpose)
    }

    /// Forgets questions whose answers nobody waits for any more.
    pub(crate) fn forget(&mut self, of_no_use: impl Fn(&P) -> bool) {
        self.open.retain(|_, ask| !of_no_use(&ask.purpose));
    }

    /// Asks again what is due.
    pub(crate) fn ask_again(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        let longest = self.wait.1;
        for ask in self.open.values_mut().filter(|ask| ask.due <= now) {
            ask.wait = (ask.wait * 2).min(longest);
            ask.due = now.after(ask.wait);
            effects.push(Effect::Send { to: ask.to, message: ask.message.clone() });
        }
    }

    /// Whether a question waits whose purpose is such.
    pub(crate) fn any(&self, such: impl Fn(&P) -> bool) -> bool {
        self.open.values().any(|ask| such(&ask.purpose))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn send(
        &mut self,
        purpose: P,
        to: NodeId,
        message: Message,
        sequence: Option<u64>,
        now: Timestamp,
        effects: &mut Effects<Effect>,
    ) {
        let wait = self.wait.0;
        let ask = Ask { purpose, to, message: message.clone(), sequence, due: now.after(wait), wait };
        self.open.insert(self.next_request, ask);
        self.next_request += 1;
        effects.push(Effect::Send { to, message });
    }
}

/// Keys and values for a compare-and-set of one value.
pub(crate) fn compare_and_set(key: Vec<u8>, old: Option<Vec<u8>>, new: Vec<u8>) -> KvCommand {
    use formats::message::kv::KvStep;
    KvCommand::Sequence(alloc::vec![
        KvStep::Assert { key: key.clone(), value: old },
        KvStep::Set { key, value: new },
    ])
}

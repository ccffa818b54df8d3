//! FLUSH and FUA: rounds of syncs (P2, L4).

use alloc::vec::Vec;
use formats::journal::Mark;
use formats::message::edge::EdgeAnswer;
use glossary::ScoId;
use step::{Bug, DiskError, DiskOperation, DiskResult, TimerId};

use super::change::ReplyTo;
use super::{Operation, Serving};
use crate::context::Context;
use crate::counters::Counter;
use crate::files::LocalFile;

/// Who waits for stable storage, and the round that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flushes {
    waiting: Vec<Waiting>,
    round: Option<Round>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Round {
    left: usize,
    through: u64,
    end: Mark,
}

/// An answer that has to wait until the log is on stable storage up to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    number: u64,
    reply: ReplyTo,
    what: Awaited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// A flush, or a change that is to be stable.
    Done,
    /// The opening of a session by somebody who attaches.
    Opened,
}

impl Flushes {
    /// Says that it is done when the log is on stable storage up to entry `number`.
    pub(crate) fn wait(&mut self, reply: ReplyTo, number: u64) {
        self.waiting.push(Waiting { number, reply, what: Awaited::Done });
    }

    /// Says that the session is open when the log is on stable storage up to entry `number`.
    pub(crate) fn wait_to_open(&mut self, reply: ReplyTo, number: u64) {
        self.waiting.push(Waiting { number, reply, what: Awaited::Opened });
    }
}

impl Serving {
    /// A FLUSH: everything acknowledged so far must be on stable storage. What is not acknowledged need not.
    pub(crate) fn flush(&mut self, reply: ReplyTo, context: &mut Context<'_>) {
        context.count(Counter::Flushes, 1);
        if self.log.synced >= self.log.completed || context.config.has(Bug::AckBeforeSync) {
            self.answer(reply, EdgeAnswer::Done, context);
        } else {
            self.flushes.wait(reply, self.log.completed);
        }
    }

    /// Starts a round of syncs, when somebody waits and none is under way: one sync for each file that was
    /// written since the last, all at once. Flushes that come meanwhile share the next round.
    pub(crate) fn start_sync_round(&mut self, context: &mut Context<'_>) {
        let wanted = !self.flushes.waiting.is_empty() || self.roll_wants_sync() || self.upload_wants_sync();
        if self.flushes.round.is_some() || !wanted {
            return;
        }
        context.count(Counter::Syncs, 1);
        let dirty: Vec<ScoId> = core::mem::take(&mut self.log.dirty).into_iter().collect();
        let tlog = LocalFile::Tlog(self.log.tlog).name(self.id);
        let files = dirty.into_iter().map(|sco| LocalFile::Sco(sco).name(self.id));
        let files: Vec<_> = files.chain([tlog]).collect();
        let (through, end) = (self.log.completed, self.log.completed_end);
        self.flushes.round = Some(Round { left: files.len(), through, end });
        for file in files {
            self.operations.start(Operation::SyncRound, DiskOperation::Sync { file }, context);
        }
    }

    pub(crate) fn sync_ended(&mut self, result: DiskResult, context: &mut Context<'_>) {
        match result {
            Ok(_) => {}
            Err(_) if context.config.has(Bug::SyncRetried) => {}
            Err(error) => {
                // Even a full disk is final here: what was written may be gone (L4).
                let error = if error == DiskError::Full { DiskError::Failed } else { error };
                self.log_failed(error, "syncing the log");
                return;
            }
        }
        let Some(round) = &mut self.flushes.round else { return };
        round.left -= 1;
        if round.left > 0 {
            return;
        }
        let (through, end) = (round.through, round.end);
        self.flushes.round = None;
        self.log.synced = self.log.synced.max(through);
        self.log.synced_end = self.log.synced_end.max(end);
        self.clients_stable(through);
        self.answer_synced(through, context);
        if !self.mark_timer {
            self.mark_timer = true;
            let timer = TimerId(self.id.0);
            context.effects.push(formats::Effect::SetTimer { timer, after: context.config.mark_after });
        }
    }

    fn answer_synced(&mut self, through: u64, context: &mut Context<'_>) {
        let waiting = core::mem::take(&mut self.flushes.waiting);
        let (done, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|w| w.number <= through);
        self.flushes.waiting = rest;
        for Waiting { reply, what, .. } in done {
            match what {
                Awaited::Done => self.answer(reply, EdgeAnswer::Done, context),
                Awaited::Opened => self.answer_open(reply, context),
            }
        }
    }

    /// Whether a round is under way.
    pub(crate) fn is_syncing(&self) -> bool {
        self.flushes.round.is_some()
    }

    fn clients_stable(&mut self, through: u64) {
        for client in self.clients.values_mut() {
            while let Some((change, _)) = client.unstable.pop_front_if(|(_, number)| *number <= through) {
                client.stable = client.stable.max(change);
            }
        }
    }
}

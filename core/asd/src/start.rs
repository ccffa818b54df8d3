//! From a start, or a failed write, to service; and what ends service.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use formats::message::asd::{AsdAnswer, AsdError};
use step::{DiskError, DiskOperation, DiskResult};

use crate::batch::Answer;
use crate::checkpoint::Checkpoints;
use crate::compaction::Compaction;
use crate::counters::Counter;
use crate::limits::RETRY_AFTER;
use crate::log::Log;
use crate::names::segment_file;
use crate::recovery::{Again, Found, Next, Recovery};
use crate::{Asd, Outbox, Phase, RETRY_TIMER, Waits};

impl Asd {
    pub(crate) fn start(&mut self, effects: &mut Outbox) {
        assert!(self.phase == Phase::New, "a role starts once");
        self.recover(effects);
    }

    /// Reads the log. In a life that knows its end, nothing behind that counts: it was never acknowledged.
    fn recover(&mut self, effects: &mut Outbox) {
        let recovery = Recovery::new(&self.config, self.log.end(), self.log.next_sequence());
        self.phase = Phase::Recovering(Box::new(recovery));
        self.disk(Waits::Recovery, DiskOperation::List, effects);
    }

    pub(crate) fn on_recovery(&mut self, result: DiskResult, effects: &mut Outbox) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        match recovery.on_disk(result) {
            Next::Disk(what) => self.disk(Waits::Recovery, what, effects),
            Next::Found(found) => self.take_over(*found, effects),
            Next::Trouble(why) => {
                self.stop(why, effects);
                let stopped = core::mem::replace(&mut self.phase, Phase::New);
                self.phase = match stopped {
                    Phase::Stopped(why) => Phase::Unreadable(why),
                    other => other,
                };
            }
        }
    }

    fn take_over(&mut self, found: Found, effects: &mut Outbox) {
        let Found { index, segments, end, again, next_sequence, durable, next_number, .. } = found;
        let Found { junk, is_new, lost, logged, .. } = found;
        self.index = index;
        self.segments = segments;
        self.log = Log::new(self.config.identity, self.config.segment_bytes, end, next_sequence);
        self.checkpoints = Checkpoints::new(durable, next_number, logged);
        self.compaction = Compaction::default();
        self.compaction.look_again();
        self.junk = junk;
        self.is_new = is_new;
        self.counters.add(Counter::Damaged, lost);
        self.index_changed = true;
        match again {
            Some(Again { segment, offset, bytes }) => {
                let file = segment_file(segment);
                self.phase = Phase::Rewriting(file);
                let pieces = alloc::vec![bytes];
                self.disk(Waits::Kept, DiskOperation::Write { file, offset, pieces }, effects);
            }
            None => self.open_segment(effects),
        }
    }

    /// What no mark vouches for was written again, or synced. Only then a new segment cuts what lies behind.
    pub(crate) fn on_kept(&mut self, result: DiskResult, effects: &mut Outbox) {
        match (&self.phase, result) {
            (Phase::Rewriting(file), Ok(_)) => {
                let file = *file;
                self.phase = Phase::Syncing;
                self.disk(Waits::Kept, DiskOperation::Sync { file }, effects);
            }
            (Phase::Rewriting(_), Err(DiskError::Full)) => {
                // From here on it is as if nothing had been read: the log's end isn't known to be durable.
                let next_sequence = self.log.next_sequence();
                self.log = Log::new(self.config.identity, self.config.segment_bytes, None, next_sequence);
                self.phase = Phase::Paused;
                self.arm(RETRY_TIMER, RETRY_AFTER, effects);
            }
            (_, Ok(_)) => self.open_segment(effects),
            (_, Err(_)) => self.stop("its disk failed at its start: restart when it is well".into(), effects),
        }
    }

    /// The time has come to try again what had no room or no disk.
    pub(crate) fn retry(&mut self, effects: &mut Outbox) {
        self.checkpoints.rested();
        self.compaction.look_again();
        match self.phase {
            Phase::NoRoom => self.open_segment(effects),
            Phase::Paused => self.recover(effects),
            Phase::Serving => self.disk(Waits::Space, DiskOperation::Space, effects),
            _ => {}
        }
    }

    /// A write failed: no more of them, and once nothing is in flight the log is read anew (L4).
    pub(crate) fn drain(&mut self, effects: &mut Outbox) {
        self.phase = Phase::Draining;
        self.wants_mark = false;
        self.refuse_queue(effects);
        if self.operations.is_empty() {
            self.reload(effects);
        }
    }

    pub(crate) fn reload(&mut self, effects: &mut Outbox) {
        self.counters.count(Counter::Reloads);
        self.recover(effects);
    }

    /// Ends service until the next start.
    pub(crate) fn stop(&mut self, why: String, effects: &mut Outbox) {
        self.phase = Phase::Stopped(format!("not serving: {why}"));
        self.wants_mark = false;
        if let Some(in_flight) = self.log.in_flight.take() {
            self.refuse_all(in_flight.answers, effects);
        }
        self.refuse_queue(effects);
    }

    fn refuse_queue(&mut self, effects: &mut Outbox) {
        while let Some(waiting) = self.queue.pop() {
            let body = AsdAnswer::Failed(AsdError::Unavailable);
            self.send(Answer { to: waiting.to, request: waiting.request, body }, effects);
        }
    }
}

//! Group commit: what came while a batch was in flight becomes the next one; one write, one sync, and only
//! then the answers and the index (promise P7). So nothing is ever shown or acknowledged that could vanish.

use alloc::format;
use formats::asd_record::RecordKind;
use formats::message::asd::{AsdAnswer, AsdError};
use step::{Bug, DiskError, DiskOperation, DiskOutcome, DiskResult, TimerId};

use crate::batch::{Answer, Draft};
use crate::counters::Counter;
use crate::limits::{MARK_AFTER, RETRY_AFTER, max_body};
use crate::log::{InFlight, Log, Stage};
use crate::names::{new_file, segment_file};
use crate::queue::Waiting;
use crate::{Asd, Outbox, Phase, RETRY_TIMER, Waits};

/// Fires when the last sync has no mark yet.
pub(crate) const MARK_TIMER: TimerId = TimerId(1);

impl Asd {
    /// Starts the next batch when none is in flight and there is something for one.
    pub(crate) fn commit(&mut self, effects: &mut Outbox) {
        if self.phase != Phase::Serving || self.log.in_flight.is_some() {
            return;
        }
        if self.compaction.take_close() {
            self.log.begin_segment();
            return self.go_on(effects);
        }
        let mut draft = Draft::default();
        if self.compaction.is_starved() {
            self.draft_moves(&mut draft, effects);
        }
        self.draft_applies(&mut draft, effects);
        self.draft_moves(&mut draft, effects);
        if draft.changes.is_empty() {
            // Everything was as wanted, or refused, judged by what is durable.
            let Draft { answers, tally, .. } = draft;
            self.compaction.moved(&tally);
            self.send_all(answers, effects);
        } else {
            self.launch(draft, effects);
        }
    }

    fn draft_applies(&mut self, draft: &mut Draft, effects: &mut Outbox) {
        let room = max_body(self.config.segment_bytes);
        while self.queue.front().is_some_and(|front| draft.bytes + front.bytes <= room) {
            let Some(waiting) = self.queue.pop() else { return };
            let body = match self.decide(draft, &waiting) {
                Ok(()) => AsdAnswer::Applied,
                Err(error) => {
                    let is_full = error == AsdError::Full;
                    self.counters.count(if is_full { Counter::Full } else { Counter::Refused });
                    if is_full {
                        // Room may come back without our doing: look again.
                        self.arm(RETRY_TIMER, RETRY_AFTER, effects);
                    }
                    AsdAnswer::Failed(error)
                }
            };
            draft.answers.push(Answer { to: waiting.to, request: waiting.request, body });
        }
    }

    fn decide(&self, draft: &mut Draft, waiting: &Waiting) -> Result<(), AsdError> {
        let changes = draft.decide(&self.index, waiting)?;
        let bytes: u64 = changes.iter().map(|change| change.record_bytes()).sum();
        let stores = changes.iter().any(|change| change.kind == RecordKind::Put);
        let limit = if stores { self.marks.limit(waiting.purpose) } else { self.marks.removal_limit() };
        if bytes > 0 && self.used_after(draft.bytes + bytes) > limit {
            return Err(AsdError::Full);
        }
        draft.take(changes);
        Ok(())
    }

    /// Records that compaction moves fill what guests leave of the batch. Where guests leave too little, the
    /// next batch starts with one.
    fn draft_moves(&mut self, draft: &mut Draft, effects: &mut Outbox) {
        let room = max_body(self.config.segment_bytes);
        draft.tally.round = self.compaction.round_number();
        let mut count = 0;
        while let Some(bytes) = self.compaction.next_move_bytes() {
            if self.used_after(draft.bytes + bytes) > self.marks.capacity() {
                // Less room than when the round began: later, a smaller one may do.
                self.compaction.abort();
                self.arm(RETRY_TIMER, RETRY_AFTER, effects);
                return;
            }
            let is_enough = self.compaction.is_starved() && count > 0;
            if is_enough || draft.bytes + bytes > room {
                break;
            }
            let Some(moved) = self.compaction.next_move() else { return };
            let bytes = moved.change.record_bytes();
            if draft.take_move(&self.index, moved) {
                self.counters.add(Counter::MovedBytes, bytes);
            }
            count += 1;
        }
        self.compaction.note_turn(count > 0);
    }

    /// Bytes of all segments when a batch with so long a body has been written, at worst.
    fn used_after(&self, body_bytes: u64) -> u64 {
        self.segments.used() + Log::framed(body_bytes) + formats::journal::PAGE
    }

    /// Has a mark written in a while, unless a batch comes before.
    pub(crate) fn await_mark(&mut self, effects: &mut Outbox) {
        if self.wants_mark && self.log.in_flight.is_none() {
            self.arm(MARK_TIMER, MARK_AFTER, effects);
        }
    }

    /// An empty batch carries the mark of the last sync.
    pub(crate) fn write_mark(&mut self, effects: &mut Outbox) {
        let is_idle = self.phase == Phase::Serving && self.log.in_flight.is_none() && self.queue.is_empty();
        if self.wants_mark && is_idle && self.used_after(0) <= self.marks.capacity() {
            self.counters.count(Counter::Marks);
            self.launch(Draft::default(), effects);
        }
    }

    fn launch(&mut self, draft: Draft, effects: &mut Outbox) {
        self.wants_mark = false;
        self.log.begin_batch(draft);
        self.go_on(effects);
    }

    /// Opens a new segment. What lies behind the kept end of the log is cut by that for ever (L3).
    pub(crate) fn open_segment(&mut self, effects: &mut Outbox) {
        self.phase = Phase::Opening;
        self.log.begin_segment();
        self.go_on(effects);
    }

    /// Emits what the batch in flight needs next.
    fn go_on(&mut self, effects: &mut Outbox) {
        let in_flight = self.log.in_flight.as_mut().expect("a batch is in flight");
        let file = segment_file(in_flight.segment);
        let what = match in_flight.stage {
            Stage::Creating => DiskOperation::Create { file },
            Stage::Writing => {
                let pieces = core::mem::take(&mut in_flight.pieces);
                DiskOperation::Write { file, offset: in_flight.offset, pieces }
            }
            Stage::Syncing => DiskOperation::Sync { file },
        };
        self.disk(Waits::Log, what, effects);
    }

    /// A step of the batch in flight ended.
    pub(crate) fn on_log(&mut self, result: DiskResult, effects: &mut Outbox) {
        let Some(mut in_flight) = self.log.in_flight.take() else { return };
        match (in_flight.stage, result) {
            (Stage::Creating, Ok(_)) => {
                in_flight.stage = Stage::Writing;
                self.log.in_flight = Some(in_flight);
                self.go_on(effects);
            }
            (Stage::Writing, Ok(_)) => {
                in_flight.stage = Stage::Syncing;
                if self.config.has(Bug::FragmentCountedBeforeSync) {
                    self.send_all(core::mem::take(&mut in_flight.answers), effects);
                }
                self.log.in_flight = Some(in_flight);
                self.go_on(effects);
            }
            (Stage::Syncing, Ok(_)) => self.committed(in_flight, effects),
            (Stage::Syncing, Err(_)) if self.config.has(Bug::SyncRetried) => {
                self.log.in_flight = Some(in_flight);
                self.go_on(effects);
            }
            (Stage::Syncing, Err(_)) => self.sync_failed(in_flight, effects),
            (Stage::Creating | Stage::Writing, Err(error)) => self.write_failed(in_flight, error, effects),
        }
    }

    fn committed(&mut self, in_flight: InFlight, effects: &mut Outbox) {
        let InFlight { segment, is_new, after, records, answers, tally, .. } = in_flight;
        let bytes = after.end().position;
        if is_new {
            self.segments.add(segment, bytes);
        } else {
            self.segments.grow(segment, bytes);
        }
        let written = bytes - in_flight.offset;
        self.checkpoints.logged(written);
        self.counters.add(Counter::WrittenBytes, written);
        self.counters.count(Counter::Syncs);
        self.log.advance(after);
        // What compaction moved is still where it was until a checkpoint tells of the move, and that says up to
        // where the log was synced: no mark is needed for it.
        self.wants_mark = tally.puts + tally.deletes > 0;
        for record in records {
            self.index.follow(segment, record, &mut self.segments);
        }
        if is_new || tally.deletes > 0 {
            self.compaction.look_again();
        }
        self.index_changed = true;
        self.counters.add(Counter::Puts, tally.puts);
        self.counters.add(Counter::Deletes, tally.deletes);
        self.compaction.moved(&tally);
        self.send_all(answers, effects);
        if is_new {
            self.disk(Waits::Space, DiskOperation::Space, effects);
        }
        if self.phase == Phase::Opening {
            self.opened(effects);
        }
    }

    fn opened(&mut self, effects: &mut Outbox) {
        self.phase = Phase::Serving;
        if core::mem::take(&mut self.is_new) {
            self.junk.push(new_file());
        }
        for file in core::mem::take(&mut self.junk) {
            self.disk(Waits::Nothing, DiskOperation::Delete { file }, effects);
        }
    }

    /// A failed sync is final: what the disk holds is known at the next start, and not before (L4).
    fn sync_failed(&mut self, in_flight: InFlight, effects: &mut Outbox) {
        self.refuse_all(in_flight.answers, effects);
        self.stop(
            format!("a sync of {} failed: restart when the disk is well", segment_file(in_flight.segment)),
            effects,
        );
    }

    fn write_failed(&mut self, in_flight: InFlight, error: DiskError, effects: &mut Outbox) {
        let is_full = error == DiskError::Full;
        if self.phase == Phase::Opening {
            self.junk.push(segment_file(in_flight.segment));
            if is_full {
                self.no_room(effects);
            } else {
                self.stop(
                    format!("{} can't be begun: the disk failed", segment_file(in_flight.segment)),
                    effects,
                );
            }
        } else if is_full && in_flight.stage == Stage::Creating {
            // Nothing was written: the log is as it was, and the answer can be exact.
            self.disk(
                Waits::Nothing,
                DiskOperation::Delete { file: segment_file(in_flight.segment) },
                effects,
            );
            self.compaction.abort();
            self.send_all(in_flight.answers.into_iter().map(without_room).collect(), effects);
            self.arm(RETRY_TIMER, RETRY_AFTER, effects);
        } else {
            // Nobody knows what is there: nothing is retried on this file, the log is read anew (L4).
            self.refuse_all(in_flight.answers, effects);
            self.drain(effects);
        }
    }

    /// The device has no room for a segment: reads go on, and room may come back.
    fn no_room(&mut self, effects: &mut Outbox) {
        self.phase = Phase::NoRoom;
        for file in core::mem::take(&mut self.junk) {
            self.disk(Waits::Nothing, DiskOperation::Delete { file }, effects);
        }
        self.arm(RETRY_TIMER, RETRY_AFTER, effects);
    }

    /// The room on the device is known: with other users of it, it may be less than the settings say.
    pub(crate) fn on_space(&mut self, result: DiskResult) {
        if let Ok(DiskOutcome::Space { free, .. }) = result {
            let capacity = self.config.capacity.0.min(self.segments.used().saturating_add(free));
            self.marks = crate::space::Marks::new(capacity, self.config.segment_bytes);
        }
    }
}

/// The answer to what a batch should have done that never came to be.
fn without_room(answer: Answer) -> Answer {
    let error = if answer.body == AsdAnswer::Applied { AsdError::Full } else { AsdError::Unavailable };
    Answer { body: AsdAnswer::Failed(error), ..answer }
}

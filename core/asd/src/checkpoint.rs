//! Checkpoints: the index written down, a bounded piece at a time, while the log goes on (PROTOCOLS F10).
//!
//! A checkpoint names the place in the log up to which all is in it. It may hold some of what came later:
//! following the log from there, the last record of each key decides, so that does no harm. Everything in it
//! was synced before, and its end entry says how far, so it never runs ahead of the log.
//!
//! Segments that were emptied before it began aren't mentioned in it, and go once it is durable.

use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::asd_record::checkpoint::{self, Entry, encode_label};
use formats::journal::{FileHeader, Kind, Mark, Writer};
use step::{Bug, DiskOperation, DiskResult};

use crate::counters::Counter;
use crate::index::{Index, Key, Slot};
use crate::limits::{CHECKPOINT_BATCH_BYTES, RETRY_AFTER};
use crate::log::Log;
use crate::names::{Place, segment_file};
use crate::segments::{Life, Segments};
use crate::{Asd, Outbox, Phase, RETRY_TIMER, Waits};

/// The newest checkpoint that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) place: Place,
    /// From where the log has to be followed.
    pub(crate) mark: Mark,
}

/// When checkpoints are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoints {
    pub(crate) durable: Option<Durable>,
    next_number: u64,
    /// Bytes of log that the newest one lacks, those of one on its way counted as in it.
    logged: u64,
    /// Whether compaction waits for one.
    wanted: bool,
    /// Whether the last one failed, and the time to try again hasn't come.
    is_resting: bool,
    job: Option<Job>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Creating,
    Writing,
    Syncing,
}

/// What comes next in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cursor {
    /// Segments after this one.
    Segments(u64),
    /// Keys after this one.
    Keys(Option<Key>),
    /// Nothing.
    End,
}

/// A checkpoint on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    stage: Stage,
    place: Place,
    mark: Mark,
    writer: Writer,
    /// The header, until it is written.
    page: Option<Bytes>,
    cursor: Cursor,
    entries: u64,
    /// Segments that it lets go.
    frees: Vec<u64>,
    /// What `logged` was when it began.
    logged_before: u64,
}

impl Checkpoints {
    pub(crate) fn new(durable: Option<Durable>, next_number: u64, logged: u64) -> Self {
        Checkpoints { durable, next_number, logged, wanted: false, is_resting: false, job: None }
    }

    pub(crate) fn logged(&mut self, bytes: u64) {
        self.logged += bytes;
    }

    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// The time to try again has come.
    pub(crate) fn rested(&mut self) {
        self.is_resting = false;
    }

    /// Segments below this one are not read at a start: neither with the newest checkpoint nor, since only
    /// those are emptied that lie below this, with the one before.
    pub(crate) fn horizon(&self) -> u64 {
        self.durable.map_or(0, |durable| durable.mark.sequence)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    fn is_due(&self, every: u64) -> bool {
        self.job.is_none() && !self.is_resting && (self.wanted || self.logged >= every)
    }

    fn begin(&mut self, owner: [u8; 16], mark: Mark, frees: Vec<u64>) -> Place {
        let place = self.durable.map_or(Place::A, |durable| durable.place.other());
        let header = FileHeader {
            kind: Kind::ASD_CHECKPOINT,
            owner,
            sequence: self.next_number,
            predecessor: None,
            label: encode_label(mark),
        };
        let (writer, page) = Writer::begin(&header);
        self.next_number += 1;
        self.wanted = false;
        let logged_before = core::mem::take(&mut self.logged);
        let cursor = Cursor::Segments(0);
        let (stage, page) = (Stage::Creating, Some(page));
        self.job = Some(Job { stage, place, mark, writer, page, cursor, entries: 0, frees, logged_before });
        place
    }

    /// It came to nothing: the other one still stands.
    fn give_up(&mut self) {
        if let Some(job) = self.job.take() {
            self.logged += job.logged_before;
            self.wanted = true;
            self.is_resting = true;
        }
    }
}

impl Job {
    /// The next piece of the file: where it goes and what it is.
    fn next_write(&mut self, segments: &Segments, index: &Index, log: &Log) -> (u64, Vec<Bytes>) {
        let mut body = Vec::new();
        while body.len() < CHECKPOINT_BATCH_BYTES && self.cursor != Cursor::End {
            match &self.cursor {
                Cursor::Segments(after) => self.cursor = self.list_segments(*after, segments, &mut body),
                Cursor::Keys(after) => {
                    let after = after.clone();
                    self.cursor = self.list_keys(after, index, log, &mut body);
                }
                Cursor::End => {}
            }
        }
        let header = self.page.take();
        let offset = if header.is_some() { 0 } else { self.writer.end().position };
        let mut pieces = Vec::from_iter(header);
        pieces.extend(self.writer.batch(Mark::default(), alloc::vec![body.into()]));
        (offset, pieces)
    }

    fn list_segments(&mut self, after: u64, segments: &Segments, body: &mut Vec<u8>) -> Cursor {
        for (sequence, segment) in segments.after(after) {
            if body.len() >= CHECKPOINT_BATCH_BYTES {
                return Cursor::Segments(sequence - 1);
            }
            // In order, as they were listed.
            let goes = segment.life == Life::Leaving || self.frees.binary_search(&sequence).is_ok();
            if !goes {
                Entry::Segment { sequence, bytes: segment.bytes }.encode(body);
                self.entries += 1;
            }
        }
        Cursor::Keys(None)
    }

    fn list_keys(&mut self, after: Option<Key>, index: &Index, log: &Log, body: &mut Vec<u8>) -> Cursor {
        let mut last = None;
        for (key, slot) in index.after(after.as_deref()) {
            if body.len() >= CHECKPOINT_BATCH_BYTES {
                return Cursor::Keys(last.map(Key::from).or(after));
            }
            entry(key, slot).encode(body);
            self.entries += 1;
            last = Some(key);
        }
        Entry::End { entries: self.entries, synced: log.synced() }.encode(body);
        Cursor::End
    }
}

fn entry(key: &[u8], slot: Slot) -> Entry<'_> {
    match slot {
        Slot::Value(value) => Entry::Value(checkpoint::Value {
            key,
            segment: value.segment,
            position: value.position,
            length: value.length,
            crc: value.crc,
            damaged: value.damaged,
            oldest: value.oldest,
            wide: value.wide,
        }),
        Slot::Tombstone(tombstone) => Entry::Tombstone(checkpoint::Tombstone {
            key,
            segment: tombstone.segment,
            position: tombstone.position,
            oldest: tombstone.holders.oldest,
            newest: tombstone.holders.newest,
            wide: tombstone.holders.wide,
        }),
    }
}

impl Asd {
    /// Begins a checkpoint when one is due.
    pub(crate) fn checkpoint(&mut self, effects: &mut Outbox) {
        if self.phase != Phase::Serving || !self.checkpoints.is_due(self.config.checkpoint_every) {
            return;
        }
        let ahead = self.config.has(Bug::CheckpointAheadOfLog);
        let mark = if ahead { self.log.written() } else { self.log.synced() };
        let place = self.checkpoints.begin(self.config.identity.0, mark, self.segments.doomed());
        self.disk(Waits::Checkpoint, DiskOperation::Create { file: place.file() }, effects);
    }

    /// A step of the checkpoint ended.
    pub(crate) fn on_checkpoint(&mut self, result: DiskResult, effects: &mut Outbox) {
        let Some(job) = self.checkpoints.job.as_mut() else { return };
        let file = job.place.file();
        match (job.stage, result) {
            (Stage::Writing, Ok(_)) if job.cursor == Cursor::End => {
                job.stage = Stage::Syncing;
                self.disk(Waits::Checkpoint, DiskOperation::Sync { file }, effects);
            }
            (Stage::Creating | Stage::Writing, Ok(_)) => {
                job.stage = Stage::Writing;
                let (offset, pieces) = job.next_write(&self.segments, &self.index, &self.log);
                let bytes = job.writer.end().position - offset;
                self.counters.add(Counter::CheckpointBytes, bytes);
                self.disk(Waits::Checkpoint, DiskOperation::Write { file, offset, pieces }, effects);
            }
            (Stage::Syncing, Ok(_)) => self.checkpointed(effects),
            (Stage::Syncing, Err(_)) => {
                self.stop(format!("a sync of {file} failed: restart when the disk is well"), effects);
            }
            (Stage::Creating | Stage::Writing, Err(_)) => {
                self.checkpoints.give_up();
                self.arm(RETRY_TIMER, RETRY_AFTER, effects);
            }
        }
    }

    /// A step of a checkpoint that is no longer wanted ended. A failed sync is final all the same: the file
    /// would look whole when the log is read again, and be gone after a power cut (L4).
    pub(crate) fn on_drained_checkpoint(&mut self, result: &DiskResult, effects: &mut Outbox) {
        let is_syncing = |job: &Job| job.stage == Stage::Syncing;
        if let (Some(job), Err(_)) = (self.checkpoints.job.as_ref().filter(|job| is_syncing(job)), result) {
            let file = job.place.file();
            self.stop(format!("a sync of {file} failed: restart when the disk is well"), effects);
        }
    }

    fn checkpointed(&mut self, effects: &mut Outbox) {
        let Some(job) = self.checkpoints.job.take() else { return };
        self.checkpoints.durable = Some(Durable { place: job.place, mark: job.mark });
        self.counters.count(Counter::Checkpoints);
        for sequence in job.frees {
            self.segments.set_life(sequence, Life::Leaving);
            if self.segments.get(sequence).is_some_and(|segment| segment.readers == 0) {
                self.free(sequence, effects);
            }
        }
        self.compaction.look_again();
    }

    /// Deletes a segment that nothing mentions. When its time comes while a start is near, that one does it.
    pub(crate) fn free(&mut self, sequence: u64, effects: &mut Outbox) {
        if self.phase != Phase::Serving {
            return;
        }
        self.disk(Waits::Free(sequence), DiskOperation::Delete { file: segment_file(sequence) }, effects);
    }

    /// A segment is durably gone, or couldn't go: then the next checkpoint tries again.
    pub(crate) fn on_freed(&mut self, sequence: u64, result: &DiskResult) {
        if result.is_err() {
            self.segments.set_life(sequence, Life::Doomed);
            return;
        }
        self.segments.remove(sequence);
        self.counters.count(Counter::FreedSegments);
        self.compaction.look_again();
    }
}

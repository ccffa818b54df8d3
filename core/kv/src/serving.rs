//! Serving: what becomes of batches, of the snapshot, and of a disk without room.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;
use formats::message::kv::{KvAnswer, KvReply};
use formats::{Effect, Message};
use glossary::NodeId;
use step::{Bug, DiskOperation, DiskResult, Effects, FileName, Function, TimerId};

use crate::asked::{Asked, Batch, Queue};
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::disk::{Disk, Named, Purpose, log_name, named, snapshot_name};
use crate::log::{self, Log};
use crate::room::Room;
use crate::snapshot::{self, Snapshot};
use crate::start::Started;
use crate::state::State;

/// A sync that nothing follows for so long is followed by a mark.
const MARK_AFTER: Duration = Duration::from_millis(200);

/// How long a full disk is left alone before it is tried again.
pub(crate) const ROOM_AFTER: Duration = Duration::from_secs(1);

/// On a full disk a snapshot is worth its writing when the log has grown by such a part of it.
const WORTH_PART: u64 = 8;

/// More log files than these are replaced by a snapshot, however small they are: a start reads them all.
const LOG_FILES_MAX: usize = 8;

pub(crate) const MARK_TIMER: TimerId = TimerId(1);
pub(crate) const ROOM_TIMER: TimerId = TimerId(2);

/// What a KV has while it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serving<F> {
    pub(crate) state: State<F>,
    pub(crate) queue: Queue,
    pub(crate) log: Log,
    snapshot: Option<Snapshot>,
    /// A snapshot is to begin with the next log file.
    snapshot_due: bool,
    /// Files that hold the state.
    files: BTreeSet<FileName>,
    pub(crate) mark: Mark,
    pub(crate) room: Room,
    /// Bytes of log that the snapshot under way replaces.
    replaced: u64,
}

/// Whether the last sync is followed by a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is, or there was none.
    Settled,
    /// Not yet, and no timer runs.
    Due,
    /// A timer runs.
    Waiting,
    /// The timer ran out.
    Now,
}

impl<F: Function> Serving<F> {
    /// See [`crate::Kv`].
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.snapshot.is_some(), self.state.map.is_frozen(), "a map is frozen for its snapshot");
        let written = self.log.batch().into_iter().flat_map(|batch| batch.asked.iter());
        assert!(self.queue.knows(written.filter_map(Asked::command)), "every command has one place");
        assert!(self.state.sessions.is_bounded(), "sessions keep their bounds");
        assert!(self.mark == Mark::Settled || self.state.index > 0, "a mark follows a command");
    }

    /// Serves what the start found. The log's next file is opened meanwhile.
    pub(crate) fn begin(
        started: Started<F>,
        config: &Config<F>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Self {
        let Started { state, end, next, kept, needless, log_bytes } = started;
        for file in needless {
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
        }
        let mut log = Log::open(config.cluster.0, config.bug, next, end, disk, effects);
        log.grown = log_bytes;
        let mut room = Room::default();
        room.look(disk, effects);
        Serving {
            state,
            queue: Queue::default(),
            log,
            snapshot: None,
            snapshot_due: false,
            files: kept.into_iter().collect(),
            mark: Mark::Settled,
            room,
            replaced: 0,
        }
    }

    pub(crate) fn on_log(
        &mut self,
        result: DiskResult,
        config: &Config<F>,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        match self.log.on_done(result, disk, effects) {
            log::Progress::None => {}
            log::Progress::Opened => {
                self.files.insert(log_name(self.log.sequence()));
                // Each start and each full disk leaves a file.
                let logs = self.files.iter().filter(|file| matches!(named(**file), Some(Named::Log(_))));
                self.snapshot_due |= logs.count() > LOG_FILES_MAX && self.may_snapshot();
                if self.snapshot_due {
                    self.begin_snapshot(config, disk, effects);
                }
            }
            log::Progress::Durable(batch) => {
                self.on_durable(batch, counters, effects);
                self.snapshot_due |= self.log.grown >= config.snapshot_log_bytes && self.may_snapshot();
            }
            log::Progress::Full => {
                counters.add(Counter::Full, 1);
                self.on_full(counters, effects);
                self.room.is_awaited = true;
                effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
            }
            log::Progress::Failed(error) => return Err(log::failure(error)),
        }
        Ok(())
    }

    fn on_durable(&mut self, batch: Batch, counters: &mut Counters, effects: &mut Effects<Effect>) {
        if batch.asked.is_empty() {
            counters.add(Counter::Marks, 1);
            return;
        }
        counters.add(Counter::Batches, 1);
        self.mark = Mark::Due;
        for asked in batch.asked {
            self.settle(asked, counters, effects);
        }
    }

    /// A log file was just opened: the state is what all files before it give.
    fn begin_snapshot(&mut self, config: &Config<F>, disk: &mut Disk, effects: &mut Effects<Effect>) {
        self.snapshot_due = false;
        self.replaced = core::mem::take(&mut self.log.grown);
        self.state.map.freeze();
        let sessions = match config.bug {
            Some(Bug::SessionsLostInSnapshot) => Default::default(),
            _ => self.state.sessions.records(),
        };
        let ahead = u64::from(config.bug == Some(Bug::CheckpointAheadOfLog));
        let (owner, index) = (config.cluster.0, self.state.index + ahead);
        let snapshot = Snapshot::begin(owner, self.log.sequence(), index, sessions, disk, effects);
        self.snapshot = Some(snapshot);
    }

    pub(crate) fn on_snapshot(
        &mut self,
        result: DiskResult,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(()) };
        let sequence = snapshot.sequence();
        match snapshot.on_done(result, &mut self.state.map, disk, effects) {
            snapshot::Progress::None => return Ok(()),
            snapshot::Progress::Failed(error) => return Err(log::failure(error)),
            snapshot::Progress::Durable => {
                counters.add(Counter::Snapshots, 1);
                self.files.insert(snapshot_name(sequence));
                self.delete_before(sequence, disk, effects);
            }
            snapshot::Progress::Full => {
                counters.add(Counter::SnapshotsGivenUp, 1);
                let file = snapshot_name(sequence);
                disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
                self.log.grown += self.replaced;
                self.room.look(disk, effects);
            }
        }
        self.state.map.thaw();
        self.snapshot = None;
        Ok(())
    }

    /// Whether a snapshot can begin: none is under way, and as far as is known there is room for it.
    fn may_snapshot(&self) -> bool {
        self.snapshot.is_none() && self.room.has(0, self.state.snapshot_bytes())
    }

    /// Whether commands are taken, as far as room goes.
    pub(crate) fn has_room(&self) -> bool {
        self.room.has(0, 2 * self.state.snapshot_bytes())
    }

    /// The room was looked at. Where commands find none, a snapshot makes some: the log goes, and the snapshot
    /// before it, which is about as large.
    pub(crate) fn on_space(&mut self, result: &DiskResult, effects: &mut Effects<Effect>) {
        if self.room.looked(result, 2 * self.state.snapshot_bytes()) {
            return;
        }
        let is_worth_it = self.log.grown >= self.state.snapshot_bytes() / WORTH_PART;
        self.snapshot_due |= is_worth_it && self.may_snapshot();
        self.await_room(effects);
    }

    /// Files are gone: whoever waits for room need not wait for the timer.
    pub(crate) fn on_forgotten(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        if self.room.is_awaited {
            self.room.look(disk, effects);
        }
    }

    /// Somebody waits for room: it is looked for in a while.
    pub(crate) fn await_room(&mut self, effects: &mut Effects<Effect>) {
        if !self.room.is_awaited {
            self.room.is_awaited = true;
            effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
        }
    }

    /// Looks whether there is room by now.
    pub(crate) fn look_for_room(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        self.room.is_awaited = false;
        self.log.try_again(disk, effects);
        self.room.look(disk, effects);
    }

    /// Deletes what the snapshot stands for.
    fn delete_before(&mut self, snapshot: u64, disk: &mut Disk, effects: &mut Effects<Effect>) {
        let replaced = |file: &FileName| match named(*file) {
            Some(Named::Log(sequence) | Named::Snapshot(sequence)) => sequence < snapshot,
            None => false,
        };
        for file in self.files.iter().copied().filter(replaced) {
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
        }
        self.files.retain(|file| !replaced(file));
    }

    pub(crate) fn on_turn_end(
        &mut self,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        if !self.log.is_ready() {
            return;
        }
        let index = self.state.index + 1;
        if self.log.batch().is_some() {
            self.log.write_again(index, disk, effects);
        } else if self.snapshot_due {
            self.log.rotate(disk, effects);
        } else if let Some(batch) = self.next_batch(counters, effects) {
            if self.mark == Mark::Waiting {
                effects.push(Effect::ClearTimer(MARK_TIMER));
            }
            self.mark = Mark::Settled;
            let grown = self.log.grown;
            self.log.write(index, batch, disk, effects);
            let written = self.log.grown - grown;
            counters.add(Counter::LogBytes, written);
            if self.room.used(written, 2 * self.state.snapshot_bytes()) {
                self.room.look(disk, effects);
            }
        } else if self.mark == Mark::Now {
            self.mark = Mark::Settled;
            self.log.write(index, Batch::default(), disk, effects);
        } else if self.mark == Mark::Due {
            self.mark = Mark::Waiting;
            effects.push(Effect::SetTimer { timer: MARK_TIMER, after: MARK_AFTER });
        }
    }
}

/// Sends an answer.
pub(crate) fn reply(to: NodeId, request: u64, body: KvAnswer, effects: &mut Effects<Effect>) {
    effects.push(Effect::Send { to, message: Message::KvReply(KvReply { request, body }) });
}

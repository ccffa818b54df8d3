//! Serving: what becomes of batches, of the snapshot, and of a disk without room.

use alloc::collections::BTreeSet;
use alloc::string::String;
use consensus::Role;
use core::time::Duration;
use formats::message::kv::{KvAnswer, KvReply};
use formats::{Effect, Message};
use glossary::NodeId;
use step::{Bug, DiskOperation, DiskResult, Effects, FileName, Function, TimerId};

use crate::asked::Queue;
use crate::changes::Changes;
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::disk::{Disk, Named, Purpose, log_name, named, snapshot_name};
use crate::group::Group;
use crate::knows::Announcing;
use crate::log::{self, Begins, Log, Writing};
use crate::look::Look;
use crate::proposals::Proposals;
use crate::replica::Replica;
use crate::room::Room;
use crate::snapshot::{self, Snapshot};
use crate::standings::Standings;
use crate::start::Started;
use crate::state::State;
use crate::transfer::{Held, Transfer};
use crate::unwritten::Anew;
use crate::waiting::Waiting;

/// A sync that nothing follows for so long is followed by a mark.
const MARK_AFTER: Duration = Duration::from_millis(200);

/// How long a full disk is left alone before it is tried again.
pub(crate) const ROOM_AFTER: Duration = Duration::from_secs(1);

/// On a full disk a snapshot is worth its writing when the log has grown by such a part of it.
const WORTH_PART: u64 = 8;

/// More log files than these are replaced by a snapshot, however small they are: a start reads them all.
const LOG_FILES_MAX: usize = 8;

/// A tick of the group's.
const TICK: Duration = Duration::from_millis(50);

pub(crate) const TICK_TIMER: TimerId = TimerId(3);
pub(crate) const MARK_TIMER: TimerId = TimerId(1);
pub(crate) const ROOM_TIMER: TimerId = TimerId(2);

/// What a KV has while it serves.
#[derive(Debug)]
pub(crate) struct Serving<F, C> {
    pub(crate) state: State<F>,
    pub(crate) queue: Queue,
    pub(crate) replica: Replica<C>,
    pub(crate) proposals: Proposals,
    pub(crate) waiting: Waiting,
    pub(crate) announcing: Announcing,
    pub(crate) changes: Changes,
    pub(crate) standings: Standings,
    pub(crate) log: Log,
    pub(crate) snapshot: Option<Snapshot>,
    /// A snapshot is to begin with the next log file.
    pub(crate) snapshot_due: bool,
    /// A snapshot that another member gives.
    pub(crate) transfer: Option<Transfer<F>>,
    /// One that was given, until the log goes on from it.
    pub(crate) installed: Option<Held>,
    /// The newest snapshot, for others.
    pub(crate) held: Option<Held>,
    /// Pieces that are being read for others.
    pub(crate) pieces: usize,
    /// A timer runs for the next tick.
    is_ticking: bool,
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

impl<F: Function, C: Group> Serving<F, C> {
    /// See [`crate::Kv`].
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.snapshot.is_some(), self.state.map.is_frozen(), "a map is frozen for its snapshot");
        assert!(self.queue.knows(self.proposals.commands()), "every command has one place");
        assert!(self.state.sessions.is_bounded(), "sessions keep their bounds");
    }

    /// See [`crate::Kv::look`].
    pub(crate) fn look(&self, counters: &Counters) -> Look {
        let (applied, leadership) = (self.replica.applied(), self.leadership());
        let is_ahead_of_all = leadership.role != Role::Leader
            || self.replica.status().progress.values().all(|progress| progress.next > progress.matched);
        let (installed, differed) = (counters.get(Counter::Installed), counters.get(Counter::Differed));
        Look { applied, hash: self.state.hash(), installed, differed, is_ahead_of_all, leadership }
    }

    /// Serves what the start found. The log's next file is opened meanwhile.
    pub(crate) fn begin(
        started: Started<F>,
        (config, seed): (&Config<F>, u64),
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<Self, String> {
        let Started { mut state, recovered, begins, end, next, kept, needless, log_bytes, held } = started;
        let snapshot_due = begins.as_ref().is_some_and(|begins| begins.upon.is_some());
        state.plant(config.bug);
        let replica = Replica::open(config, seed, recovered, begins)?;
        for file in needless {
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
        }
        let mut log = Log::open(config.cluster.0, config.bug, next, end, disk, effects);
        log.grown = log_bytes;
        let mut room = Room::default();
        room.look(disk, effects);
        let mut serving = Serving {
            state,
            queue: Queue::default(),
            replica,
            proposals: Proposals::default(),
            waiting: Waiting::default(),
            announcing: Announcing::default(),
            changes: Changes::default(),
            standings: Standings::default(),
            log,
            snapshot: None,
            snapshot_due,
            transfer: None,
            installed: None,
            held,
            pieces: 0,
            is_ticking: false,
            files: kept.into_iter().collect(),
            mark: Mark::Settled,
            room,
            replaced: 0,
        };
        serving.pass_to(serving.replica.applied());
        serving.pump(counters, effects)?;
        Ok(serving)
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
            }
            log::Progress::Durable(batch) => {
                let begins = batch.begins;
                self.on_durable(&batch, counters, effects)?;
                match begins {
                    Some(Begins::Snapshot(sequence)) => self.begin_snapshot(sequence, config, disk, effects),
                    Some(Begins::Installed) => self.on_installed(disk, effects),
                    None => {}
                }
                self.snapshot_due |= self.log.grown >= config.snapshot_log_bytes && self.may_snapshot();
            }
            log::Progress::Full => {
                counters.add(Counter::Full, 1);
                self.on_full(counters, effects);
                self.hand_over();
                self.room.is_awaited = true;
                effects.push(Effect::SetTimer { timer: ROOM_TIMER, after: ROOM_AFTER });
            }
            log::Progress::Failed(error) => return Err(log::failure(error)),
        }
        Ok(())
    }

    fn on_durable(
        &mut self,
        batch: &Writing,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        if batch.is_mark {
            counters.add(Counter::Marks, 1);
        } else {
            counters.add(Counter::Batches, 1);
            self.mark = Mark::Due;
        }
        if let Some(number) = batch.through {
            self.replica.persisted(number);
        }
        self.pump(counters, effects)
    }

    /// A log file just said again all that is not applied: with the state as it is now, it is all there is.
    fn begin_snapshot(
        &mut self,
        sequence: u64,
        config: &Config<F>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        let Some(mut mark) = self.replica.mark() else { return };
        // Who wanted one while the batch before it was written gets this one.
        self.snapshot_due = false;
        self.replaced = core::mem::take(&mut self.log.grown);
        self.state.map.freeze();
        let sessions = match config.bug {
            Some(Bug::SessionsLostInSnapshot) => Default::default(),
            _ => self.state.sessions.records(),
        };
        mark.index.0 += u64::from(config.bug == Some(Bug::CheckpointAheadOfLog));
        let (owner, what) = (config.cluster.0, (mark, self.state.index));
        self.snapshot =
            Some(Snapshot::begin(Purpose::Snapshot, owner, sequence, what, sessions, disk, effects));
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
        let progress = snapshot.on_done(result, &mut self.state.map, disk, effects);
        let is_durable = progress == snapshot::Progress::Durable;
        match progress {
            snapshot::Progress::None => return Ok(()),
            snapshot::Progress::Failed(error) => return Err(log::failure(error)),
            snapshot::Progress::Durable => {
                counters.add(Counter::Snapshots, 1);
                let (mark, length) = (snapshot.mark().clone(), snapshot.length());
                self.replica.on_snapshot(&mark);
                self.held = Some(Held { mark, sequence, length });
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
        self.on_snapshot_ended(is_durable, effects);
        Ok(())
    }

    /// Whether a snapshot can begin: none is under way, and as far as is known there is room for it.
    pub(crate) fn may_snapshot(&self) -> bool {
        let is_idle = self.snapshot.is_none() && self.transfer.is_none() && self.installed.is_none();
        is_idle && !self.log.is_beginning() && self.room.has(0, self.state.snapshot_bytes())
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

    /// The log goes on from a snapshot that another member gave.
    fn on_installed(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        if let Some(held) = self.installed.take() {
            self.log.grown = 0;
            self.files.insert(snapshot_name(held.sequence));
            self.delete_before(held.sequence, disk, effects);
            self.held = Some(held);
        }
    }

    /// Time passes only where there are others.
    pub(crate) fn keep_time(&mut self, effects: &mut Effects<Effect>) {
        if self.replica.has_others && !self.is_ticking {
            self.is_ticking = true;
            effects.push(Effect::SetTimer { timer: TICK_TIMER, after: TICK });
        }
    }

    /// A tick is over.
    pub(crate) fn on_tick(
        &mut self,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.is_ticking = false;
        self.replica.tick();
        self.tick_transfer(effects);
        self.announce(effects);
        self.tell_standing(effects);
        self.promote();
        self.pump(counters, effects)
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
        config: &Config<F>,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.propose(counters, effects)?;
        self.restore_transfer(config, disk, effects);
        if !self.log.is_ready() {
            return Ok(());
        }
        if self.log.is_writing() {
            self.log.write_again(disk, effects);
        } else if let Some(anew) = self.anew() {
            if self.is_place_for(&anew) {
                self.write(Some(anew), disk, counters, effects);
            } else {
                self.log.rotate(disk, effects);
            }
        } else if self.replica.is_due() || self.mark == Mark::Now {
            self.write(None, disk, counters, effects);
        } else if self.mark == Mark::Due {
            self.mark = Mark::Waiting;
            effects.push(Effect::SetTimer { timer: MARK_TIMER, after: MARK_AFTER });
        }
        Ok(())
    }

    /// Whether the log must begin anew in a file of its own, and with what.
    fn anew(&self) -> Option<Anew> {
        match self.replica.begins() {
            Some(begins) => Some(begins.clone()),
            None if self.transfer.is_some() => None,
            None => self.snapshot_due.then(|| Anew { upon: Some(self.log.sequence()), install: None }),
        }
    }

    /// Whether the log can begin anew in the file that is open: it is behind the snapshot, and has nothing yet.
    fn is_place_for(&self, anew: &Anew) -> bool {
        self.log.is_fresh() && anew.upon.is_none_or(|upon| upon <= self.log.sequence())
    }

    /// Whether the next batch goes to another file.
    pub(crate) fn is_rotating(&self) -> bool {
        self.anew().is_some_and(|anew| !self.is_place_for(&anew))
    }

    fn write(
        &mut self,
        anew: Option<Anew>,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        if self.mark == Mark::Waiting {
            effects.push(Effect::ClearTimer(MARK_TIMER));
        }
        self.mark = Mark::Settled;
        let mut batch = self.replica.take_unwritten(anew.as_ref());
        if let Some(anew) = anew {
            batch.begins = match anew.upon {
                Some(_) if self.installed.is_some() => Some(Begins::Installed),
                Some(sequence) if core::mem::take(&mut self.snapshot_due) => Some(Begins::Snapshot(sequence)),
                _ => None,
            };
        }
        let grown = self.log.grown;
        self.log.write(batch, disk, effects);
        let written = self.log.grown - grown;
        counters.add(Counter::LogBytes, written);
        if self.room.used(written, 2 * self.state.snapshot_bytes()) {
            self.room.look(disk, effects);
        }
    }
}

/// Sends an answer.
pub(crate) fn reply(to: NodeId, request: u64, body: KvAnswer, effects: &mut Effects<Effect>) {
    effects.push(Effect::Send { to, message: Message::KvReply(KvReply { request, body }) });
}

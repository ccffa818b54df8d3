//! What all groups of a KV share: one log, one table, and the room on the disk.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use formats::Effect;
use formats::message::standing::DiskRoom;
use glossary::GroupId;
use step::{DiskOperation, Effects, FileName, TimerId, Timestamp};

use crate::checkpoint::Checkpoint;
use crate::disk::{Disk, Named, Purpose, named};
use crate::held::ANNOUNCE_AFTER;
use crate::log::Log;
use crate::room::Room;
use crate::waiting::LOOK;

/// How long a full disk is left alone before it is tried again.
pub(crate) const ROOM_AFTER: Duration = Duration::from_secs(1);

/// What a checkpoint takes, whatever is in it.
const CHECKPOINT_BYTES: u64 = 60 << 10;

/// A tick of all groups'.
const TICK: Duration = Duration::from_millis(50);

pub(crate) const MARK_TIMER: TimerId = TimerId(1);
pub(crate) const ROOM_TIMER: TimerId = TimerId(2);
pub(crate) const TICK_TIMER: TimerId = TimerId(3);
pub(crate) const GATHER_TIMER: TimerId = TimerId(4);
pub(crate) const ANNOUNCE_TIMER: TimerId = TimerId(5);
pub(crate) const WAIT_TIMER: TimerId = TimerId(10);

/// What a group takes of what all groups share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Bytes that it has for a checkpoint, at most.
    pub(crate) checkpoint_bytes: u64,
    /// Bytes of its requests that wait.
    pub(crate) queued: u64,
    /// 1 while another member gives it a state.
    pub(crate) arriving: u64,
    /// 1 while time passes for it.
    pub(crate) ticking: u64,
    /// 1 while its log must begin anew.
    pub(crate) beginning: u64,
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

/// What all groups share.
#[derive(Debug)]
pub(crate) struct Device {
    /// When the step began that is being done.
    pub(crate) now: Timestamp,
    pub(crate) log: Log,
    pub(crate) mark: Mark,
    pub(crate) room: Room,
    /// What stays free beside what checkpoints take ([`crate::Config::room_kept`]).
    kept: u64,
    /// The shares of all groups.
    all: Share,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// A checkpoint is to begin with the next log file.
    pub(crate) checkpoint_due: bool,
    /// A commit is under way.
    pub(crate) is_table_busy: bool,
    /// The next checkpoint writes all anew.
    pub(crate) rewrites: bool,
    /// Groups of which nothing is to be left in the table.
    pub(crate) dropped: Vec<GroupId>,
    /// So many of them the log's last beginning says nothing of. The others' rows stay until it begins again: a start that
    /// finds a group's records misses its state otherwise.
    pub(crate) leaving: usize,
    /// Files that hold what the table does not.
    pub(crate) files: BTreeSet<FileName>,
    /// The folder says that it has no log yet.
    pub(crate) is_new: bool,
    /// A timer runs for the next tick.
    is_ticking: bool,
    /// A timer runs, and then it is looked who waited long enough.
    is_looking: bool,
    /// Groups that may hold something that others are to hear; a timer runs while there are some.
    pub(crate) announcing: BTreeSet<GroupId>,
}

impl Device {
    /// A log that is being opened, and the files before it.
    pub(crate) fn new(log: Log, room: Room, kept: u64, files: BTreeSet<FileName>) -> Self {
        Device {
            kept,
            now: Timestamp::default(),
            log,
            mark: Mark::Settled,
            room,
            all: Share::default(),
            checkpoint: None,
            checkpoint_due: false,
            is_table_busy: false,
            rewrites: false,
            dropped: Vec::new(),
            leaving: 0,
            files,
            is_new: false,
            is_ticking: false,
            is_looking: false,
            announcing: BTreeSet::new(),
        }
    }

    /// A group takes another share than before.
    pub(crate) fn note(&mut self, before: Share, now: Share) {
        let of = |all: u64, before: u64, now: u64| all - before + now;
        self.all = Share {
            checkpoint_bytes: of(self.all.checkpoint_bytes, before.checkpoint_bytes, now.checkpoint_bytes),
            queued: of(self.all.queued, before.queued, now.queued),
            arriving: of(self.all.arriving, before.arriving, now.arriving),
            ticking: of(self.all.ticking, before.ticking, now.ticking),
            beginning: of(self.all.beginning, before.beginning, now.beginning),
        };
    }

    /// Bytes that a checkpoint takes, at most.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.all.checkpoint_bytes + CHECKPOINT_BYTES
    }

    /// Bytes of requests that wait, of all groups.
    pub(crate) fn queued(&self) -> u64 {
        self.all.queued
    }

    /// Whether the log of some group must begin anew.
    pub(crate) fn is_beginning(&self) -> bool {
        self.all.beginning > 0
    }

    /// Whether another member gives a state to some group.
    pub(crate) fn is_arriving(&self) -> bool {
        self.all.arriving > 0
    }

    /// Whether a checkpoint can begin: none is under way, and as far as is known there is room for it.
    pub(crate) fn may_checkpoint(&self) -> bool {
        let is_idle = !self.is_table_busy && self.all.arriving == 0;
        is_idle && !self.log.is_beginning() && self.room.has(0, self.checkpoint_bytes())
    }

    /// Bytes that commands leave free.
    pub(crate) fn reserve(&self, only_removes: bool) -> u64 {
        let (rounds, kept) = if only_removes { (1, self.kept / 2) } else { (2, self.kept) };
        rounds * self.checkpoint_bytes() + kept
    }

    /// Whether commands are taken, as far as room goes: none was turned away lately that would be again.
    pub(crate) fn has_room(&self) -> bool {
        self.room.has(self.room.wanted(), self.reserve(false))
    }

    /// Whether what was turned away was too large, and smaller commands are taken.
    pub(crate) fn has_some_room(&self) -> bool {
        self.room.has(0, self.reserve(false))
    }

    /// What its disk can take, in the words that members tell each other.
    pub(crate) fn disk_room(&self) -> DiskRoom {
        match () {
            () if self.log.is_full() || self.log.hangs() => DiskRoom::Nothing,
            () if !self.has_room() => DiskRoom::Removals,
            () => DiskRoom::Enough,
        }
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

    /// Time passes only where there are others.
    pub(crate) fn keep_time(&mut self, effects: &mut Effects<Effect>) {
        if self.all.ticking > 0 && !self.is_ticking {
            self.is_ticking = true;
            effects.push(Effect::SetTimer { timer: TICK_TIMER, after: TICK });
        }
    }

    /// A tick is over.
    pub(crate) fn on_tick(&mut self) {
        self.is_ticking = false;
        self.log.on_tick();
    }

    /// Somebody waits: it is looked in a while who waited long enough.
    pub(crate) fn look_later(&mut self, effects: &mut Effects<Effect>) {
        if !self.is_looking {
            self.is_looking = true;
            effects.push(Effect::SetTimer { timer: WAIT_TIMER, after: LOOK });
        }
    }

    /// A group holds something that it may say in a moment.
    pub(crate) fn announce_later(&mut self, group: GroupId, effects: &mut Effects<Effect>) {
        if self.announcing.is_empty() {
            effects.push(Effect::SetTimer { timer: ANNOUNCE_TIMER, after: ANNOUNCE_AFTER });
        }
        self.announcing.insert(group);
    }

    /// It is looked now.
    pub(crate) fn on_look(&mut self) {
        self.is_looking = false;
    }

    /// How many log files there are.
    pub(crate) fn log_files(&self) -> usize {
        self.files.iter().filter(|file| matches!(named(**file), Some(Named::Log(_)))).count()
    }

    /// Deletes what a checkpoint stands for that the log goes on from with file `first`.
    pub(crate) fn delete_before(&mut self, first: u64, disk: &mut Disk, effects: &mut Effects<Effect>) {
        let replaced = |file: &FileName| match named(*file) {
            Some(Named::Log(sequence)) => sequence < first,
            Some(Named::Snapshot(_)) => true,
            None => false,
        };
        for file in self.files.iter().copied().filter(replaced) {
            disk.start(Purpose::Forget, DiskOperation::Delete { file }, effects);
        }
        self.files.retain(|file| !replaced(file));
    }
}

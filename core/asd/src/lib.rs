//! An ASD: a conditional, atomic key/value store on one disk, as an append-only log of segments with an
//! index in memory (PROTOCOLS F10, F12, L3, L4).
//!
//! [`Asd`] is a [`step::Machine`]. It starts by reading its log ([`Phase`]), gathers what it is asked for and
//! writes it in batches (`commit`), reads (`reads`), writes its index down (`checkpoint`) and keeps its log
//! short (`compaction`). What must hold after every step is in `invariants`.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod batch;
mod checkpoint;
mod commit;
mod compaction;
mod config;
mod counters;
mod heads;
mod holders;
mod index;
mod invariants;
mod limits;
mod log;
mod names;
mod queue;
mod reads;
mod recovery;
mod segments;
mod serve;
mod space;
mod start;
mod verify;

pub use config::Config;
pub use counters::COUNTERS;
pub use names::new_file;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use formats::{Effect, Event, Message};
use step::{DiskOperation, DiskResult, Effects, FileName, Machine, OperationId, TimerId, Timestamp};

use crate::checkpoint::Checkpoints;
use crate::commit::MARK_TIMER;
use crate::compaction::{COMPACTION_TIMER, Compaction};
use crate::counters::Counters;
use crate::heads::Heads;
use crate::index::{Index, Key, Value};
use crate::log::Log;
use crate::queue::Queue;
use crate::reads::{Read, ReadLoad};
use crate::recovery::Recovery;
use crate::segments::Segments;
use crate::space::Marks;

pub(crate) type Outbox = Effects<Effect>;

/// Fires when it is time to try again what had no room or no disk.
pub(crate) const RETRY_TIMER: TimerId = TimerId(3);

/// Where an ASD is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not started.
    New,
    /// Reads its log.
    Recovering(Box<Recovery>),
    /// Writes the part of this file again that no mark vouches for (L4).
    Rewriting(FileName),
    /// Syncs it.
    Syncing,
    /// The device has no room for that: it starts again in a while.
    Paused,
    /// Begins a segment, which cuts off whatever lies behind what is kept.
    Opening,
    /// Does all it is asked for.
    Serving,
    /// The device has no room for a segment: it only reads.
    NoRoom,
    /// A write failed: waits for what is in flight, then reads its log anew (L4).
    Draining,
    /// Does nothing until it is started anew, and says why.
    Stopped(String),
    /// The same, as its log can't be read: what it holds counts as lost until then.
    Unreadable(String),
}

/// What a disk operation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Recovery,
    Kept,
    Log,
    Checkpoint,
    Space,
    Free(u64),
    Move(u64, Key, Value),
    Read(Read),
    Nothing,
}

/// An ASD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asd {
    config: Config,
    phase: Phase,
    /// What is durable, and nothing else.
    index: Index,
    segments: Segments,
    marks: Marks,
    log: Log,
    queue: Queue,
    read_load: ReadLoad,
    heads: Heads,
    checkpoints: Checkpoints,
    compaction: Compaction,
    /// Whether the last sync still lacks its mark.
    wants_mark: bool,
    /// Files to delete once a new segment is open.
    junk: Vec<FileName>,
    /// Whether the folder says that it has no log yet.
    is_new: bool,
    operations: BTreeMap<OperationId, Waits>,
    last_operation: u64,
    timers: BTreeSet<TimerId>,
    counters: Counters,
    /// Whether the costly invariants are worth a look.
    index_changed: bool,
}

impl Asd {
    /// An ASD that hasn't started.
    pub fn new(config: Config) -> Self {
        config.check();
        Asd {
            phase: Phase::New,
            index: Index::default(),
            segments: Segments::default(),
            marks: Marks::new(config.capacity.0, config.segment_bytes),
            log: Log::new(config.identity, config.segment_bytes, None, 1),
            queue: Queue::default(),
            read_load: ReadLoad::default(),
            heads: Heads::default(),
            checkpoints: Checkpoints::new(None, 1, 0),
            compaction: Compaction::default(),
            wants_mark: false,
            junk: Vec::new(),
            is_new: false,
            operations: BTreeMap::new(),
            last_operation: 0,
            timers: BTreeSet::new(),
            counters: Counters::new(),
            index_changed: false,
            config,
        }
    }

    /// Emits a disk operation.
    fn disk(&mut self, waits: Waits, what: DiskOperation, effects: &mut Outbox) {
        self.last_operation += 1;
        let operation = OperationId(self.last_operation);
        self.operations.insert(operation, waits);
        effects.push(Effect::Disk { operation, what });
    }

    /// Sets a timer that isn't set.
    fn arm(&mut self, timer: TimerId, after: core::time::Duration, effects: &mut Outbox) {
        if self.timers.insert(timer) {
            effects.push(Effect::SetTimer { timer, after });
        }
    }

    fn on_timer(&mut self, timer: TimerId, effects: &mut Outbox) {
        self.timers.remove(&timer);
        match timer {
            MARK_TIMER => self.write_mark(effects),
            COMPACTION_TIMER => self.compact(effects),
            RETRY_TIMER => self.retry(effects),
            _ => {}
        }
    }

    fn on_disk(&mut self, operation: OperationId, result: DiskResult, effects: &mut Outbox) {
        let Some(waits) = self.operations.remove(&operation) else { return };
        let is_over = matches!(self.phase, Phase::Draining | Phase::Stopped(_) | Phase::Unreadable(_));
        match waits {
            Waits::Read(read) => self.on_read(read, result, effects),
            Waits::Checkpoint if self.phase == Phase::Draining => {
                self.on_drained_checkpoint(&result, effects)
            }
            _ if is_over => {}
            Waits::Recovery => self.on_recovery(result, effects),
            Waits::Kept => self.on_kept(result, effects),
            Waits::Log => self.on_log(result, effects),
            Waits::Checkpoint => self.on_checkpoint(result, effects),
            Waits::Space => self.on_space(result),
            Waits::Free(sequence) => self.on_freed(sequence, &result),
            Waits::Move(round, key, value) => self.on_move((round, key, value), result, effects),
            Waits::Nothing => {}
        }
        if self.phase == Phase::Draining && self.operations.is_empty() {
            self.reload(effects);
        }
    }

    /// Everything that waited was delivered: what was gathered is turned into few large effects.
    fn on_turn_end(&mut self, effects: &mut Outbox) {
        self.commit(effects);
        self.checkpoint(effects);
        self.await_mark(effects);
        self.await_compaction(effects);
    }
}

impl Machine for Asd {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, _now: Timestamp, event: Event, effects: &mut Outbox) {
        match event {
            Event::Start { .. } => self.start(effects),
            Event::Message { from, message: Message::Asd(request) } => {
                self.on_request(from, request, effects)
            }
            Event::Message { from, message: Message::Admin(request) } => {
                self.on_admin(from, request, effects)
            }
            Event::Disk { operation, result } => self.on_disk(operation, result, effects),
            Event::Timer(timer) => self.on_timer(timer, effects),
            Event::TurnEnd => self.on_turn_end(effects),
            Event::Message { .. } | Event::Worked { .. } => {}
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        self.index_changed = false;
    }
}

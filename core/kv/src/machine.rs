//! The KV as a machine: which event goes where.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::time::Duration;
use formats::message::kv::{KvAnswer, KvError, KvReply};
use formats::{Effect, Event, Message};
use glossary::NodeId;
use step::{Bug, DiskOperation, DiskResult, Effects, FileName, Function, Machine, TimerId, Timestamp};

use crate::asked::{Batch, Queue};
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::disk::{Disk, Named, Purpose, named, snapshot_name};
use crate::log::{self, Log};
use crate::snapshot::{self, Snapshot};
use crate::start::{Start, Started};
use crate::state::State;

/// A sync that nothing follows for so long is followed by a mark.
const MARK_AFTER: Duration = Duration::from_millis(200);

/// How long a full disk is left alone before it is tried again.
const ROOM_AFTER: Duration = Duration::from_secs(1);

pub(crate) const MARK_TIMER: TimerId = TimerId(1);
const ROOM_TIMER: TimerId = TimerId(2);

/// An ordered map of bytes with hosted functions `F`. See the crate's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv<F> {
    config: Config<F>,
    disk: Disk,
    counters: Counters,
    phase: Phase<F>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase<F> {
    /// Nothing happened yet.
    New,
    /// Files of an earlier life are being read.
    Starting(Start<F>),
    Serving(Serving<F>),
    /// For good.
    Halted,
}

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

impl<F: Function> Kv<F> {
    /// A KV that has not started.
    pub fn new(config: Config<F>) -> Self {
        Kv { config, disk: Disk::default(), counters: Counters::new(), phase: Phase::New }
    }

    fn on_start(&mut self, effects: &mut Effects<Effect>) {
        let Config { cluster, functions, bug, .. } = &self.config;
        let start = Start::begin(cluster.0, *bug, functions.clone(), &mut self.disk, effects);
        self.phase = Phase::Starting(start);
    }

    fn on_disk(&mut self, purpose: Purpose, result: DiskResult, effects: &mut Effects<Effect>) {
        let disk = &mut self.disk;
        let ended = match (&mut self.phase, purpose) {
            (Phase::Starting(start), _) => {
                match start.on_done(purpose, result, &self.config.functions, disk, effects) {
                    Ok(Some(started)) => {
                        self.phase = Phase::Serving(Serving::begin(started, &self.config, disk, effects));
                        Ok(())
                    }
                    Ok(None) => Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
            (Phase::Serving(serving), Purpose::Log) => {
                serving.on_log(result, &self.config, disk, &mut self.counters, effects)
            }
            (Phase::Serving(serving), Purpose::Snapshot) => {
                serving.on_snapshot(result, disk, &mut self.counters, effects)
            }
            _ => Ok(()),
        };
        if let Err(reason) = ended {
            self.phase = Phase::Halted;
            effects.push(Effect::Halt { reason });
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        let serving = match &mut self.phase {
            Phase::Serving(serving) => Some(serving),
            Phase::New | Phase::Starting(_) => None,
            Phase::Halted => return,
        };
        match message {
            Message::Kv(request) => {
                let asked = request.request;
                let answer = match serving {
                    Some(serving) => serving.on_request(from, request, &mut self.counters),
                    None => {
                        self.counters.add(Counter::NotNow, 1);
                        Some(KvAnswer::Failed(KvError::Unavailable))
                    }
                };
                if let Some(body) = answer {
                    reply(from, asked, body, effects);
                }
            }
            Message::Admin(request) => {
                let body = crate::status::answer(&request.body, serving.as_deref(), &self.counters);
                let message = crate::status::reply(request.request, body);
                effects.push(Effect::Send { to: from, message });
            }
            // A message that is meant for somebody else has no answer here.
            _ => {}
        }
    }

    fn on_timer(&mut self, timer: TimerId, effects: &mut Effects<Effect>) {
        let Phase::Serving(serving) = &mut self.phase else { return };
        match timer {
            MARK_TIMER if serving.mark == Mark::Waiting => serving.mark = Mark::Now,
            ROOM_TIMER => serving.log.try_again(&mut self.disk, effects),
            _ => {}
        }
    }
}

impl<F: Function> Machine for Kv<F> {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, _now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        match event {
            Event::Start { .. } => self.on_start(effects),
            Event::Message { from, message } => self.on_message(from, message, effects),
            Event::Disk { operation, result } => {
                if let Some(purpose) = self.disk.end(operation) {
                    self.on_disk(purpose, result, effects);
                }
            }
            Event::Timer(timer) => self.on_timer(timer, effects),
            Event::TurnEnd => {
                if let Phase::Serving(serving) = &mut self.phase {
                    serving.on_turn_end(&mut self.disk, &mut self.counters, effects);
                }
            }
            // No work is ever asked for.
            Event::Worked { .. } => {}
        }
    }
}

impl<F: Function> Serving<F> {
    /// Serves what the start found. The log's next file is opened meanwhile.
    fn begin(
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
        Serving {
            state,
            queue: Queue::default(),
            log,
            snapshot: None,
            snapshot_due: false,
            files: kept.into_iter().collect(),
            mark: Mark::Settled,
        }
    }

    fn on_log(
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
                self.files.insert(crate::disk::log_name(self.log.sequence()));
                if self.snapshot_due {
                    self.begin_snapshot(config, disk, effects);
                }
            }
            log::Progress::Durable(batch) => {
                self.on_durable(batch, counters, effects);
                self.snapshot_due |= self.snapshot.is_none() && self.log.grown >= config.snapshot_log_bytes;
            }
            log::Progress::Full => {
                counters.add(Counter::Full, 1);
                self.on_full(counters, effects);
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
        self.log.grown = 0;
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

    fn on_snapshot(
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
            }
        }
        self.state.map.thaw();
        self.snapshot = None;
        Ok(())
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

    fn on_turn_end(&mut self, disk: &mut Disk, counters: &mut Counters, effects: &mut Effects<Effect>) {
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
            counters.add(Counter::LogBytes, self.log.grown - grown);
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

//! Compaction: what is needed of the deadest segments is copied to the end of the log, and once a
//! checkpoint that doesn't mention them is durable, they go (PROTOCOLS F10).
//!
//! A round goes through the index, a slice at a time, collects what lies in its victims, reads and verifies
//! it, and has it written with the guests' next batches. What doesn't check any more is kept as lost: its key
//! is told as damaged until it is deleted or stored again.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use formats::asd_record::RecordKind;
use formats::journal::PAGE;
use step::{Bug, DiskError, DiskOperation, DiskOutcome, DiskResult, TimerId};

use crate::batch::Tally;
use crate::counters::Counter;
use crate::index::{Key, Slot, Value};
use crate::limits::{
    ENTRY_ESTIMATE_BYTES, HURRIED_AFTER, LOOK_AFTER, MAX_VICTIMS, MOVE_BYTES, MOVE_RECORDS, SCAN_ENTRIES,
    SLICE_AFTER,
};
use crate::names::segment_file;
use crate::queue::Change;
use crate::segments::{Life, Segment};
use crate::verify::whole_value;
use crate::{Asd, Outbox, Phase, Waits};

/// Fires when it is time to look for work or to go on with it.
pub(crate) const COMPACTION_TIMER: TimerId = TimerId(2);

/// What the batches of a round may take beyond its records: headers, and pages that aren't full.
const SPARE_BYTES: u64 = 16 * PAGE;

/// Segments that a round fills at most: with more, the first would wait long for the last.
const ROUND_SEGMENTS: u64 = 4;

/// What a round must gain where it moves anything: more than what its own batches may waste.
const MIN_GAIN_BYTES: u64 = 2 * PAGE;

/// A record to be written anew, and where it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: (u64, u32),
    pub(crate) change: Change,
}

/// Where compaction is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compaction {
    round: Option<Round>,
    /// Whether something changed since the last look.
    is_dirty: bool,
    /// A victim can't be read: no more compaction in this life.
    is_off: bool,
    /// Whether the last batch had no room for a move that waited.
    is_starved: bool,
    /// Whether the open segment should be closed, because it is the deadest.
    closes_segment: bool,
    /// Counts rounds: what was read for an earlier one is of no use.
    rounds: u64,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Round {
    number: u64,
    victims: BTreeSet<u64>,
    /// Keys up to here have been looked at.
    cursor: Option<Key>,
    /// Whether all have.
    is_scanned: bool,
    /// What was found and is not yet being read.
    found: Vec<(Key, Slot)>,
    found_bytes: u64,
    reading: usize,
    /// What can be written.
    ready: VecDeque<Move>,
    /// Moves that are being read, ready, or in the batch in flight.
    outstanding: usize,
}

impl Compaction {
    pub(crate) fn look_again(&mut self) {
        self.is_dirty = true;
    }

    /// Forgets the round: what was copied so far is in the log, and what wasn't stays where it is. Whoever
    /// calls this says when to look again.
    pub(crate) fn abort(&mut self) {
        self.round = None;
        self.is_starved = false;
    }

    /// Whether the open segment should be closed; asked for once.
    pub(crate) fn take_close(&mut self) -> bool {
        core::mem::take(&mut self.closes_segment)
    }

    pub(crate) fn is_starved(&self) -> bool {
        self.is_starved
    }

    /// A batch was put together; did a move get into it?
    pub(crate) fn note_turn(&mut self, moved: bool) {
        self.is_starved = !moved && self.next_move_bytes().is_some();
    }

    pub(crate) fn next_move_bytes(&self) -> Option<u64> {
        self.round.as_ref()?.ready.front().map(|moved| moved.change.record_bytes())
    }

    pub(crate) fn next_move(&mut self) -> Option<Move> {
        self.round.as_mut()?.ready.pop_front()
    }

    /// The number of the latest round.
    pub(crate) fn round_number(&self) -> u64 {
        self.rounds
    }

    /// The moves of a batch are durable, or turned out to be needless.
    pub(crate) fn moved(&mut self, tally: &Tally) {
        if let Some(round) = self.round.as_mut().filter(|round| round.number == tally.round) {
            round.outstanding -= tally.moves;
        }
    }

    /// Whether a round waits for nothing but its next slice.
    fn waits_for_slice(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.outstanding == 0)
    }
}

impl Asd {
    /// Has compaction go on in a while when there is something to do.
    pub(crate) fn await_compaction(&mut self, effects: &mut Outbox) {
        if self.phase != Phase::Serving || self.compaction.is_off {
            return;
        }
        let hurried = self.marks.is_pressing(self.segments.used());
        if self.compaction.waits_for_slice() {
            self.arm(COMPACTION_TIMER, if hurried { HURRIED_AFTER } else { SLICE_AFTER }, effects);
        } else if self.compaction.round.is_none() && self.compaction.is_dirty {
            self.arm(COMPACTION_TIMER, if hurried { HURRIED_AFTER } else { LOOK_AFTER }, effects);
        }
    }

    /// The time has come.
    pub(crate) fn compact(&mut self, effects: &mut Outbox) {
        if self.phase != Phase::Serving || self.compaction.is_off {
            return;
        }
        if self.compaction.waits_for_slice() {
            self.scan_slice(effects);
        } else if self.compaction.round.is_none() && self.compaction.is_dirty {
            self.look();
        }
    }

    /// Chooses victims, or has the checkpoint written that lets victims go or makes segments eligible.
    fn look(&mut self) {
        self.compaction.is_dirty = false;
        let used = self.segments.used();
        let share = self.marks.dead_share_wanted(used);
        let open = self.log.open_segment();
        let is_worth = |segment: &Segment| gain(segment) * 100 >= share * segment.bytes;
        let horizon = self.checkpoints.horizon();
        let (mut eligible, mut beyond): (Vec<(u64, u64, Segment)>, u64) = (Vec::new(), 0);
        for (sequence, segment) in self.segments.iter() {
            match segment.life {
                Life::Needed if sequence == open || !is_worth(segment) => {}
                Life::Needed if sequence < horizon => {
                    eligible.push((segment.live * 1000 / segment.bytes, sequence, *segment));
                }
                Life::Needed => beyond += segment.dead(),
                Life::Doomed => beyond += segment.bytes,
                Life::Leaving => {}
            }
        }
        eligible.sort_unstable_by_key(|(share, sequence, _)| (*share, *sequence));
        let victims = self.choose(&eligible);
        if !victims.is_empty() {
            self.compaction.rounds += 1;
            let number = self.compaction.rounds;
            self.compaction.round = Some(Round { number, victims, ..Round::default() });
        } else if beyond > 0 {
            let is_worth = beyond >= self.checkpoint_estimate() || self.marks.is_pressing(used);
            if is_worth && !self.checkpoints.is_busy() {
                self.checkpoints.want();
            }
        } else if self.marks.is_pressing(used) {
            let gained = self.segments.get(open).map_or(0, gain);
            self.compaction.closes_segment = gained >= MIN_GAIN_BYTES + PAGE;
        }
    }

    /// The victims of a round, the deadest first: no more than there is room for, and none of which anything
    /// has to be moved when that gains too little.
    fn choose(&self, eligible: &[(u64, u64, Segment)]) -> BTreeSet<u64> {
        let free = self.marks.capacity().saturating_sub(self.segments.used() + SPARE_BYTES);
        let mut room = free.min(ROUND_SEGMENTS * self.config.segment_bytes);
        let (mut dead, mut others, mut gained) = (BTreeSet::new(), BTreeSet::new(), 0);
        for (_, sequence, segment) in eligible.iter().take(MAX_VICTIMS) {
            if segment.live == 0 {
                dead.insert(*sequence);
            } else if segment.live <= room {
                room -= segment.live;
                gained += gain(segment);
                others.insert(*sequence);
            }
        }
        if gained >= MIN_GAIN_BYTES {
            dead.append(&mut others);
        }
        dead
    }

    /// Bytes that a checkpoint takes, about.
    fn checkpoint_estimate(&self) -> u64 {
        (self.index.len() + self.index.tombstones()) * ENTRY_ESTIMATE_BYTES
    }

    fn scan_slice(&mut self, effects: &mut Outbox) {
        let Some(round) = self.compaction.round.as_mut() else { return };
        let mut needless: Vec<Key> = Vec::new();
        let is_enough = |round: &Round| round.found.len() >= MOVE_RECORDS || round.found_bytes >= MOVE_BYTES;
        let mut last = None;
        round.is_scanned = true;
        for (count, (key, slot)) in self.index.after(round.cursor.as_deref()).enumerate() {
            if count == SCAN_ENTRIES || is_enough(round) {
                round.is_scanned = false;
                break;
            }
            last = Some(key);
            if matches!(slot, Slot::Tombstone(t) if !t.is_needed(&self.segments)) {
                needless.push(key.into());
            } else if round.victims.contains(&slot.segment()) {
                round.found.push((key.into(), slot));
                round.found_bytes += slot.record_bytes(key);
            }
        }
        if let Some(last) = last.map(Key::from) {
            round.cursor = Some(last);
        }
        let is_to_be_read = round.is_scanned || is_enough(round);
        needless.iter().for_each(|key| self.index.forget(key, &mut self.segments));
        self.index_changed |= !needless.is_empty();
        if is_to_be_read {
            self.read_found(effects);
        }
    }

    /// Reads what was found; what has no value is ready as it is.
    fn read_found(&mut self, effects: &mut Outbox) {
        let Some(round) = self.compaction.round.as_mut() else { return };
        let found = core::mem::take(&mut round.found);
        round.found_bytes = 0;
        round.outstanding = found.len();
        if found.is_empty() {
            self.finish_round();
            return;
        }
        let mut reads = Vec::new();
        for (key, slot) in found {
            let from = (slot.segment(), slot.position());
            match slot {
                Slot::Value(value) if !value.damaged => reads.push((key, value)),
                Slot::Value(value) => round.ready.push_back(Move { from, change: lost(key, &value) }),
                Slot::Tombstone(_) => round.ready.push_back(Move { from, change: Change::delete(key) }),
            }
        }
        round.reading = reads.len();
        let number = round.number;
        for (key, value) in reads {
            let (file, offset) = (segment_file(value.segment), u64::from(value.position));
            let what = DiskOperation::Read { file, offset, length: value.record_bytes(&key) };
            self.disk(Waits::Move(number, key, value), what, effects);
        }
    }

    /// A record was read, to be moved.
    pub(crate) fn on_move(
        &mut self,
        (number, key, value): (u64, Key, Value),
        result: DiskResult,
        effects: &mut Outbox,
    ) {
        let Some(round) = self.compaction.round.as_mut().filter(|round| round.number == number) else {
            return;
        };
        let is_unchecked = self.config.has(Bug::CrcUnchecked);
        let change = match result {
            Ok(DiskOutcome::Read(bytes)) => match whole_value(&key, &value, &bytes, is_unchecked) {
                Some(bytes) => {
                    let pieces = alloc::vec![bytes];
                    Change { kind: RecordKind::Put, key, length: value.length, crc: value.crc, pieces }
                }
                None => lost(key, &value),
            },
            Ok(_) | Err(DiskError::NotFound) => lost(key, &value),
            Err(DiskError::Failed | DiskError::Full | DiskError::Damaged) => {
                // It may be readable another day: what can't be read is not given up, so its segment stays.
                self.compaction.abort();
                self.compaction.is_off = true;
                return;
            }
        };
        if change.kind == RecordKind::Lost {
            self.counters.count(Counter::Damaged);
        }
        round.ready.push_back(Move { from: (value.segment, value.position), change });
        round.reading -= 1;
        if self.config.has(Bug::SegmentReusedEarly) && round.is_scanned && round.reading == 0 {
            for sequence in round.victims.clone() {
                let file = segment_file(sequence);
                self.disk(Waits::Nothing, DiskOperation::Delete { file }, effects);
            }
        }
    }

    /// Nothing is left in the victims.
    fn finish_round(&mut self) {
        let Some(round) = self.compaction.round.take() else { return };
        for sequence in round.victims {
            let live = self.segments.get(sequence).map(|segment| segment.live);
            assert!(live == Some(0), "a victim of which all was moved holds nothing");
            self.segments.set_life(sequence, Life::Doomed);
        }
        self.counters.count(Counter::Compactions);
        self.compaction.look_again();
    }
}

/// What moving all that is needed elsewhere would gain, about: there it takes a batch and perhaps a header.
fn gain(segment: &Segment) -> u64 {
    let dead = segment.dead();
    if segment.live == 0 { dead } else { dead.saturating_sub(PAGE * (2 + segment.live / MOVE_BYTES)) }
}

/// The record of a value that doesn't check.
fn lost(key: Key, value: &Value) -> Change {
    Change { kind: RecordKind::Lost, key, length: value.length, crc: value.crc, pieces: Vec::new() }
}

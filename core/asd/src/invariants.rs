//! What must hold after every step:
//!
//! 1. Nothing waits, is written or is compacted but while serving.
//! 2. The log is synced up to its end, at most one batch is beyond, and the open segment is the newest.
//! 3. The queue is within its bounds.
//! 4. Each operation in flight of the log, and only that, has a batch that waits for it.
//! 5. What segments count as needed is the sum of what the index needs in them.
//! 6. A segment that may go is needed by no key.
//! 7. A value lies within its segment, or is known to be damaged.
//! 8. A tombstone is not older than what it buries.
//! 9. Values known to be damaged are counted.
//! 10. Reads in flight count as many as the segments have readers.

use alloc::collections::BTreeMap;

use crate::index::Slot;
use crate::segments::Life;
use crate::{Asd, Phase, Waits};

impl Asd {
    /// Panics where an invariant doesn't hold.
    pub fn check_invariants(&self) {
        let is_serving = self.phase == Phase::Serving;
        assert!(is_serving || self.queue.is_empty(), "1: nothing waits but while serving");
        let is_writing = is_serving || self.phase == Phase::Opening;
        assert!(is_writing || self.log.in_flight.is_none(), "1: nothing is written but while serving");
        assert!(!is_serving || self.log.is_open(), "2: serving needs an open segment");
        assert!(self.log.written() >= self.log.synced(), "2: nothing is synced before it is written");
        let newest = self.segments.iter().next_back().map_or(0, |(sequence, _)| sequence);
        assert!(!is_serving || newest == self.log.open_segment(), "2: the open segment is the newest");
        assert!(newest < self.log.next_sequence(), "2: sequences are never used again");
        assert!(self.queue.is_sound(), "3: the queue is within its bounds");
        let waiting = self.operations.values().filter(|waits| **waits == Waits::Log).count();
        let in_flight = usize::from(self.log.in_flight.is_some());
        assert!(!is_writing || waiting == in_flight, "4: a batch waits for its operation");
        if self.index_changed {
            self.check_index();
        }
    }

    fn check_index(&self) {
        let mut needed: BTreeMap<u64, u64> = BTreeMap::new();
        for (key, slot) in self.index.after(None) {
            *needed.entry(slot.segment()).or_default() += slot.record_bytes(key);
            match slot {
                Slot::Value(value) => {
                    let is_within = self.segments.get(value.segment).is_some_and(|segment| {
                        u64::from(value.position) < segment.bytes && segment.life == Life::Needed
                    });
                    assert!(is_within || value.damaged, "7: a value lies within its segment");
                    assert!(value.oldest <= value.segment, "7: a value is not older than its oldest record");
                }
                Slot::Tombstone(tombstone) => {
                    let holders = tombstone.holders;
                    let is_ordered = holders.oldest <= holders.newest && holders.oldest < tombstone.segment;
                    assert!(is_ordered, "8: a tombstone is not older than what it buries");
                }
            }
        }
        let damaged = self.index.after(None).filter(|(_, slot)| slot.is_damaged()).count() as u64;
        assert!(damaged == self.index.damaged(), "9: damaged values are counted");
        let mut readers = 0;
        for (sequence, segment) in self.segments.iter() {
            let sum = needed.get(&sequence).copied().unwrap_or_default();
            assert!(
                segment.live == sum,
                "5: segment {sequence} counts {} and is needed for {sum}",
                segment.live
            );
            assert!(segment.life == Life::Needed || segment.live == 0, "6: what may go is not needed");
            readers += segment.readers as usize;
        }
        let reading = self.operations.values().filter(|waits| matches!(waits, Waits::Read(_))).count();
        assert!(readers == reading, "10: readers are counted");
    }
}

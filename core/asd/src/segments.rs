//! The segments that are there: their bytes, and how many of these some key still needs.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a segment is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Holds what keys need; the newest of these may be the open one.
    Needed,
    /// Holds nothing that is needed; goes when a durable checkpoint doesn't mention it.
    Doomed,
    /// May go now: as soon as nobody reads in it.
    Leaving,
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Bytes of records that are needed.
    pub(crate) live: u64,
    /// Reads of guests in flight.
    pub(crate) readers: u32,
    pub(crate) life: Life,
}

impl Segment {
    /// Bytes that no key needs. A file that lost its end may be needed for more than it has.
    pub(crate) fn dead(&self) -> u64 {
        self.bytes.saturating_sub(self.live)
    }
}

/// All segments whose files are there, the open one included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    table: BTreeMap<u64, Segment>,
    used: u64,
}

impl Segments {
    pub(crate) fn add(&mut self, sequence: u64, bytes: u64) {
        let segment = Segment { bytes, live: 0, readers: 0, life: Life::Needed };
        let before = self.table.insert(sequence, segment);
        assert!(before.is_none(), "a sequence is never used again");
        self.used += bytes;
    }

    /// The file has grown to so many bytes.
    pub(crate) fn grow(&mut self, sequence: u64, bytes: u64) {
        let segment = self.table.get_mut(&sequence).expect("the open segment is in the table");
        self.used += bytes - segment.bytes;
        segment.bytes = bytes;
    }

    /// The file is durably gone.
    pub(crate) fn remove(&mut self, sequence: u64) {
        let segment = self.table.remove(&sequence).expect("a segment goes once");
        assert!(segment.live == 0 && segment.readers == 0, "nobody needs a segment that goes");
        self.used -= segment.bytes;
    }

    /// A key needs a record there. What needs a segment that is lost is not counted.
    pub(crate) fn claim(&mut self, sequence: u64, bytes: u64) {
        if let Some(segment) = self.table.get_mut(&sequence) {
            segment.live += bytes;
        }
    }

    /// A key no longer needs a record there.
    pub(crate) fn release(&mut self, sequence: u64, bytes: u64) {
        if let Some(segment) = self.table.get_mut(&sequence) {
            segment.live -= bytes;
        }
    }

    pub(crate) fn start_read(&mut self, sequence: u64) {
        if let Some(segment) = self.table.get_mut(&sequence) {
            segment.readers += 1;
        }
    }

    /// Whether the segment may go now that this read ended.
    pub(crate) fn end_read(&mut self, sequence: u64) -> bool {
        let Some(segment) = self.table.get_mut(&sequence) else { return false };
        segment.readers -= 1;
        segment.readers == 0 && segment.life == Life::Leaving
    }

    pub(crate) fn set_life(&mut self, sequence: u64, life: Life) {
        self.table.get_mut(&sequence).expect("the segment is there").life = life;
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Segment> {
        self.table.get(&sequence)
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.table.contains_key(&sequence)
    }

    /// Whether any from `from` up to and without `to` is there.
    pub(crate) fn any_in(&self, from: u64, to: u64) -> bool {
        from < to && self.table.range(from..to).next().is_some()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Segment)> {
        self.table.iter().map(|(sequence, segment)| (*sequence, segment))
    }

    /// Those after `cursor`, in order.
    pub(crate) fn after(&self, cursor: u64) -> impl Iterator<Item = (u64, &Segment)> {
        self.table.range(cursor.saturating_add(1)..).map(|(sequence, segment)| (*sequence, segment))
    }

    pub(crate) fn doomed(&self) -> Vec<u64> {
        self.iter()
            .filter(|(_, segment)| segment.life == Life::Doomed)
            .map(|(sequence, _)| sequence)
            .collect()
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Bytes that no key needs.
    pub(crate) fn dead(&self) -> u64 {
        self.table.values().map(Segment::dead).sum()
    }
}

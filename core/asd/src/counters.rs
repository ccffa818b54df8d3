//! What an ASD counts since its start.

use alloc::vec::Vec;

/// Names and meanings of the counters, in the order of the status.
pub const COUNTERS: &[(&str, &str)] = &[
    ("asd_reads", "Reads of values and of blocks"),
    ("asd_read_bytes", "Bytes read from the disk for reads"),
    ("asd_read_blocks", "Blocks sent to readers"),
    ("asd_lists", "Lists of keys"),
    ("asd_applies", "Applies answered as applied"),
    ("asd_puts", "Values stored"),
    ("asd_deletes", "Keys removed"),
    ("asd_written_bytes", "Bytes written to segments"),
    ("asd_syncs", "Syncs of segments that succeeded"),
    ("asd_marks", "Empty batches written for their mark"),
    ("asd_refused", "Applies refused for an assert or a bound"),
    ("asd_full", "Applies refused for want of room"),
    ("asd_damaged", "Records found damaged"),
    ("asd_checkpoints", "Checkpoints completed"),
    ("asd_checkpoint_bytes", "Bytes written to checkpoints"),
    ("asd_compactions", "Rounds of compaction completed"),
    ("asd_moved_bytes", "Bytes of records moved by compaction"),
    ("asd_freed_segments", "Segments freed"),
    ("asd_reloads", "Times that the log was read again after a failed write"),
];

/// A counter: its place in [`COUNTERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Reads,
    ReadBytes,
    ReadBlocks,
    Lists,
    Applies,
    Puts,
    Deletes,
    WrittenBytes,
    Syncs,
    Marks,
    Refused,
    Full,
    Damaged,
    Checkpoints,
    CheckpointBytes,
    Compactions,
    MovedBytes,
    FreedSegments,
    Reloads,
}

const _: () = assert!(Counter::Reloads as usize + 1 == COUNTERS.len());

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    values: [u64; COUNTERS.len()],
}

impl Counters {
    pub(crate) fn add(&mut self, counter: Counter, amount: u64) {
        self.values[counter as usize] += amount;
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    pub(crate) fn to_vec(&self) -> Vec<u64> {
        self.values.to_vec()
    }
}

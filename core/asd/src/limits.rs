//! Every bound, with its reason (promise P9).

use core::time::Duration;
use formats::journal::PAGE;

/// The longest body of a batch: long enough that a sync is paid once for a lot, short enough that the one
/// that waits behind it doesn't wait long.
const MAX_BATCH_BYTES: u64 = 16 << 20;

/// The most asserts and updates of one Apply together.
pub(crate) const MAX_APPLY_ITEMS: usize = 4096;

/// The most requests that may wait for their batch.
pub(crate) const MAX_WAITING: usize = 4096;

/// The most bytes of records that may wait for their batch: four of the longest batches.
pub(crate) const MAX_WAITING_BYTES: u64 = 4 * MAX_BATCH_BYTES;

/// The most reads in flight.
pub(crate) const MAX_READS: usize = 1024;

/// The most bytes of reads in flight.
pub(crate) const MAX_READ_BYTES: u64 = 256 << 20;

/// The most keys of one List.
pub(crate) const MAX_LIST: usize = 1000;

/// The most bytes of blocks that one ReadBlocks may ask for.
pub(crate) const MAX_BLOCKS_BYTES: u64 = 16 << 20;

/// The most blocks of one ReadBlocks: their table entries are 64 KiB.
pub(crate) const MAX_BLOCKS: u32 = 4096;

/// A value up to this long is read as a whole for ReadBlocks: one read instead of two that follow each other.
pub(crate) const WHOLE_VALUE_BYTES: u32 = 64 << 10;

/// What is read at least of a long value's start: the head of its record, of its container, and the whole block
/// table of a fragment of 4 MiB with blocks of 16 KiB.
pub(crate) const HEAD_READ_BYTES: u64 = 8 << 10;

/// The most bytes of heads that are kept in memory: those of about 8 GiB of fragments of 4 MiB.
pub(crate) const HEADS_BYTES: usize = 16 << 20;

/// Bytes of entries in one batch of a checkpoint: what one turn has to encode at most.
pub(crate) const CHECKPOINT_BATCH_BYTES: usize = 256 << 10;

/// Index entries that compaction looks at in one turn.
pub(crate) const SCAN_ENTRIES: usize = 4096;

/// Records that compaction moves at once.
pub(crate) const MOVE_RECORDS: usize = 1024;

/// Bytes of records that compaction moves at once.
pub(crate) const MOVE_BYTES: u64 = 4 << 20;

/// The most segments that one round of compaction empties.
pub(crate) const MAX_VICTIMS: usize = 64;

/// What an index entry takes in a checkpoint, about: to weigh the cost of one.
pub(crate) const ENTRY_ESTIMATE_BYTES: u64 = 96;

/// How long after a sync without a later batch an empty one is written for its mark: rot in the last synced
/// batch is then not taken for a tail.
pub(crate) const MARK_AFTER: Duration = Duration::from_millis(100);

/// How long after a change compaction looks for work: changes come in crowds.
pub(crate) const LOOK_AFTER: Duration = Duration::from_millis(100);

/// How long between two slices of a scan, so that guests come first.
pub(crate) const SLICE_AFTER: Duration = Duration::from_millis(10);

/// The same when room is short: the guests are slowed down by that anyway.
pub(crate) const HURRIED_AFTER: Duration = Duration::from_millis(1);

/// How long until what failed for want of room, or by a disk that may come back, is tried anew.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The longest body of a batch in segments of `segment_bytes`: it fits one beside the segment's header.
pub(crate) fn max_body(segment_bytes: u64) -> u64 {
    (segment_bytes - 2 * PAGE).min(MAX_BATCH_BYTES)
}

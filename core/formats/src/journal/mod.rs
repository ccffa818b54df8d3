//! The framing of every log of ours: TLogs, ASD segments, the KV's log, map files (PROTOCOLS L3, F10).
//!
//! A file is a header page and batches, each at a multiple of 4 KiB. All numbers are little-endian.
//!
//! ```text
//! header page                              batch
//!   0  magic of the kind        8            0  magic "BTCH"                4
//!   8  version                  2            4  length of the body          4
//!  10  length of the label      2            8  sequence of the file        8
//!  12  zero                     4           16  position in the file        8
//!  16  owner                   16           24  synced: sequence            8
//!  32  sequence                 8           32  synced: position            8
//!  40  predecessor: sequence    8           40  check of the previous batch 4
//!  48  predecessor: end         8           44  check of the body           4
//!  56  predecessor: last check  4           48  zero                        4
//!  60  check of the header      4           52  check of the header         4
//!  64  label                                56  body, then zeros to 4 KiB
//! ```
//!
//! The check of a file's header covers the page with the check as zeros. The check of a batch covers the
//! owner and its header; through it, itself, the log's id, its position and the batch before it. The first
//! batch follows the file's header. A file whose predecessor's sequence is 0 has none.
//!
//! Every batch says up to where the log was synced when it was written. What lies below any such mark and
//! is bad is damage; only above all marks is it a tail. A file's header is a mark too: its predecessor was
//! synced up to its end before the file was created.

mod batch;
mod header;
mod judge;
mod scan;

pub use batch::Writer;
pub use header::{FileHeader, HeaderError, Kind, Predecessor};
pub use judge::{Damage, Judgement, Kept, judge};
pub use scan::{Batch, DamagedBody, FileScan, Headless, scan, scan_past};

/// Batches start at multiples of this many bytes; the header takes as many.
pub const PAGE: u64 = 4096;

/// Where the body of a batch starts, in bytes from the start of the batch.
pub const BODY_AT: u64 = batch::BATCH_HEADER as u64;

/// The longest body of a batch, in bytes. Recovery refuses longer ones without allocating.
pub const MAX_BODY: u32 = 512 << 20;

/// A place in a log: a file and a position in it. Ordered as the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The file.
    pub sequence: u64,
    /// The position in it, in bytes.
    pub position: u64,
}

//! What a role may ask of its disk: one flat folder of files of its own.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::FileName;

/// An operation on a file of the role's folder.
///
/// Operations that are in flight together have no order among each other. A crash of the process keeps what
/// completed; a crash of the machine keeps, of what was not synced, any subset of its 512-byte sectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Names and lengths of all files. Completes with [`DiskOutcome::Listed`].
    List,
    /// Creates an empty file, or empties one that exists. Its name survives a power cut once this completed.
    Create {
        /// Which.
        file: FileName,
    },
    /// Deletes a file; one that isn't there is as good as deleted. Durable once completed.
    Delete {
        /// Which.
        file: FileName,
    },
    /// Reads `length` bytes at `offset`; fewer come back where the file ends before.
    Read {
        /// Which.
        file: FileName,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Writes the pieces one after another at `offset` and extends the file where needed. Not yet durable.
    Write {
        /// Which; it must exist.
        file: FileName,
        /// Where, in bytes.
        offset: u64,
        /// What, in order.
        pieces: Vec<Bytes>,
    },
    /// Makes every write that completed before on this file durable, its length included. A failure is
    /// final: the file is never trusted again (PROTOCOLS L4).
    Sync {
        /// Which.
        file: FileName,
    },
    /// Room on the disk. Completes with [`DiskOutcome::Space`].
    Space,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOutcome {
    /// Done, and nothing to tell.
    Done,
    /// What was read; shorter than asked for where the file ends.
    Read(Bytes),
    /// The files, ordered by name, with their lengths in bytes.
    Listed(Vec<(FileName, u64)>),
    /// Bytes that can still be written, and bytes that the disk has in all.
    Space {
        /// Still free.
        free: u64,
        /// In all.
        total: u64,
    },
}

/// Why an operation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No such file.
    NotFound,
    /// The disk is full; nothing or a part was written.
    Full,
    /// The device or file system failed.
    Failed,
}

/// How an operation ended.
pub type DiskResult = Result<DiskOutcome, DiskError>;

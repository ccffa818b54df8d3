//! What a role may ask of its disk: one flat folder of files and tables of its own.

use alloc::vec::Vec;
use bytes::Bytes;

use crate::{FileName, TableChange};

/// An operation on a file, or a table, of the role's folder.
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
    /// Writes as [`DiskOperation::Write`] does, and completes once what it wrote is durable, and the file's length with it.
    /// Of other writes it says nothing. A failure other than "full" is final, as with a sync: the file is never trusted
    /// again (PROTOCOLS L4). On a disk that is full nothing or a part was written, and nobody knows how durably: it is written
    /// there again, or cut off by what follows.
    WriteThrough {
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
    /// Changes a table, which comes into being with its first commit: all changes in their order, or none. Durable once
    /// completed. A disk that is full leaves the table as it was; after any other error nobody knows which it is, and
    /// nothing but deleting it is possible until the process starts again.
    ///
    /// A table has the name of a file, is listed as one, and is deleted as one. Of one table at most one commit is
    /// under way, and nothing else meanwhile.
    Commit {
        /// Which.
        table: FileName,
        /// What, in order.
        changes: Vec<TableChange>,
    },
    /// Reads on in a table: at least one pair, if there is one, and no further one once they have so many bytes.
    /// Completes with [`DiskOutcome::Pairs`].
    ReadOn {
        /// Which; it must exist.
        table: FileName,
        /// Behind which key; from its beginning where none is named.
        after: Option<Bytes>,
        /// How many bytes of keys and values.
        bytes_max: u64,
    },
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
    /// Pairs of a table.
    Pairs {
        /// In order of their keys.
        pairs: Vec<(Bytes, Bytes)>,
        /// Whether none follows.
        is_all: bool,
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
    /// What lies in a table's place is not what was committed: nothing can be made of it. Reads of files never find
    /// this out; what is in them carries its own checks.
    Damaged,
}

/// How an operation ended.
pub type DiskResult = Result<DiskOutcome, DiskError>;

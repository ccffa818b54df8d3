//! Disks: what a role may ask of its folder (`step::DiskOperation`), done by two backends that mean the same.
//!
//! Both share all that decides: which files are open, what may be done at once on the shard, what an error
//! means, which file is never trusted again. They differ only in who waits for the disk: threads of the
//! folder ([`portable`]), or the kernel ([`uring`]). Names (create, delete, list) and tables ([`table`]) always go to threads.
//!
//! Small writes, and reads of what the page cache holds, are done on the shard at the end of the turn: that
//! is faster than any hand-over, and the only thing it can wait for is the kernel's own throttling of writers.
//! Large writes of a folder whose files are not read again soon go past the page cache ([`direct`]).

mod blocking;
mod direct;
mod file;
mod folder;
mod pool;
mod portable;
mod table;
#[cfg(test)]
mod tests;
mod through;
mod uring;

pub(crate) use blocking::open_folder;
pub(crate) use file::Distrust;
pub(crate) use folder::Folder;
pub(crate) use portable::Portable;
pub(crate) use uring::Uring;

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use step::{DiskResult, FileName, OperationId, TableChange};

use crate::shard::{Life, Seat};
use file::File;
use pool::Pool;

/// Whom the end of an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The node's place on its shard.
    pub(crate) seat: Seat,
    /// Which of the lives that the place has seen.
    pub(crate) life: Life,
    /// The node's own name for the operation.
    pub(crate) operation: OperationId,
}

/// What is done with the bytes of an open file.
#[derive(Debug)]
pub(crate) enum Transfer {
    Read { offset: u64, length: u64 },
    Write { offset: u64, pieces: Vec<Bytes> },
    WriteThrough { offset: u64, pieces: Vec<Bytes> },
    Sync,
}

/// What a thread does for a folder.
#[derive(Debug)]
enum Job {
    Use(Arc<File>, Transfer),
    WriteDirect { file: Arc<File>, offset: u64, pieces: Vec<Bytes> },
    OpenAndUse(FileName, Transfer),
    Create(FileName),
    Delete(FileName),
    List,
    Space,
    Commit { table: FileName, changes: Vec<TableChange> },
    ReadOn { table: FileName, after: Option<Bytes>, bytes_max: u64 },
}

/// An operation that ended elsewhere than on the shard.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ticket: Ticket,
    pub(crate) result: DiskResult,
    /// What the folder may want to remember.
    pub(crate) trace: Trace,
}

/// What an operation did to the folder's names.
#[derive(Debug)]
pub(crate) enum Trace {
    Nothing,
    /// The file was opened; the number is the folder's when the operation started.
    Opened(Arc<File>, u64),
    Deleted(FileName),
}

/// Waits for disks, so that a shard doesn't have to.
pub(crate) trait Backend {
    /// Starts a transfer. It ends by [`Backend::reap`], or where the pool says what it finished.
    fn start(&mut self, pool: &mut Pool, ticket: Ticket, file: Arc<File>, transfer: Transfer);

    /// Hands everything started to the kernel.
    fn flush(&mut self);

    /// Calls `done` for each transfer that ended.
    fn reap(&mut self, done: &mut dyn FnMut(Finished));

    /// Readable when there is something to reap.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

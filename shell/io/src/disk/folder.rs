//! A node's folder: its open files, and the way of each operation.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName};

use super::file::{Distrust, File};
use super::pool::{Pool, Sink};
use super::{Backend, Job, Ticket, Trace, Transfer, blocking, direct};

/// The longest write that is done on the shard. A memory copy of this size takes about as long as handing it
/// to a thread and hearing back; more would hold up the shard's guests.
const INLINE_WRITE_MAX: usize = 256 * 1024;

/// The longest read that is tried on the shard.
const INLINE_READ_MAX: u64 = 128 * 1024;

/// Changed names that are remembered one by one.
const CHANGES_MAX: usize = 64;

/// The files of one life of a node. Completions of an earlier life never reach it.
pub(crate) struct Folder {
    pool: Pool,
    open: BTreeMap<FileName, Open>,
    open_max: usize,
    /// Whether large writes go past the page cache.
    past_page_cache: bool,
    /// Counts uses, for finding the file that wasn't used for longest.
    uses: u64,
    /// Counts creations and deletions, so that a file opened before one isn't remembered after it.
    epoch: u64,
    changes: BTreeMap<FileName, u64>,
    /// Changes up to this epoch are no longer told apart by name.
    changes_before: u64,
}

struct Open {
    file: Arc<File>,
    used: u64,
}

impl Folder {
    /// A folder that was opened by [`super::open_folder`].
    pub(crate) fn new(
        folder: OwnedFd,
        distrust: Distrust,
        open_max: usize,
        threads_max: usize,
        sink: Sink,
    ) -> Self {
        let pool = Pool::new(folder, distrust, threads_max, sink);
        let (open, changes) = (BTreeMap::new(), BTreeMap::new());
        let past_page_cache = false;
        Folder { pool, open, open_max, past_page_cache, uses: 0, epoch: 0, changes, changes_before: 0 }
    }

    /// Has large writes go past the page cache: for files that are not read again soon.
    pub(crate) fn past_page_cache(self, past_page_cache: bool) -> Self {
        Folder { past_page_cache, ..self }
    }

    /// Starts an operation, or does it at once and says how it ended.
    pub(crate) fn perform(
        &mut self,
        backend: &mut dyn Backend,
        ticket: Ticket,
        what: DiskOperation,
    ) -> Option<DiskResult> {
        let job = match what {
            DiskOperation::Read { file, offset, length } => {
                return self.transfer(backend, ticket, file, Transfer::Read { offset, length });
            }
            DiskOperation::Write { file, offset, pieces } => {
                return self.transfer(backend, ticket, file, Transfer::Write { offset, pieces });
            }
            DiskOperation::WriteThrough { file, offset, pieces } => {
                return self.transfer(backend, ticket, file, Transfer::WriteThrough { offset, pieces });
            }
            DiskOperation::Sync { file } => return self.transfer(backend, ticket, file, Transfer::Sync),
            DiskOperation::Create { file } => {
                self.on_change(file);
                Job::Create(file)
            }
            DiskOperation::Delete { file } => {
                self.on_change(file);
                Job::Delete(file)
            }
            DiskOperation::List => Job::List,
            DiskOperation::Space => Job::Space,
            DiskOperation::Commit { table, changes } => Job::Commit { table, changes },
            DiskOperation::ReadOn { table, after, bytes_max } => Job::ReadOn { table, after, bytes_max },
        };
        self.pool.start(ticket, self.epoch, job);
        None
    }

    /// Remembers what an operation that ended elsewhere did.
    pub(crate) fn on_finished(&mut self, trace: Trace) {
        match trace {
            Trace::Nothing => {}
            Trace::Opened(file, epoch) => {
                let changed = self.changes.get(&file.name).is_some_and(|change| *change > epoch);
                if epoch >= self.changes_before && !changed {
                    self.remember(file);
                }
            }
            Trace::Deleted(name) => self.on_change(name),
        }
    }

    fn transfer(
        &mut self,
        backend: &mut dyn Backend,
        ticket: Ticket,
        name: FileName,
        transfer: Transfer,
    ) -> Option<DiskResult> {
        let Some(open) = self.open.get_mut(&name) else {
            // Opening may wait for the disk, so a thread does it, with what the file is wanted for.
            self.pool.start(ticket, self.epoch, Job::OpenAndUse(name, transfer));
            return None;
        };
        self.uses += 1;
        open.used = self.uses;
        if let Err(error) = open.file.trusted().and(possible(&transfer)) {
            return Some(Err(error));
        }
        let done = at_once(&open.file, &transfer);
        if done.is_some() {
            return done;
        }
        let file = Arc::clone(&open.file);
        match transfer {
            Transfer::Write { offset, pieces }
                if self.past_page_cache && direct::is_aligned(offset, bytes_of(&pieces)) =>
            {
                self.pool.write_direct(ticket, file, offset, pieces);
            }
            Transfer::WriteThrough { .. } => {
                self.pool.open_direct(&file);
                backend.start(&mut self.pool, ticket, file, transfer);
            }
            transfer => backend.start(&mut self.pool, ticket, file, transfer),
        }
        None
    }

    fn remember(&mut self, file: Arc<File>) {
        if self.open.len() >= self.open_max {
            let idle = |open: &Open| Arc::strong_count(&open.file) == 1 && open.file.is_clean();
            let candidates = self.open.iter().filter(|(_, open)| idle(open));
            if let Some(name) = candidates.min_by_key(|(_, open)| open.used).map(|(name, _)| *name) {
                self.open.remove(&name);
            }
        }
        self.uses += 1;
        self.open.insert(file.name, Open { file, used: self.uses });
    }

    /// The name means another file from here on.
    fn on_change(&mut self, name: FileName) {
        self.epoch += 1;
        self.open.remove(&name);
        if self.changes.len() >= CHANGES_MAX {
            self.changes.clear();
            self.changes_before = self.epoch;
        }
        self.changes.insert(name, self.epoch);
    }
}

/// What can be done without waiting for the disk.
fn at_once(file: &File, transfer: &Transfer) -> Option<DiskResult> {
    match transfer {
        Transfer::Read { offset, length } if *length <= INLINE_READ_MAX => {
            let bytes = blocking::read_cached(file, *offset, *length as usize)?;
            Some(Ok(DiskOutcome::Read(bytes)))
        }
        Transfer::Write { offset, pieces } if bytes_of(pieces) <= INLINE_WRITE_MAX => {
            Some(blocking::write(file, *offset, pieces))
        }
        Transfer::Read { .. } | Transfer::Write { .. } | Transfer::WriteThrough { .. } | Transfer::Sync => {
            None
        }
    }
}

/// Refuses what ends beyond all files. To some calls of the kernel such offsets mean something else.
pub(super) fn possible(transfer: &Transfer) -> Result<(), DiskError> {
    let (Transfer::Write { offset, pieces } | Transfer::WriteThrough { offset, pieces }) = transfer else {
        return Ok(());
    };
    let end = offset.checked_add(bytes_of(pieces) as u64);
    end.filter(|end| i64::try_from(*end).is_ok()).map(|_| ()).ok_or(DiskError::Failed)
}

pub(super) fn bytes_of(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

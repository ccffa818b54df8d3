//! A table that is open.

use std::fmt::Display;
use std::ops::Bound;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use redb::{Builder, Database, ReadableDatabase, StorageBackend, TableDefinition, TableError};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use step::{DiskError, DiskOutcome, FileName, TableChange};

use super::super::blocking::disk_error;
use super::storage::{Storage, Trouble};

/// Where the pairs are in the file.
const PAIRS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("pairs");

/// Memory that a table may take beside what is asked of it. It is read at starts, and written in large commits.
const CACHE_BYTES: usize = 16 << 20;

/// Room is given back where this part of what the file takes, or more, is not used.
const WORTH_PART: u64 = 8;

/// A table. Once something failed, nothing more is asked of it: redb doesn't go on after an error.
pub(super) struct Table {
    name: FileName,
    database: Database,
    trouble: Arc<Trouble>,
}

impl Table {
    /// Opens one that is there. All of it is read and checked: a plain open believes the disk, and may panic where
    /// that is wrong. Who opens a table reads all of it anyway.
    pub(super) fn open(folder: BorrowedFd<'_>, name: FileName) -> Result<Self, DiskError> {
        let descriptor = open_file(folder, name.as_str(), OFlags::empty())?;
        wait_for_others(&descriptor, name)?;
        let trouble = Arc::new(Trouble::default());
        Self::over(name, Storage::new(descriptor, Arc::clone(&trouble)), trouble)
    }

    /// Makes an empty one. It gets its name when it is whole, so no crash leaves half of one.
    pub(super) fn create(folder: BorrowedFd<'_>, name: FileName) -> Result<Self, DiskError> {
        let new = format!(".{name}.new");
        let descriptor = open_file(folder, &new, OFlags::CREATE | OFlags::TRUNC)?;
        wait_for_others(&descriptor, name)?;
        let trouble = Arc::new(Trouble::default());
        let made = Self::over(name, Storage::new(descriptor, Arc::clone(&trouble)), trouble);
        let named = made.and_then(|table| {
            let renamed = rustix::fs::renameat(folder, &*new, folder, name.as_str());
            renamed.and_then(|()| rustix::fs::fsync(folder)).map_err(disk_error).map(|()| table)
        });
        if named.is_err() {
            // What is left is overwritten by the next try.
            let _ = rustix::fs::unlinkat(folder, &*new, AtFlags::empty());
        }
        named
    }

    pub(super) fn over(
        name: FileName,
        storage: impl StorageBackend,
        trouble: Arc<Trouble>,
    ) -> Result<Self, DiskError> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        match builder.create_with_backend(storage) {
            Ok(database) => Ok(Table { name, database, trouble }),
            Err(error) => Err(meaning(name, &trouble, &error)),
        }
    }

    /// Whether a write or sync failed.
    pub(super) fn is_wounded(&self) -> bool {
        self.trouble.is_write()
    }

    /// Makes all changes durable, or none.
    pub(super) fn commit(&self, changes: &[TableChange]) -> Result<(), DiskError> {
        self.try_commit(changes).map_err(|error| meaning(self.name, &self.trouble, &*error))
    }

    fn try_commit(&self, changes: &[TableChange]) -> Result<(), Box<redb::Error>> {
        let mut transaction = self.database.begin_write().map_err(boxed)?;
        // What the new state consists of is durable before anything says that it is the state. So whatever fails
        // before that, for lack of room above all, leaves the old one for certain.
        transaction.set_two_phase_commit(true);
        {
            let mut pairs = transaction.open_table(PAIRS).map_err(boxed)?;
            for change in changes {
                match change {
                    TableChange::Set { key, value } => {
                        pairs.insert(&key[..], &value[..]).map_err(boxed)?;
                    }
                    TableChange::Delete { key } => drop(pairs.remove(&key[..]).map_err(boxed)?),
                    TableChange::DeletePrefix { prefix } => {
                        let end = end_of(prefix);
                        let last = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                        let range = (Bound::Included(&prefix[..]), last);
                        pairs.retain_in::<&[u8], _>(range, |_, _| false).map_err(boxed)?;
                    }
                }
            }
        }
        transaction.commit().map_err(boxed)
    }

    /// Makes the file shorter, where a good part of what it takes on the disk is not used.
    pub(super) fn give_back(&mut self, takes: u64) -> Result<(), DiskError> {
        let used = self.used().map_err(|error| meaning(self.name, &self.trouble, &*error))?;
        if used + takes / WORTH_PART < takes {
            let compacted = self.database.compact();
            compacted.map_err(|error| meaning(self.name, &self.trouble, &error))?;
            tracing::info!(table = %self.name, takes, used, "the disk has little room: a table gave some back");
        }
        Ok(())
    }

    /// Bytes of the file that hold something.
    fn used(&self) -> Result<u64, Box<redb::Error>> {
        let transaction = self.database.begin_write().map_err(boxed)?;
        let stats = transaction.stats().map_err(boxed)?;
        transaction.abort().map_err(boxed)?;
        Ok(stats.allocated_pages() * stats.page_size() as u64)
    }

    /// Pairs behind a key.
    pub(super) fn read_on(&self, after: Option<&[u8]>, bytes_max: u64) -> Result<DiskOutcome, DiskError> {
        self.try_read(after, bytes_max).map_err(|error| meaning(self.name, &self.trouble, &*error))
    }

    fn try_read(&self, after: Option<&[u8]>, bytes_max: u64) -> Result<DiskOutcome, Box<redb::Error>> {
        let transaction = self.database.begin_read().map_err(boxed)?;
        let table = match transaction.open_table(PAIRS) {
            Ok(table) => table,
            // Its first commit came to nothing.
            Err(TableError::TableDoesNotExist(_)) => {
                return Ok(DiskOutcome::Pairs { pairs: Vec::new(), is_all: true });
            }
            Err(error) => return Err(boxed(error)),
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = table.range::<&[u8]>((from, Bound::Unbounded)).map_err(boxed)?;
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while pairs.is_empty() || bytes < bytes_max {
            let Some(pair) = rest.next() else { break };
            let (key, value) = pair.map_err(boxed)?;
            bytes += (key.value().len() + value.value().len()) as u64;
            pairs.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
        }
        let is_all = rest.next().is_none();
        Ok(DiskOutcome::Pairs { pairs, is_all })
    }
}

fn boxed(error: impl Into<redb::Error>) -> Box<redb::Error> {
    Box::new(error.into())
}

/// What an error of redb's means: what the disk did tells.
fn meaning(name: FileName, trouble: &Trouble, error: &impl Display) -> DiskError {
    if trouble.is_full() && !trouble.is_write() {
        return DiskError::Full;
    }
    tracing::error!(table = %name, %error, "a table can't be used");
    if trouble.is_write() || trouble.is_read() { DiskError::Failed } else { DiskError::Damaged }
}

/// The first key behind all that begin so; none where no key is.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn open_file(folder: BorrowedFd<'_>, name: &str, more: OFlags) -> Result<OwnedFd, DiskError> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | more;
    let opened = retry_on_intr(|| rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR));
    opened.map_err(|error| {
        if disk_error(error) == DiskError::Failed {
            tracing::error!(table = name, %error, "a table can't be opened");
        }
        disk_error(error)
    })
}

/// The life of the node before this one may be about to close the table: two that have it open would ruin it.
fn wait_for_others(descriptor: &OwnedFd, name: FileName) -> Result<(), DiskError> {
    let lock = |how| retry_on_intr(|| rustix::fs::flock(descriptor.as_fd(), how));
    match lock(FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            tracing::info!(table = %name, "waits until whoever has the table open has closed it");
            lock(FlockOperation::LockExclusive).map_err(disk_error)
        }
        other => other.map_err(disk_error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_ends_before_what_is_next() {
        assert_eq!(end_of(b""), None);
        assert_eq!(end_of(&[255, 255]), None);
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(&[1, 255, 255]), Some(vec![2]));
    }
}

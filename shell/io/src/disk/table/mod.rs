//! Tables (`step::DiskOperation::Commit`), each a file of redb's in the folder.
//!
//! redb never sees a full disk or a failed sync as what it is, stops at any error, and may panic over what it did not
//! write itself. So each error is judged by what the disk did ([`storage::Trouble`]), the table is closed upon it, and
//! opened anew, and checked as a whole, by who asks next.

mod open;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;
use step::{DiskError, DiskOutcome, DiskResult, FileName, TableChange};

use super::file::Distrust;
use open::Table;

/// Free bytes below which a table gives room back. It takes reading all of it, so not where nobody needs that.
const LOW: u64 = 128 << 20;

/// What `stat` counts in.
const BLOCK: u64 = 512;

/// The tables of a folder that are open. One is used at a time: nodes have one table, and one operation on it.
#[derive(Default)]
pub(super) struct Tables(Mutex<BTreeMap<FileName, Table>>);

/// Where the tables are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) distrust: &'a Distrust,
}

impl Tables {
    /// Changes a table, which is made where there is none.
    pub(super) fn commit(&self, place: Place<'_>, name: FileName, changes: &[TableChange]) -> DiskResult {
        let made = |error| match error {
            DiskError::NotFound => guarded(name, || Table::create(place.folder, name)),
            error => Err(error),
        };
        let result = self.with(place, name, made, |table| {
            table.commit(changes)?;
            Ok(DiskOutcome::Done)
        });
        match result {
            Ok(_) if changes.iter().any(removes) => self.give_back(place, name),
            Err(DiskError::Failed) => place.distrust.add(name),
            _ => {}
        }
        result
    }

    /// Gives room back that removed pairs left in the file, where the disk has little. What is committed stays, whatever becomes
    /// of that: a table that can't is opened anew by who asks next.
    fn give_back(&self, place: Place<'_>, name: FileName) {
        let Some(takes) = low_on_room(place.folder, name) else { return };
        let mut open = self.open();
        let Some(mut table) = open.remove(&name) else { return };
        if guarded(name, || table.give_back(takes)).is_ok() {
            open.insert(name, table);
            return;
        }
        if table.is_wounded() {
            place.distrust.add(name);
        }
        shut(name, table);
    }

    /// Reads on in a table.
    pub(super) fn read_on(
        &self,
        place: Place<'_>,
        name: FileName,
        after: Option<&[u8]>,
        bytes_max: u64,
    ) -> DiskResult {
        self.with(place, name, Err, |table| table.read_on(after, bytes_max))
    }

    /// Closes a table that is about to be deleted.
    pub(super) fn close(&self, name: FileName) {
        if let Some(table) = self.open().remove(&name) {
            shut(name, table);
        }
    }

    fn with(
        &self,
        place: Place<'_>,
        name: FileName,
        otherwise: impl FnOnce(DiskError) -> Result<Table, DiskError>,
        use_it: impl FnOnce(&Table) -> DiskResult,
    ) -> DiskResult {
        let mut open = self.open();
        if place.distrust.holds(name) {
            return Err(DiskError::Failed);
        }
        let table = match open.remove(&name) {
            Some(table) => table,
            None => guarded(name, || Table::open(place.folder, name)).or_else(otherwise)?,
        };
        let result = guarded(name, || use_it(&table));
        if result.is_ok() {
            open.insert(name, table);
        } else {
            if table.is_wounded() {
                place.distrust.add(name);
            }
            shut(name, table);
        }
        result
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<FileName, Table>> {
        // A table is taken out while it is used: what is in the map is whole, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        std::mem::take(&mut *self.open()).into_iter().for_each(|(name, table)| shut(name, table));
    }
}

fn removes(change: &TableChange) -> bool {
    !matches!(change, TableChange::Set { .. })
}

/// Where little room is left beside a table: how much that takes.
fn low_on_room(folder: BorrowedFd<'_>, name: FileName) -> Option<u64> {
    let space = rustix::fs::fstatvfs(folder).ok()?;
    let file = rustix::fs::statat(folder, name.as_str(), AtFlags::empty()).ok()?;
    let is_low = space.f_bavail.saturating_mul(space.f_frsize) < LOW;
    is_low.then(|| u64::try_from(file.st_blocks).unwrap_or(0) * BLOCK)
}

/// Closes a table; it writes its last words itself.
fn shut(name: FileName, table: Table) {
    let _ = guarded(name, || {
        drop(table);
        Ok(())
    });
}

/// What is not as redb wrote it may make it panic: that is damage of the table, and no reason to end the process.
fn guarded<T>(name: FileName, what: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|_| {
        tracing::error!(table = %name, "a table is damaged");
        Err(DiskError::Damaged)
    })
}

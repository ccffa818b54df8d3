//! An open file, and what the process remembers of files whose disk failed them.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use step::{DiskError, FileName};

/// An open file of a folder, shared with the operations in flight on it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: FileName,
    pub(crate) descriptor: OwnedFd,
    distrust: Distrust,
    /// Set when a write or sync failed: nothing but deleting it is possible from then on (PROTOCOLS L4).
    failed: AtomicBool,
    /// Starts and ends of writes.
    writes: AtomicU64,
    /// What `writes` was when the last sync that succeeded began.
    synced: AtomicU64,
    /// The same file past the page cache, once it was looked for; `None` where the file system has no such way.
    pub(super) direct: OnceLock<Option<OwnedFd>>,
}

impl File {
    pub(crate) fn new(name: FileName, descriptor: OwnedFd, distrust: Distrust) -> Self {
        let failed = AtomicBool::new(distrust.holds(name));
        let (writes, synced, direct) = (AtomicU64::new(0), AtomicU64::new(0), OnceLock::new());
        File { name, descriptor, distrust, failed, writes, synced, direct }
    }

    /// Refuses a file that failed before.
    pub(crate) fn trusted(&self) -> Result<(), DiskError> {
        if self.failed.load(Ordering::Acquire) { Err(DiskError::Failed) } else { Ok(()) }
    }

    /// The disk failed the file: nobody trusts it again in the life of this process.
    pub(crate) fn fail(&self) {
        self.distrust.add(self.name);
        self.failed.store(true, Ordering::Release);
    }

    /// A write begins or ended. Called at both, so that a sync between them counts for neither.
    pub(crate) fn on_write(&self) {
        self.writes.fetch_add(1, Ordering::AcqRel);
    }

    /// What [`File::on_synced`] must be told when the sync that begins now succeeds.
    pub(crate) fn begin_sync(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// A sync succeeded.
    pub(crate) fn on_synced(&self, begun: u64) {
        self.synced.fetch_max(begun, Ordering::AcqRel);
    }

    /// Whether every write ended before a sync that succeeded began. Only then may the file be closed and
    /// opened again: the kernel tells a failed write-back to descriptors that were open at the time.
    pub(crate) fn is_clean(&self) -> bool {
        self.writes.load(Ordering::Acquire) == self.synced.load(Ordering::Acquire)
    }
}

/// The files of one folder that failed in the life of this process. It outlives the node, whose next life
/// must not trust what the page cache still shows of them. Bounded by the files of the folder; locked only
/// when a file is opened, fails or is deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distrust(Arc<Mutex<BTreeSet<FileName>>>);

impl Distrust {
    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<FileName>> {
        // Each change is one insert or remove: the set is whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn holds(&self, name: FileName) -> bool {
        self.names().contains(&name)
    }

    pub(super) fn add(&self, name: FileName) {
        self.names().insert(name);
    }

    /// The file is gone; another of its name is another file.
    pub(crate) fn forget(&self, name: FileName) {
        self.names().remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(distrust: &Distrust) -> File {
        let descriptor = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        File::new(FileName::new(format_args!("a")), descriptor, distrust.clone())
    }

    #[test]
    fn a_sync_counts_for_writes_that_ended_before_it_began() {
        let file = file(&Distrust::default());
        assert!(file.is_clean());
        file.on_write();
        let begun = file.begin_sync();
        file.on_write();
        file.on_synced(begun);
        assert!(!file.is_clean(), "the write was in flight when the sync began");
        let begun = file.begin_sync();
        file.on_synced(begun);
        assert!(file.is_clean());
    }

    #[test]
    fn distrust_outlives_the_descriptor() {
        let distrust = Distrust::default();
        let first = file(&distrust);
        assert_eq!(first.trusted(), Ok(()));
        first.fail();
        assert_eq!(first.trusted(), Err(DiskError::Failed));
        assert_eq!(file(&distrust).trusted(), Err(DiskError::Failed));
        distrust.forget(first.name);
        assert_eq!(file(&distrust).trusted(), Ok(()));
    }
}

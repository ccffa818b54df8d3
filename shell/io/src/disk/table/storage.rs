//! A table's file, as redb sees it, and what the disk did to it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redb::StorageBackend;
use rustix::io::{Errno, retry_on_intr};

use super::super::blocking;

/// The troubles of a table since it was opened. redb tells that something failed; what it means is told by this.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    full: AtomicBool,
    read: AtomicBool,
    write: AtomicBool,
}

impl Trouble {
    /// There was no room for something.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// A read failed.
    pub(super) fn is_read(&self) -> bool {
        self.read.load(Ordering::Acquire)
    }

    /// A write or sync failed: what the page cache shows of the file may not be what the disk holds (PROTOCOLS L4).
    pub(super) fn is_write(&self) -> bool {
        self.write.load(Ordering::Acquire)
    }

    fn on_read(&self, error: Errno) -> io::Error {
        self.read.store(true, Ordering::Release);
        error.into()
    }

    pub(super) fn on_write(&self, error: Errno) -> io::Error {
        let is_full = blocking::disk_error(error) == step::DiskError::Full;
        if is_full { &self.full } else { &self.write }.store(true, Ordering::Release);
        error.into()
    }

    pub(super) fn on_sync(&self, error: Errno) -> io::Error {
        // Whatever the kernel calls it: nobody knows what of the file is on the disk.
        self.write.store(true, Ordering::Release);
        error.into()
    }
}

/// The file, open and ours alone.
#[derive(Debug)]
pub(super) struct Storage {
    descriptor: OwnedFd,
    trouble: Arc<Trouble>,
}

impl Storage {
    /// Over a file that nobody else has open.
    pub(super) fn new(descriptor: OwnedFd, trouble: Arc<Trouble>) -> Self {
        Storage { descriptor, trouble }
    }
}

impl StorageBackend for Storage {
    fn len(&self) -> Result<u64, io::Error> {
        let stat = rustix::fs::fstat(&self.descriptor).map_err(|error| self.trouble.on_read(error))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut filled = 0;
        while filled < out.len() {
            let at = offset + filled as u64;
            match retry_on_intr(|| rustix::io::pread(&self.descriptor, &mut out[filled..], at)) {
                // The file is shorter than what is in it says: that is damage, and no failure of the disk.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) => return Err(self.trouble.on_read(error)),
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let set = retry_on_intr(|| rustix::fs::ftruncate(&self.descriptor, length));
        set.map_err(|error| self.trouble.on_write(error))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        rustix::fs::fdatasync(&self.descriptor).map_err(|error| self.trouble.on_sync(error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let data = [Bytes::copy_from_slice(data)];
        let written = blocking::write_all(self.descriptor.as_fd(), offset, &data);
        written.map_err(|error| self.trouble.on_write(error))
    }
}

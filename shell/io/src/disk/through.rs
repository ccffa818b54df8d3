//! Writes that are durable when they end.
//!
//! A small one goes past the page cache and to the platter in one call: no page to find, no thread of the kernel that
//! syncs, nothing that waits for what else the file has dirty. One that is large, or odd, or whose file system has no such
//! way, is a write and a sync.

use std::cell::RefCell;
use std::io::IoSlice;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use step::{DiskOutcome, DiskResult};

use super::blocking;
use super::direct::{self, ALIGNMENT};
use super::file::File;
use super::folder::bytes_of;

/// The longest write that is copied for the way past the page cache. A longer one takes so long that what it would win
/// doesn't count, and what follows it is often zeros.
pub(super) const DIRECT_MAX: usize = 256 << 10;

/// Memory for one direct write, aligned as the kernel wants it.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    memory: Vec<u8>,
    length: usize,
}

impl Aligned {
    /// Takes a copy of pieces, of at most [`DIRECT_MAX`] bytes.
    pub(super) fn fill(&mut self, pieces: &[Bytes]) {
        // Never zeroed again, nor moved: what the kernel reads lies still until the buffer is dropped.
        self.memory.resize(DIRECT_MAX + ALIGNMENT, 0);
        let mut at = self.start();
        for piece in pieces {
            self.memory[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        self.length = at - self.start();
    }

    /// What it was filled with.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start()..self.start() + self.length]
    }

    fn start(&self) -> usize {
        self.memory.as_ptr().align_offset(ALIGNMENT)
    }
}

/// Whether a write can go past the page cache in one call.
pub(super) fn is_direct(file: &File, offset: u64, pieces: &[Bytes]) -> bool {
    let length = bytes_of(pieces);
    length <= DIRECT_MAX && direct::is_aligned(offset, length) && matches!(file.direct.get(), Some(Some(_)))
}

/// Whether the kernel, or the file system, only doesn't want a write that way.
pub(super) fn is_refused(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::OPNOTSUPP)
}

thread_local! {
    /// The buffer of a thread that waits for a disk.
    static BUFFER: RefCell<Aligned> = RefCell::default();
}

/// Writes the pieces one after another from `offset` on, durably.
pub(super) fn write(file: &File, offset: u64, pieces: &[Bytes]) -> DiskResult {
    if is_direct(file, offset, pieces) {
        let written = BUFFER.with_borrow_mut(|buffer| {
            buffer.fill(pieces);
            write_direct(file, offset, buffer.bytes())
        });
        match written {
            Ok(written) if written == bytes_of(pieces) => return Ok(DiskOutcome::Done),
            // What the kernel leaves there goes the other way, all of it.
            Ok(_) => {}
            Err(error) if is_refused(error) => {}
            Err(error) => return Err(blocking::write_error(file, error)),
        }
    }
    blocking::write(file, offset, pieces)?;
    blocking::sync(file)
}

fn write_direct(file: &File, offset: u64, bytes: &[u8]) -> rustix::io::Result<usize> {
    let descriptor = file.direct.get().and_then(Option::as_ref).ok_or(Errno::INVAL)?;
    let slices = [IoSlice::new(bytes)];
    retry_on_intr(|| rustix::io::pwritev2(descriptor, &slices, offset, ReadWriteFlags::DSYNC))
}

//! Large writes past the page cache.
//!
//! A copy into the page cache costs more than anything else in storing data: pages to find, to fill, to write back and
//! to reclaim. What is logged and not read again soon gains nothing from being there. It is copied once, into a buffer
//! that stays in the processor's cache, because the kernel wants aligned memory and pieces are not.
//!
//! Promises are those of a plain write: done when the kernel has it, durable after a sync of the file.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use step::{DiskOutcome, DiskResult};

use super::blocking;
use super::file::File;

/// What offsets, lengths and memory are multiples of, in bytes: no file system asks for more.
pub(super) const ALIGNMENT: usize = 4096;

/// Bytes that are written at once. Small enough to stay in the processor's cache, large enough for any disk; a fragment
/// of 4 MiB with what belongs to it takes four, without a short one at the end.
const CHUNK: usize = (1 << 20) + (16 << 10);

thread_local! {
    /// The buffer of a thread that waits for a disk: a chunk, and room to align it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether a write can go past the page cache.
pub(super) fn is_aligned(offset: u64, length: usize) -> bool {
    offset.is_multiple_of(ALIGNMENT as u64) && length.is_multiple_of(ALIGNMENT)
}

/// Writes pieces one after another from `offset` on; where the file system has no way past the page cache, through it.
pub(super) fn write(folder: BorrowedFd<'_>, file: &File, offset: u64, pieces: &[Bytes]) -> DiskResult {
    file.on_write();
    let result = match open(folder, file) {
        Some(direct) => write_chunks(file.descriptor.as_fd(), direct.as_fd(), offset, pieces),
        None => blocking::write_all(file.descriptor.as_fd(), offset, pieces),
    };
    file.on_write();
    result.map(|()| DiskOutcome::Done).map_err(|error| blocking::write_error(file, error))
}

/// The same file once more, past the page cache; `None` where that can't be had. For a large write it is opened each time,
/// which costs little beside it, so that it counts for nobody's bound of open files.
pub(super) fn open(folder: BorrowedFd<'_>, file: &File) -> Option<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened =
        retry_on_intr(|| rustix::fs::openat(folder, file.name.as_str(), flags, Mode::empty())).ok()?;
    // By name: it must still mean the file that is open.
    let (known, found) = (rustix::fs::fstat(&file.descriptor).ok()?, rustix::fs::fstat(&opened).ok()?);
    ((known.st_dev, known.st_ino) == (found.st_dev, found.st_ino)).then_some(opened)
}

fn write_chunks(
    plain: BorrowedFd<'_>,
    direct: BorrowedFd<'_>,
    mut offset: u64,
    pieces: &[Bytes],
) -> rustix::io::Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(CHUNK + ALIGNMENT, 0);
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        let chunk = &mut buffer[start..start + CHUNK];
        let mut filled = 0;
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(CHUNK - filled));
                chunk[filled..filled + now.len()].copy_from_slice(now);
                (filled, rest) = (filled + now.len(), later);
                if filled == CHUNK {
                    write_chunk(plain, direct, offset, chunk)?;
                    (offset, filled) = (offset + CHUNK as u64, 0);
                }
            }
        }
        if filled > 0 { write_chunk(plain, direct, offset, &chunk[..filled]) } else { Ok(()) }
    })
}

/// Writes a chunk; what the kernel refuses or leaves past the page cache goes through it.
fn write_chunk(
    plain: BorrowedFd<'_>,
    direct: BorrowedFd<'_>,
    offset: u64,
    chunk: &[u8],
) -> rustix::io::Result<()> {
    let written = match retry_on_intr(|| rustix::io::pwrite(direct, chunk, offset)) {
        Ok(written) => written,
        Err(Errno::INVAL) => 0,
        Err(error) => return Err(error),
    };
    if written == chunk.len() {
        return Ok(());
    }
    let rest = Bytes::copy_from_slice(&chunk[written..]);
    blocking::write_all(plain, offset + written as u64, &[rest])
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use step::FileName;

    use super::super::file::Distrust;
    use super::*;

    #[test]
    fn a_file_of_the_same_name_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let open_folder = blocking::open_folder(folder.path()).unwrap();
        let (name, distrust) = (FileName::new(format_args!("a")), Distrust::default());
        let file = blocking::create(open_folder.as_fd(), name, &distrust).unwrap();
        // Not every file system has a way past the page cache.
        if let Some(direct) = open(open_folder.as_fd(), &file) {
            let flags = rustix::fs::fcntl_getfl(&direct).unwrap();
            assert!(flags.contains(OFlags::DIRECT), "descriptor {}", direct.as_raw_fd());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"another").unwrap();
        assert!(open(open_folder.as_fd(), &file).is_none());
        let bytes = Bytes::from(vec![1; 2 * ALIGNMENT]);
        assert_eq!(write(open_folder.as_fd(), &file, 0, &[bytes]), Ok(DiskOutcome::Done));
        assert_eq!(std::fs::read(&path).unwrap(), b"another");
    }

    #[test]
    fn what_is_odd_goes_through_the_page_cache() {
        assert!(is_aligned(0, 4096) && is_aligned(8192, 1 << 20));
        assert!(!is_aligned(0, 4097) && !is_aligned(512, 4096));
    }
}

//! The operations as plain system calls that may block. Threads run them; small ones run on the shard.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use step::{DiskError, DiskOutcome, DiskResult, FileName};

use super::file::{Distrust, File};

/// The most pieces that the kernel takes in one call (IOV_MAX).
pub(super) const PIECES_MAX: usize = 1024;

/// What the kernel's word means to a role.
pub(super) fn disk_error(error: Errno) -> DiskError {
    match error {
        Errno::NOENT => DiskError::NotFound,
        Errno::NOSPC | Errno::DQUOT => DiskError::Full,
        _ => DiskError::Failed,
    }
}

/// Opens a folder. A symbolic link in its place is refused: it may lead to somebody else's.
pub(crate) fn open_folder(path: &std::path::Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
}

/// Opens a file that is there.
pub(super) fn open(folder: BorrowedFd<'_>, name: FileName, distrust: &Distrust) -> Result<File, DiskError> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = retry_on_intr(|| rustix::fs::openat(folder, name.as_str(), flags, Mode::empty()));
    let descriptor = opened.map_err(|error| {
        if error != Errno::NOENT {
            tracing::error!(file = %name, %error, "a file can't be opened");
        }
        disk_error(error)
    })?;
    regular(&descriptor, name)?;
    Ok(File::new(name, descriptor, distrust.clone()))
}

/// Creates a file, or empties the one that is there. Durable: its name, and that it is empty.
pub(super) fn create(folder: BorrowedFd<'_>, name: FileName, distrust: &Distrust) -> Result<File, DiskError> {
    if distrust.holds(name) {
        return Err(DiskError::Failed);
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR;
    let descriptor = retry_on_intr(|| rustix::fs::openat(folder, name.as_str(), flags, mode))
        .map_err(|error| logged(name, "created", error))?;
    let size = regular(&descriptor, name)?;
    let file = File::new(name, descriptor, distrust.clone());
    let durable = (|| {
        if size > 0 {
            // Without this sync a power cut might bring the old content back under the new file's writes.
            rustix::fs::ftruncate(&file.descriptor, 0)?;
            rustix::fs::fsync(&file.descriptor)?;
        }
        rustix::fs::fsync(folder)
    })();
    match durable.map_err(|error| logged(name, "created", error)) {
        Ok(()) => Ok(file),
        Err(DiskError::Failed) => {
            file.fail();
            Err(DiskError::Failed)
        }
        Err(error) => Err(error),
    }
}

/// Deletes a file, durably. One that isn't there may be so since a moment ago, so the folder is synced anyway.
pub(super) fn delete(folder: BorrowedFd<'_>, name: FileName, distrust: &Distrust) -> DiskResult {
    match rustix::fs::unlinkat(folder, name.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(logged(name, "deleted", error)),
    }
    rustix::fs::fsync(folder).map_err(|error| logged(name, "deleted", error))?;
    distrust.forget(name);
    Ok(DiskOutcome::Done)
}

/// Names and lengths of the files that a role can name, in order; what else lies there is not the role's.
pub(super) fn list(folder: BorrowedFd<'_>) -> DiskResult {
    let listed = (|| {
        let mut files = Vec::new();
        for entry in Dir::read_from(folder)? {
            let Some(name) = entry?.file_name().to_str().ok().and_then(FileName::parse) else { continue };
            match rustix::fs::statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    files.push((name, length_of(&stat)));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        files.sort_unstable();
        Ok(files)
    })();
    listed.map(DiskOutcome::Listed).map_err(|error| {
        tracing::error!(%error, "a folder can't be listed");
        disk_error(error)
    })
}

/// Room on the disk: what is free to an ordinary user, and all of it.
pub(super) fn space(folder: BorrowedFd<'_>) -> DiskResult {
    let stat = rustix::fs::fstatvfs(folder).map_err(disk_error)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(DiskOutcome::Space { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

/// A buffer for a read: as large as was asked for, or as what the file has there, if that is less. A length
/// that came from anywhere costs no more memory than the file is long.
pub(super) fn read_buffer(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
    let stat = rustix::fs::fstat(&file.descriptor).map_err(disk_error)?;
    let there = length.min(length_of(&stat).saturating_sub(offset));
    let capacity = usize::try_from(there).map_err(|_| DiskError::Failed)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(capacity).map_err(|_| DiskError::Failed)?;
    Ok(buffer)
}

/// Reads, until that much is there or the file ends.
pub(super) fn read(file: &File, offset: u64, length: u64) -> DiskResult {
    let mut buffer = read_buffer(file, offset, length)?;
    while buffer.len() < buffer.capacity() {
        let at = offset + buffer.len() as u64;
        match retry_on_intr(|| rustix::io::pread(&file.descriptor, spare_capacity(&mut buffer), at)) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(read_error(file, error)),
        }
    }
    Ok(was_read(buffer, length))
}

/// What was read. Allocators may give more room than was asked for, and more is then read.
pub(super) fn was_read(mut buffer: Vec<u8>, length_max: u64) -> DiskOutcome {
    buffer.truncate(usize::try_from(length_max).unwrap_or(usize::MAX));
    DiskOutcome::Read(Bytes::from(buffer))
}

/// What a failed read means. It says nothing of what was written elsewhere in the file.
pub(super) fn read_error(file: &File, error: Errno) -> DiskError {
    logged(file.name, "read", error)
}

/// Reads what the page cache holds, without waiting for the disk. `None`: not all of it is there.
pub(super) fn read_cached(file: &File, offset: u64, length: usize) -> Option<Bytes> {
    let mut buffer = vec![0; length];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let read = rustix::io::preadv2(&file.descriptor, &mut slices, offset, ReadWriteFlags::NOWAIT);
    (read == Ok(length)).then(|| Bytes::from(buffer))
}

/// Writes the pieces one after another from `offset` on.
pub(super) fn write(file: &File, offset: u64, pieces: &[Bytes]) -> DiskResult {
    file.on_write();
    let result = write_all(file.descriptor.as_fd(), offset, pieces);
    file.on_write();
    result.map(|()| DiskOutcome::Done).map_err(|error| write_error(file, error))
}

/// What a failed write means: a full disk is normal, anything else ends the trust in the file.
pub(super) fn write_error(file: &File, error: Errno) -> DiskError {
    let meaning = logged(file.name, "written", error);
    if meaning != DiskError::Full {
        file.fail();
    }
    meaning
}

pub(super) fn write_all(
    descriptor: BorrowedFd<'_>,
    mut offset: u64,
    pieces: &[Bytes],
) -> rustix::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> =
        pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(PIECES_MAX)];
        let written = retry_on_intr(|| rustix::io::pwritev(descriptor, batch, offset))?;
        if written == 0 {
            return Err(Errno::IO);
        }
        offset += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Makes what was written durable. A failure is final (PROTOCOLS L4): a second try would succeed and lie.
pub(super) fn sync(file: &File) -> DiskResult {
    let begun = file.begin_sync();
    match rustix::fs::fdatasync(&file.descriptor) {
        Ok(()) => {
            file.on_synced(begun);
            Ok(DiskOutcome::Done)
        }
        Err(error) => Err(sync_error(file, error)),
    }
}

/// What a failed sync means. Never "full" or "not found", whatever the kernel calls it: nobody knows what of
/// the file is on the disk.
pub(super) fn sync_error(file: &File, error: Errno) -> DiskError {
    logged(file.name, "synced", error);
    file.fail();
    DiskError::Failed
}

fn logged(name: FileName, what: &str, error: Errno) -> DiskError {
    let meaning = disk_error(error);
    if meaning == DiskError::Failed {
        tracing::error!(file = %name, %error, "a file can't be {what}");
    }
    meaning
}

/// The length of a file, which must be a plain one: a pipe or a device in its place is none of ours.
fn regular(descriptor: &OwnedFd, name: FileName) -> Result<u64, DiskError> {
    let stat = rustix::fs::fstat(descriptor).map_err(disk_error)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        tracing::error!(file = %name, "what lies in the place of a file is not one");
        return Err(DiskError::Failed);
    }
    Ok(length_of(&stat))
}

fn length_of(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

//! A directory by its descriptor: what is in it is reached by name, and links are never followed.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat,
};
use rustix::io::Errno;

/// Bytes of a file that are read: identity files have about a hundred.
const READ_MAX: u64 = 4096;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// What is in a directory.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name; what isn't text reads oddly, and is no name of ours.
    pub(super) name: String,
    pub(super) is_folder: bool,
    pub(super) is_socket: bool,
    is_file: bool,
}

impl Entry {
    /// A file or a socket: something that is removed by name, and is nothing more than it seems.
    pub(super) fn is_plain(&self) -> bool {
        self.is_file || self.is_socket
    }
}

/// What came of removing a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Gone,
    NotEmpty,
    MountPoint,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        openat(CWD, path, FOLDER, Mode::empty()).map(Folder)
    }

    pub(super) fn open_child(&self, name: &str) -> Result<Self, Errno> {
        openat(&self.0, name, FOLDER, Mode::empty()).map(Folder)
    }

    /// Everything in it, in the order of names.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Errno> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = FileType::from_raw_mode(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
            entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                is_folder: kind == FileType::Directory,
                is_socket: kind == FileType::Socket,
                is_file: kind == FileType::RegularFile,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The beginning of a file; none where there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::from(file).take(READ_MAX).read_to_end(&mut bytes);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Some(bytes))
    }

    /// Takes the lock that a file stands for, until the result is dropped.
    pub(super) fn lock(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    /// Removes a name that is no directory's. One that isn't there is removed.
    pub(super) fn unlink(&self, name: &str) -> Result<(), Errno> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }

    /// Removes a directory in it, when that is empty.
    pub(super) fn remove_child(&self, name: &str) -> Result<Removed, Errno> {
        removed(unlinkat(&self.0, name, AtFlags::REMOVEDIR))
    }
}

/// Removes a directory, when it is empty.
pub(super) fn remove(path: &Path) -> Result<Removed, Errno> {
    removed(unlinkat(CWD, path, AtFlags::REMOVEDIR))
}

fn removed(result: Result<(), Errno>) -> Result<Removed, Errno> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(Removed::Gone),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removed::NotEmpty),
        Err(Errno::BUSY) => Ok(Removed::MountPoint),
        Err(error) => Err(error),
    }
}

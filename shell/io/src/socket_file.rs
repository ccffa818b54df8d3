//! A unix socket's file: made for its owner alone, removed when its server ends.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, chmodat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest path of a socket, in bytes: what fits in its address beside the final zero.
pub const SOCKET_PATH_MAX: usize = 107;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path doesn't fit in a socket's address.
    #[error(
        "the socket's path {} has {} bytes and may have {SOCKET_PATH_MAX}: choose a shorter directory",
        .0.display(),
        .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// Something else than a socket is there.
    #[error("{} is in the way: it is no socket, so it was not put there by ovs; move it", .0.display())]
    InTheWay(PathBuf),
    /// A process listens there.
    #[error("another process listens on {}: stop that one first", .0.display())]
    InUse(PathBuf),
    /// The operating system refuses.
    #[error("the socket {} can't be made: {source}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket's file that goes with this value.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: a file that another server put there since isn't ours to remove.
    identity: (u64, u64),
}

/// Listens at a path, for the owner of the file alone. What a dead process left there is replaced.
///
/// # Errors
/// When the path is too long, taken, or the operating system refuses.
pub fn bind_socket(path: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    if path.as_os_str().as_bytes().len() > SOCKET_PATH_MAX {
        return Err(BindError::PathTooLong(path.to_owned()));
    }
    clear(path)?;
    listen(path).map_err(|source| BindError::System { path: path.to_owned(), source })
}

/// Removes what a dead process left.
fn clear(path: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::InTheWay(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        // A full backlog too means that somebody is there.
        Ok(_) => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(system)
        }
        Err(error) => Err(system(error)),
    }
}

fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let made = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (made.dev(), made.ino()) };
    // Before it listens, nobody can connect: there is no moment at which others may.
    chmodat(CWD, path, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.identity && found.file_type().is_socket());
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("{} can't be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_its_owner_may_connect_and_the_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (listener, file) = bind_socket(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(listener);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_process_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, _file) = bind_socket(&path).unwrap();
        assert!(matches!(bind_socket(&path), Err(BindError::InUse(_))));
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind_socket(&path), Err(BindError::InTheWay(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_path_is_as_long_as_an_address_allows() {
        let folder = tempfile::tempdir().unwrap();
        let room = SOCKET_PATH_MAX - folder.path().as_os_str().len() - 1;
        let longest = folder.path().join("s".repeat(room));
        bind_socket(&longest).unwrap();
        let error = bind_socket(&folder.path().join("s".repeat(room + 1))).unwrap_err();
        assert!(error.to_string().contains("has 108 bytes and may have 107"), "{error}");
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (_listener, file) = bind_socket(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_next, _next_file) = bind_socket(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }
}

//! Opening streams to members of the KV's group.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use glossary::ServerId;

/// A stream to a member. Whatever encrypts it is done when it is opened.
pub trait Stream: Read + Write + Send {
    /// How long a read or a write may wait, more than nothing. One that waited so long fails with
    /// [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`], and may be tried again.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_patience(&mut self, patience: Duration) -> io::Result<()>;
}

/// Opens streams.
pub trait Dial: Send {
    /// The servers with members that it can reach. None: there is one place, and whoever answers there is asked.
    fn servers(&self) -> Vec<ServerId>;

    /// Opens a stream to a server, or to that one place, within this time.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::NotFound`] for a server that it knows no way to.
    fn dial(&mut self, server: ServerId, patience: Duration) -> io::Result<Box<dyn Stream>>;
}

/// The unix socket of a process on this machine.
#[derive(Clone, Debug)]
pub struct UnixDial {
    path: PathBuf,
}

impl UnixDial {
    /// The socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        UnixDial { path: path.into() }
    }
}

impl Dial for UnixDial {
    fn servers(&self) -> Vec<ServerId> {
        Vec::new()
    }

    fn dial(&mut self, _server: ServerId, _patience: Duration) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(UnixStream::connect(&self.path)?))
    }
}

impl Stream for UnixStream {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

//! A listening socket.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SocketFlags, accept_with, sockopt};

use super::connection::Connection;

/// A socket that accepts connections. Bind it before the runtime starts, so that a busy port is told at once.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    is_tcp: bool,
}

impl Listener {
    /// Takes a TCP listener.
    ///
    /// # Errors
    /// When it can't be made non-blocking.
    pub fn tcp(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Listener { socket: listener.into(), is_tcp: true })
    }

    /// Takes a unix listener.
    ///
    /// # Errors
    /// When it can't be made non-blocking.
    pub fn unix(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Listener { socket: listener.into(), is_tcp: false })
    }

    /// The next connection that waits. Call it until there is none: [`super::Gateway::ready`] tells of new
    /// ones only.
    ///
    /// # Errors
    /// When the machine has no room for another (descriptors, memory). The connection still waits: try again
    /// upon a timer.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match retry_on_intr(|| accept_with(&self.socket, flags)) {
                Ok(socket) => {
                    if self.is_tcp {
                        // Replies are sent whole; the kernel need not wait for more to go with them. Where
                        // it refuses, the client is gone, and reading from it will say so.
                        let _ = sockopt::set_tcp_nodelay(&socket, true);
                    }
                    return Connection::new(socket).map(Some);
                }
                Err(Errno::AGAIN) => return Ok(None),
                // The client went away while it waited.
                Err(Errno::CONNABORTED | Errno::PROTO) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

//! The socket for clients on the same machine.

use std::os::fd::AsFd;
use std::path::Path;

use io::{BindError, Listener, SocketFile};

use crate::rights::{Peer, Rights};

/// Why there is no socket for clients on the same machine.
pub type LocalError = BindError;

/// A unix socket that its owner alone may open. Its file goes with this value.
#[derive(Debug)]
pub struct LocalSocket {
    pub(crate) listener: Listener,
    _file: SocketFile,
}

impl LocalSocket {
    /// Listens at a path. What a dead process left there is replaced.
    ///
    /// # Errors
    /// When the path is too long, taken, or the operating system refuses.
    pub fn bind(path: &Path) -> Result<Self, LocalError> {
        let (listener, file) = io::bind_socket(path)?;
        let system = |source| BindError::System { path: path.to_owned(), source };
        Ok(LocalSocket { listener: Listener::unix(listener).map_err(system)?, _file: file })
    }
}

/// Who is at the other end of a unix socket: whoever its file lets in.
pub(crate) fn peer(socket: impl AsFd) -> Peer {
    let name = match rustix::net::sockopt::socket_peercred(socket) {
        Ok(found) => format!("user {} (process {})", found.uid.as_raw(), found.pid.as_raw_nonzero()),
        Err(_) => "a local user".to_owned(),
    };
    Peer { name, server: None, member_of: None, rights: Rights::LOCAL }
}

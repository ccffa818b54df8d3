//! One question to the KV of a server on this machine, through its socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use formats::Message;
use glossary::{ClusterIdentity, ServerId};

use crate::conversation::{Error, converse};
use crate::failure::{ExitCode, Failure};
use crate::storage::layout::lock;

/// How long the server may take for what is quick.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and waits for the answer to that.
pub(super) fn ask(
    data: &Path,
    cluster: ClusterIdentity,
    server: ServerId,
    question: &Message,
    patience: Duration,
) -> Result<Message, Failure> {
    let path = data.join(links::LOCAL_SOCKET);
    let failed = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused if is_held(data) => Failure::new(
            ExitCode::NotRunning,
            format!(
                "a server runs on {} and can't answer yet: it begins, or waits for other servers to give it what is damaged; its \
                 log says which",
                data.display()
            ),
        ),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(
            ExitCode::NotRunning,
            format!("no server runs on {}: start it by ovs serve", data.display()),
        ),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Failure::new(ExitCode::TimedOut, format!("the server on {} doesn't answer", data.display()))
        }
        _ => Failure::system(&format!("talking through {}", path.display()), error),
    };
    let mut stream = UnixStream::connect(&path).map_err(|error| failed(&error))?;
    let bounded = stream.set_read_timeout(Some(patience)).and(stream.set_write_timeout(Some(patience)));
    bounded.map_err(|error| failed(&error))?;
    converse(&mut stream, cluster, server, question).map_err(|error| refused(&error, &failed))
}

/// Whether a process holds a server's data.
fn is_held(data: &Path) -> bool {
    data.is_dir() && lock(data).is_err_and(|failure| failure.code == ExitCode::Busy)
}

/// An error of the operating system, or what the other end says wrong.
fn refused(error: &Error, failed: &dyn Fn(&std::io::Error) -> Failure) -> Failure {
    match error.downcast_ref() {
        Some(error) => failed(error),
        None => Failure::new(ExitCode::Failed, error.to_string()),
    }
}

//! Reaching the KV: by the socket in a directory, or by the addresses and the certificate of a configuration.

use std::io;
use std::path::Path;

use kv_client::{Client, Error, UnixDial};

use crate::cli::KvPlace;
use crate::config::ClientConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;

/// Begins a session.
pub(super) fn connect(place: &KvPlace, directory: &Path) -> Result<Client, Failure> {
    let Some(file) = &place.config else {
        let dial = UnixDial::new(directory.join(links::LOCAL_SOCKET));
        return Client::connect(Box::new(dial)).map_err(|error| not_running(&error, directory));
    };
    let config = ClientConfig::load(file)?;
    if config.servers.is_empty() {
        return Err(Failure::usage(format!("{} names no servers: add them below [servers]", file.display())));
    }
    let dial = group::dial(&config)?;
    Client::connect(Box::new(dial)).map_err(|error| Failure::new(ExitCode::System, error.to_string()))
}

fn not_running(error: &Error, directory: &Path) -> Failure {
    let shown = directory.display();
    let Error::Unreachable(system) = error else { return Failure::new(ExitCode::Failed, error.to_string()) };
    match system.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            ExitCode::NotRunning,
            format!(
                "no cluster is running on {shown}: start one with `ovs up --dir {shown}`, or name one with --config"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            ExitCode::System,
            format!("the cluster on {shown} belongs to another user ({system}): ask as that user"),
        ),
        _ => Failure::new(ExitCode::Failed, format!("the KV on {shown}: {system}")),
    }
}

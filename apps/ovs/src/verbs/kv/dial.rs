//! Reaching the KV: by the socket in a directory, or by the addresses and the certificate of a configuration.

use std::io;
use std::path::Path;

use certificates::Credentials;
use kv_client::{Client, Error, TlsDial, UnixDial};

use crate::cli::KvPlace;
use crate::config::ClientConfig;
use crate::failure::{ExitCode, Failure};

/// Begins a session.
pub(super) fn connect(place: &KvPlace, directory: &Path) -> Result<Client, Failure> {
    let Some(file) = &place.config else {
        let dial = UnixDial::new(directory.join(links::LOCAL_SOCKET));
        return Client::connect(Box::new(dial)).map_err(|error| not_running(&error, directory));
    };
    let ClientConfig { certificates, servers, .. } = ClientConfig::load(file)?;
    let refused = |error: &dyn std::fmt::Display| Failure::new(ExitCode::System, error.to_string());
    let credentials = Credentials::load(&certificates).map_err(|error| refused(&error))?;
    if servers.is_empty() {
        return Err(Failure::usage(format!("{} names no servers: add them below [servers]", file.display())));
    }
    let servers = servers.into_iter().map(|(server, address)| (server, address.to_string())).collect();
    let dial = TlsDial::new(credentials, servers);
    Client::connect(Box::new(dial)).map_err(|error| refused(&error))
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

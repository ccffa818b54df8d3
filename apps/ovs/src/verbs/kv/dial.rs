//! Reaching the KV: by the socket in a directory, or by the addresses and the certificate of a configuration.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Credentials, server_name};
use glossary::{ClusterIdentity, ServerId};
use kv_client::{Client, Dial, Error, Stream, UnixDial};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::cli::KvPlace;
use crate::config::{Address, ClientConfig};
use crate::failure::{ExitCode, Failure};

/// Begins a session.
pub(super) fn connect(place: &KvPlace, directory: &Path) -> Result<Client, Failure> {
    let Some(file) = &place.config else {
        let dial = UnixDial::new(directory.join(links::LOCAL_SOCKET));
        return Client::connect(Box::new(dial)).map_err(|error| not_running(&error, directory));
    };
    let ClientConfig { cluster, certificates, servers } = ClientConfig::load(file)?;
    let refused = |error: &dyn std::fmt::Display| Failure::new(ExitCode::System, error.to_string());
    let credentials = Credentials::load(&certificates).map_err(|error| refused(&error))?;
    if servers.is_empty() {
        return Err(Failure::usage(format!("{} names no servers: add them below [servers]", file.display())));
    }
    let dial = TlsDial { cluster, credentials, servers };
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

/// Servers by TCP and TLS.
struct TlsDial {
    cluster: ClusterIdentity,
    credentials: Credentials,
    servers: BTreeMap<ServerId, Address>,
}

impl Dial for TlsDial {
    fn servers(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    fn dial(&mut self, server: ServerId, patience: Duration) -> io::Result<Box<dyn Stream>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the configuration has no address of it");
        let addresses = self.servers.get(&server).ok_or_else(missing)?.resolve()?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => return self.secure(stream, server, patience),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl TlsDial {
    fn secure(&self, stream: TcpStream, server: ServerId, patience: Duration) -> io::Result<Box<dyn Stream>> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let name = ServerName::try_from(server_name(self.cluster)).map_err(io::Error::other)?;
        let connection =
            ClientConnection::new(Arc::clone(&self.credentials.client()), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let chain = stream.conn.peer_certificates().unwrap_or_default();
        let who = self.credentials.peer(chain).map_err(io::Error::other)?;
        if who.server != Some(server) {
            return Err(io::Error::other("another server answers at its address: correct the configuration"));
        }
        Ok(Box::new(Tls(stream)))
    }
}

struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Tls {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.0.sock.set_read_timeout(Some(patience))?;
        self.0.sock.set_write_timeout(Some(patience))
    }
}

//! Streams to servers by TLS, in which both ends show a certificate of the cluster.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use certificates::{Credentials, server_name};
use glossary::ServerId;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::dial::{Dial, Stream};

/// Opens streams to servers at known addresses.
#[derive(Debug)]
pub struct TlsDial {
    credentials: Credentials,
    servers: BTreeMap<ServerId, String>,
}

impl TlsDial {
    /// Servers by their addresses, `HOST:PORT`; a host's name is looked up at each attempt.
    pub fn new(credentials: Credentials, servers: BTreeMap<ServerId, String>) -> Self {
        TlsDial { credentials, servers }
    }

    /// Takes up a renewed certificate. What can't be read now is read at the next attempt.
    fn refresh(&mut self) {
        if let Ok(Some(credentials)) = self.credentials.reloaded() {
            self.credentials = credentials;
        }
    }

    fn shake_hands(
        &self,
        server: ServerId,
        mut socket: TcpStream,
        until: Instant,
    ) -> io::Result<Box<dyn Stream>> {
        let name =
            ServerName::try_from(server_name(self.credentials.me().cluster)).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(self.credentials.client(), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            socket.set_patience(left(until)?)?;
            match tls.complete_io(&mut socket) {
                Err(error) if !is_late(&error) => return Err(error),
                _ => {}
            }
        }
        let chain = tls.peer_certificates().unwrap_or_default();
        let peer = self.credentials.peer(chain).map_err(io::Error::other)?;
        if peer.server != Some(server) {
            return Err(io::Error::other(format!("{} is there", peer.name)));
        }
        Ok(Box::new(StreamOwned::new(tls, socket)))
    }
}

impl Dial for TlsDial {
    fn servers(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    fn dial(&mut self, server: ServerId, patience: Duration) -> io::Result<Box<dyn Stream>> {
        self.refresh();
        let until = Instant::now() + patience;
        let unknown =
            || io::Error::new(io::ErrorKind::NotFound, format!("no address of server {server} is known"));
        let address = self.servers.get(&server).ok_or_else(unknown)?;
        let socket = connect(address.to_socket_addrs()?, until)?;
        socket.set_nodelay(true)?;
        self.shake_hands(server, socket, until)
    }
}

/// Connects to the first of several addresses that takes it.
fn connect(addresses: impl Iterator<Item = SocketAddr>, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(until)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.sock.set_patience(patience)
    }
}

impl Stream for TcpStream {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))?;
        self.set_write_timeout(Some(patience))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;

    use certificates::{Authority, Identity, Role, Roles};
    use rustls::ServerConnection;

    use super::*;

    const LIFE: Duration = Duration::from_hours(1);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn credentials(authority: &Authority, folder: &Path) -> (Credentials, Credentials) {
        let (cluster, kv) = (authority.cluster(), Roles::of([Role::Kv]));
        let server = Identity::server(cluster, ServerId(2), kv);
        let client = Identity::client(cluster, "client", Roles::of([Role::Client])).expect("a name");
        authority.issue(&server, LIFE, &folder.join("server")).expect("issued");
        authority.issue(&client, LIFE, &folder.join("client")).expect("issued");
        let load = |name| Credentials::load(&folder.join(name)).expect("just issued");
        (load("server"), load("client"))
    }

    /// Accepts once, and says back what it hears; nothing where the handshake fails.
    fn serve(listener: TcpListener, credentials: &Credentials) {
        let config = credentials.server().expect("a server's");
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().expect("somebody comes");
            let mut stream =
                StreamOwned::new(ServerConnection::new(config).expect("a configuration"), socket);
            let mut word = [0; 4];
            let _ = stream.read_exact(&mut word).and_then(|()| stream.write_all(&word));
        });
    }

    fn dialled(server: ServerId) -> io::Result<[u8; 4]> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::create(&folder.path().join("authority")).expect("made");
        let (of_server, of_client) = credentials(&authority, folder.path());
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut dial = TlsDial::new(of_client, [(server, listener.local_addr()?.to_string())].into());
        serve(listener, &of_server);
        let mut stream = dial.dial(server, PATIENCE)?;
        stream.write_all(b"word")?;
        stream.flush()?;
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        Ok(word)
    }

    #[test]
    fn a_server_of_the_cluster_is_spoken_to() {
        assert_eq!(dialled(ServerId(2)).expect("it is there"), *b"word");
    }

    #[test]
    fn another_server_than_the_one_that_was_meant_is_refused() {
        let refused = dialled(ServerId(3)).expect_err("it is server 2");
        assert!(refused.to_string().contains("server-2 is there"), "{refused}");
    }

    #[test]
    fn a_server_without_an_address_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::create(&folder.path().join("authority")).expect("made");
        let mut dial = TlsDial::new(credentials(&authority, folder.path()).1, BTreeMap::new());
        let Err(refused) = dial.dial(ServerId(7), PATIENCE) else { panic!("nobody is there") };
        assert!(refused.to_string().contains("no address of server 7"), "{refused}");
    }
}

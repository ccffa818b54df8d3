//! Servers with certificates, and clients with theirs.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use certificates::{Authority, Credentials, Identity, Role, Roles, server_name};
use formats::hello::{Hello, Offers};
use glossary::ServerId;
use links::{Addresses, Bounds, Settings, Trust};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::bed::Bed;
use crate::client::Client;

const YEAR: Duration = Duration::from_hours(365 * 24);

pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A cluster's authority, and the folders of those whom it believes.
pub(crate) struct World {
    pub(crate) authority: Authority,
    folder: TempDir,
    /// Where the servers are; all of them look here.
    pub(crate) addresses: Addresses,
    known: BTreeMap<ServerId, SocketAddr>,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) bed: Bed,
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("authority")).unwrap();
        World { authority, folder, addresses: Addresses::default(), known: BTreeMap::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn issue_server(&self, server: u16, roles: &[Role]) -> PathBuf {
        let path = self.path(&format!("server-{server}"));
        let roles = Roles::of(roles.iter().copied());
        let identity = Identity::server(self.authority.cluster(), ServerId(server), roles);
        self.authority.issue(&identity, YEAR, &path).unwrap();
        path
    }

    pub(crate) fn issue_client(&self, name: &str, roles: &[Role]) -> PathBuf {
        let path = self.path(name);
        let roles = Roles::of(roles.iter().copied());
        let identity = Identity::client(self.authority.cluster(), name, roles).unwrap();
        self.authority.issue(&identity, YEAR, &path).unwrap();
        path
    }

    /// Starts a server, and has all others know where it is.
    pub(crate) fn start(&mut self, server: u16, bounds: Bounds) -> Server {
        let settings = Settings { bounds, ..Settings::new(self.authority.cluster(), ServerId(server)) };
        self.start_with(settings, &[Role::Kv])
    }

    /// The same of one with these settings and roles.
    pub(crate) fn start_with(&mut self, settings: Settings, roles: &[Role]) -> Server {
        let server = settings.server.0;
        let credentials = Credentials::load(&self.issue_server(server, roles)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, trust) = (listener.local_addr().unwrap(), Trust::new(credentials));
        self.known.insert(ServerId(server), address);
        self.addresses.replace(self.known.clone());
        let (theirs, addresses) = (trust.clone(), self.addresses.clone());
        let bed = Bed::with(settings, |links| links.with_servers(listener, theirs, addresses).unwrap());
        Server { bed, address, trust }
    }

    /// Says hello to a server with the certificate in a folder.
    pub(crate) fn greet(
        &self,
        server: &Server,
        folder: &str,
        hello: &Hello,
    ) -> std::io::Result<(Client<Secure>, Hello)> {
        let credentials = Credentials::load(&self.path(folder)).unwrap();
        let name = ServerName::try_from(server_name(self.authority.cluster())).unwrap();
        let tls = ClientConnection::new(credentials.client(), name).unwrap();
        let socket = TcpStream::connect(server.address)?;
        Client::greet(StreamOwned::new(tls, socket), hello)
    }

    /// A client of a server.
    pub(crate) fn client(&self, server: &Server, folder: &str) -> Client<Secure> {
        let hello = Hello::new(Some(self.authority.cluster()), None, Offers::default());
        let (client, theirs) = self.greet(server, folder, &hello).unwrap();
        assert_eq!(theirs.refusal, None);
        client
    }
}

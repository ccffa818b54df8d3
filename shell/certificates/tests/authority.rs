//! An authority, what it issues, and who can talk to whom by that.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use certificates::{Authority, Credentials, Identity, IssuedBy, Role, Roles, server_name};
use glossary::ServerId;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// A cluster with one server and one client, in folders of their own.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("authority")).unwrap();
        let world = World { folder, authority };
        world.issue_server();
        world.issue_client();
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn issue_server(&self) {
        let server = Identity::server(self.authority.cluster(), ServerId(1), Roles::of([Role::Kv]));
        self.authority.issue(&server, YEAR, &self.path("server")).unwrap();
    }

    fn issue_client(&self) {
        let roles = Roles::of([Role::Client]);
        let client = Identity::client(self.authority.cluster(), "backup", roles).unwrap();
        self.authority.issue(&client, YEAR, &self.path("client")).unwrap();
    }

    fn load(&self, name: &str) -> Credentials {
        Credentials::load(&self.path(name)).unwrap()
    }

    fn talk(&self) -> Result<(Identity, Identity), String> {
        talk(&self.load("client"), &self.load("server"))
    }
}

/// A handshake in memory: whom the server sees, whom the client sees.
fn talk(client: &Credentials, server: &Credentials) -> Result<(Identity, Identity), String> {
    let name = ServerName::try_from(server_name(client.me().cluster)).unwrap();
    let mut ends = (
        ClientConnection::new(client.client(), name).unwrap(),
        ServerConnection::new(server.server().expect("a server's")).unwrap(),
    );
    handshake(&mut ends)?;
    let text = |error: certificates::CertificateError| error.to_string();
    let seen_by_server = server.peer(ends.1.peer_certificates().unwrap()).map_err(text)?;
    let seen_by_client = client.peer(ends.0.peer_certificates().unwrap()).map_err(text)?;
    Ok((seen_by_server, seen_by_client))
}

fn handshake((client, server): &mut (ClientConnection, ServerConnection)) -> Result<(), String> {
    let text = |error: rustls::Error| error.to_string();
    for _ in 0..10 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().map_err(text)?;
        bytes.clear();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().map_err(text)?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking(), "ten rounds are plenty");
    Ok(())
}

#[test]
fn server_and_client_of_a_cluster_know_each_other() {
    let world = World::new();
    let (client, server) = world.talk().unwrap();
    assert_eq!((client.name.as_str(), client.server), ("backup", None));
    assert!(client.roles.has(Role::Client) && !client.roles.has(Role::Admin));
    assert_eq!((server.name.as_str(), server.server), ("server-1", Some(ServerId(1))));
    assert!(world.load("client").server().is_none(), "a client accepts nobody");
}

#[test]
fn another_cluster_is_not_believed() {
    let (ours, theirs) = (World::new(), World::new());
    let refused = talk(&theirs.load("client"), &ours.load("server")).unwrap_err();
    assert!(refused.contains("UnknownIssuer") || refused.contains("not valid for"), "{refused}");
}

#[test]
fn a_client_is_no_server() {
    let world = World::new();
    // Its certificate with its key, in a server's place: the client's own check has to refuse it.
    let client = world.load("client");
    let chain = certificates_of(&world.path("client"));
    let server = server_with(&world.load("server"), chain, &world.path("client"));
    let name = ServerName::try_from(server_name(client.me().cluster)).unwrap();
    let mut ends = (
        ClientConnection::new(client.client(), name).unwrap(),
        ServerConnection::new(Arc::new(server)).unwrap(),
    );
    let refused = handshake(&mut ends).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}

fn certificates_of(folder: &Path) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    let text = fs::read(folder.join("node.pem")).unwrap();
    rustls::pki_types::CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().unwrap()
}

fn server_with(
    like: &Credentials,
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    folder: &Path,
) -> ServerConfig {
    use rustls::pki_types::pem::PemObject;
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(folder.join("node.pem")).unwrap();
    let provider = like.server().unwrap().crypto_provider().clone();
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

#[test]
fn who_is_revoked_is_refused_once_the_list_is_there_and_a_renewed_one_is_not() {
    let world = World::new();
    assert_eq!(world.authority.revoke("backup", false).unwrap(), 1);
    assert_eq!(world.authority.revoke("backup", false).unwrap(), 0, "it is revoked");
    assert!(world.talk().is_ok(), "the server has not heard of it");
    let server = world.load("server");
    assert!(server.reloaded().unwrap().is_none());
    world.authority.share(&world.path("server")).unwrap();
    assert!(server.reloaded().unwrap().is_some());
    let refused = world.talk().unwrap_err();
    assert!(refused.contains("Revoked"), "{refused}");
    world.issue_client();
    assert!(world.talk().is_ok());
    let issued = world.authority.issued().unwrap();
    let of_client: Vec<_> = issued.iter().filter(|issued| issued.identity.server.is_none()).collect();
    assert_eq!(of_client.iter().map(|issued| issued.is_revoked).collect::<Vec<_>>(), [true, false]);
    assert!(world.authority.revoke("nobody", false).is_err());
}

#[test]
fn only_what_a_renewal_replaced_is_revoked_where_that_is_meant() {
    let world = World::new();
    world.issue_server();
    assert_eq!(world.authority.revoke("server-1", true).unwrap(), 1);
    world.issue_client();
    assert!(world.talk().is_ok(), "the newest certificate of the server is good");
}

#[derive(Debug)]
struct At(Duration);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0))
    }
}

#[test]
fn certificates_end() {
    let world = World::new();
    let (client, server) = (world.load("client"), world.load("server"));
    let end = server.until().duration_since(UNIX_EPOCH).unwrap();
    let handshake_at = |time| {
        let mut config: ClientConfig = (*client.client()).clone();
        config.time_provider = Arc::new(At(time));
        let name = ServerName::try_from(server_name(client.me().cluster)).unwrap();
        let server = ServerConnection::new(server.server().unwrap()).unwrap();
        handshake(&mut (ClientConnection::new(Arc::new(config), name).unwrap(), server))
    };
    let second = Duration::from_secs(1);
    assert_eq!(handshake_at(end - second), Ok(()));
    assert_eq!(handshake_at(end - YEAR - Duration::from_hours(23)), Ok(()), "a clock that is late");
    let refused = handshake_at(end + second).unwrap_err();
    assert!(refused.contains("expired") || refused.contains("Expired"), "{refused}");
}

#[test]
fn a_new_authority_takes_over_without_anybody_being_cut_off() {
    let world = World::new();
    let cluster = world.authority.cluster();
    fs::remove_file(world.path("authority/authority.key")).unwrap();
    assert!(Authority::open(&world.path("authority")).is_err());
    let new = Authority::replace(&world.path("authority")).unwrap();
    assert_eq!(new.cluster(), cluster);
    new.share(&world.path("server")).unwrap();
    new.share(&world.path("client")).unwrap();
    assert!(world.talk().is_ok(), "certificates of the old authority, lists of both");
    let server = Identity::server(cluster, ServerId(1), Roles::of([Role::Kv]));
    new.issue(&server, YEAR, &world.path("server")).unwrap();
    assert!(world.talk().is_ok(), "one of each");
    new.retire().unwrap();
    new.share(&world.path("server")).unwrap();
    assert!(world.talk().is_err(), "the client's is the old authority's");
    let client = Identity::client(cluster, "backup", Roles::of([Role::Client])).unwrap();
    new.issue(&client, YEAR, &world.path("client")).unwrap();
    assert!(world.talk().is_ok());
    assert_eq!(new.revoke("backup", false).unwrap(), 2);
    assert_eq!(Authority::open(&world.path("authority")).unwrap().revoke("backup", false).unwrap(), 0);
}

#[test]
fn revocations_survive_a_replaced_authority() {
    let world = World::new();
    world.authority.revoke("backup", false).unwrap();
    let new = Authority::replace(&world.path("authority")).unwrap();
    new.share(&world.path("server")).unwrap();
    let refused = world.talk().unwrap_err();
    assert!(refused.contains("Revoked"), "{refused}");
}

/// The list of the authority whose key is lost can't grow.
#[test]
fn a_certificate_of_a_replaced_authority_can_be_revoked() {
    let world = World::new();
    fs::remove_file(world.path("authority/authority.key")).unwrap();
    let new = Authority::replace(&world.path("authority")).unwrap();
    for holder in ["server", "client"] {
        new.share(&world.path(holder)).unwrap();
    }
    let chain = certificates_of(&world.path("client"));
    let before = world.load("server");
    assert!(world.talk().is_ok() && before.verify(&chain).is_ok());
    assert_eq!(new.revoke("backup", false).unwrap(), 1);
    new.share(&world.path("server")).unwrap();
    let refused = world.talk().unwrap_err();
    assert!(refused.contains("the certificate of backup was revoked"), "{refused}");
    assert!(world.load("server").verify(&chain).is_err(), "nor goes it on");
}

#[test]
fn what_was_revoked_stays_so_under_other_authorities() {
    let world = World::new();
    world.authority.revoke("backup", false).unwrap();
    let of_backup = |authority: &Authority| {
        let issued = authority.issued().unwrap();
        let last = issued.into_iter().rfind(|issued| issued.identity.name == "backup").unwrap();
        (last.is_revoked, last.issuer)
    };
    let new = Authority::replace(&world.path("authority")).unwrap();
    assert_eq!(of_backup(&new), (true, IssuedBy::Replaced));
    new.retire().unwrap();
    assert_eq!(of_backup(&new), (true, IssuedBy::Retired));
    assert_eq!(new.revoke("backup", false).unwrap(), 0, "it was before");
}

#[test]
fn an_authority_that_was_half_made_is_completed_and_one_that_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority");
    let whole = Authority::create(&path).unwrap().cluster();
    assert_eq!(Authority::create(&path).unwrap().cluster(), whole, "it is there");
    // The certificate is written last.
    fs::remove_file(path.join("authority.pem")).unwrap();
    assert!(Authority::open(&path).is_err());
    assert_ne!(Authority::create(&path).unwrap().cluster(), whole, "nothing was issued by the first");
}

#[test]
fn keys_are_their_owners_alone_and_damage_is_named() {
    let world = World::new();
    for key in ["authority/authority.key", "server/node.pem"] {
        assert_eq!(fs::metadata(world.path(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
    for name in ["node.pem", "authority.pem", "revoked.pem"] {
        let path = world.path("server").join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let error = Credentials::load(&world.path("server")).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::remove_file(&path).unwrap();
        let error = Credentials::load(&world.path("server")).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::write(&path, text).unwrap();
    }
    fs::remove_file(world.path("authority/revoked.pem")).unwrap();
    assert!(Authority::open(&world.path("authority")).is_err(), "what was revoked must not be forgotten");
}

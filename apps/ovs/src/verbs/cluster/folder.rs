//! The cluster's folder: `authority`, `server-N`, `clients/NAME`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certificates::{Authority, Identity, Issued, IssuedBy, Roles};
use glossary::{ClusterIdentity, ServerId};

use super::failure;
use crate::config::{self, Address, ClientConfig, ServerConfig, StorageConfig, client_text, server_text};
use crate::failure::{ExitCode, Failure};

/// Within a holder's folder.
const CERTIFICATES: &str = "certificates";

/// A cluster's folder, with its authority.
pub(super) struct Folder {
    root: PathBuf,
    authority: Authority,
}

impl Folder {
    /// Makes it, or opens what is there. A folder with something else in it is refused.
    pub(super) fn create(root: &Path) -> Result<Self, Failure> {
        let is_foreign = !authority_in(root).exists()
            && fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if is_foreign {
            let why = format!("{} holds something else; name a new folder", root.display());
            return Err(Failure::refused(why));
        }
        let authority = Authority::create(&authority_in(root)).map_err(failure)?;
        Ok(Folder { root: root.into(), authority })
    }

    /// Opens it.
    pub(super) fn open(root: &Path) -> Result<Self, Failure> {
        check(root)?;
        Ok(Folder { root: root.into(), authority: Authority::open(&authority_in(root)).map_err(failure)? })
    }

    /// Opens it with a new authority.
    pub(super) fn replace_authority(root: &Path) -> Result<Self, Failure> {
        check(root)?;
        Ok(Folder { root: root.into(), authority: Authority::replace(&authority_in(root)).map_err(failure)? })
    }

    pub(super) fn cluster(&self) -> ClusterIdentity {
        self.authority.cluster()
    }

    /// The folder of a server or client.
    fn of(&self, name: &str) -> PathBuf {
        if name.starts_with("server-") { self.root.join(name) } else { self.root.join("clients").join(name) }
    }

    /// The configuration of a server or client.
    pub(super) fn config_of(&self, name: &str) -> PathBuf {
        self.of(name).join(config::FILE)
    }

    /// Whether a server or client is complete here.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.config_of(name).exists()
    }

    /// The number of a server that is to be added: the last one again where it was left half-made, else the next. No
    /// number is ever used again.
    pub(super) fn next_server(&self, address: SocketAddr) -> Result<ServerId, Failure> {
        if let Some((server, _)) = self.servers()?.iter().find(|(_, known)| **known == Address::from(address))
        {
            return Err(Failure::refused(format!("server-{server} is at {address} already")));
        }
        let last = self.issued()?.into_iter().filter_map(|issued| issued.identity.server).max();
        let half_made = last.filter(|last| !self.holds(&format!("server-{last}")));
        let server = half_made.unwrap_or(ServerId(last.unwrap_or_default().0 + 1));
        if server > ServerId::MAX {
            return Err(Failure::refused("all numbers of servers are taken"));
        }
        Ok(server)
    }

    /// Makes what a server needs, as far as it isn't there. `others`: where servers are, as far as that is known.
    pub(super) fn make_server(
        &self,
        (server, at): (ServerId, SocketAddr),
        roles: Roles,
        others: &BTreeMap<ServerId, Address>,
        life: Duration,
    ) -> Result<(), Failure> {
        let holder = Identity::server(self.cluster(), server, roles.clone());
        if let Some(known) = self.servers()?.get(&server).filter(|known| **known != Address::from(at)) {
            return Err(Failure::refused(format!("server-{server} is there, at {known}, not {at}")));
        }
        let mut servers = others.clone();
        servers.insert(server, at.into());
        let config = ServerConfig {
            cluster: self.cluster(),
            server,
            listen: at,
            data: "data".into(),
            certificates: CERTIFICATES.into(),
            storage: StorageConfig::usual(&roles),
            roles,
            votes: true,
            kv_level: None,
            kv_heals: true,
            servers,
        };
        self.make(&holder, &server_text(&config), life)
    }

    /// Makes what a client needs, as far as it isn't there.
    pub(super) fn make_client(&self, client: &Identity, life: Duration) -> Result<(), Failure> {
        let servers = self.servers()?;
        let config = ClientConfig { cluster: self.cluster(), certificates: CERTIFICATES.into(), servers };
        self.make(client, &client_text(&config), life)
    }

    /// The configuration last: with it, all is there.
    fn make(&self, holder: &Identity, config: &str, life: Duration) -> Result<(), Failure> {
        if self.holds(&holder.name) {
            return Ok(());
        }
        self.issue(holder, life)?;
        let path = self.config_of(&holder.name);
        let new = path.with_extension("new");
        let written = fs::write(&new, config).and_then(|()| fs::File::open(&new)?.sync_all());
        written
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|error| Failure::system(&format!("writing {}", path.display()), &error))
    }

    /// Issues a certificate to a server or client.
    pub(super) fn issue(&self, holder: &Identity, life: Duration) -> Result<(), Failure> {
        self.authority.issue(holder, life, &self.of(&holder.name).join(CERTIFICATES)).map_err(failure)
    }

    /// Everybody who holds a certificate that isn't revoked.
    pub(super) fn holders(&self) -> Result<Vec<Identity>, Failure> {
        Ok(self.held()?.into_iter().map(|issued| issued.identity).collect())
    }

    /// The last certificate of each of them.
    fn held(&self) -> Result<Vec<Issued>, Failure> {
        let mut newest = BTreeMap::new();
        for issued in self.issued()? {
            newest.insert(issued.identity.name.clone(), issued);
        }
        Ok(newest.into_values().filter(|issued| !issued.is_revoked).collect())
    }

    /// One of them; one who was revoked as well, who then belongs to the cluster again.
    pub(super) fn holder(&self, name: &str) -> Result<Identity, Failure> {
        let found = self.issued()?.into_iter().rev().find(|issued| issued.identity.name == name);
        let why = || format!("no certificate was issued to {name}; ovs cluster certificates lists them");
        Ok(found.ok_or_else(|| Failure::new(ExitCode::NotFound, why()))?.identity)
    }

    pub(super) fn issued(&self) -> Result<Vec<Issued>, Failure> {
        self.authority.issued().map_err(failure)
    }

    pub(super) fn revoke(&self, name: &str, only_replaced: bool) -> Result<usize, Failure> {
        self.authority.revoke(name, only_replaced).map_err(failure)
    }

    /// Refuses where somebody would be cut off.
    pub(super) fn retire(&self) -> Result<(), Failure> {
        let is_new = |issued: &Issued| issued.issuer == IssuedBy::Newest;
        let without: Vec<_> = self.held()?.into_iter().filter(|issued| !is_new(issued)).collect();
        if !without.is_empty() {
            let names: Vec<_> = without.into_iter().map(|issued| issued.identity.name).collect();
            return Err(Failure::refused(format!(
                "nobody would believe {} any more, who have no certificate of the newest authority: ovs cluster renew gives \
                 everybody one; ovs cluster revoke takes out who is to have none",
                names.join(", ")
            )));
        }
        self.authority.retire().map_err(failure)
    }

    /// Gives everybody in the folder what the authority says now.
    pub(super) fn share(&self) -> Result<(), Failure> {
        let mut names: Vec<String> = self.issued()?.into_iter().map(|issued| issued.identity.name).collect();
        names.sort();
        names.dedup();
        let folders =
            names.iter().map(|name| self.of(name).join(CERTIFICATES)).filter(|folder| folder.exists());
        folders.into_iter().try_for_each(|folder| self.authority.share(&folder).map_err(failure))
    }

    /// Where the servers in the folder are.
    pub(super) fn servers(&self) -> Result<BTreeMap<ServerId, Address>, Failure> {
        let mut servers = BTreeMap::new();
        for holder in self.holders()? {
            let path = self.config_of(&holder.name);
            if let Some(server) = holder.server.filter(|_| path.exists()) {
                servers.extend(ClientConfig::load(&path)?.servers.remove_entry(&server));
            }
        }
        Ok(servers)
    }
}

fn authority_in(root: &Path) -> PathBuf {
    root.join("authority")
}

fn check(root: &Path) -> Result<(), Failure> {
    if authority_in(root).exists() {
        return Ok(());
    }
    let why = format!("{} is no cluster's folder; ovs cluster init makes one", root.display());
    Err(Failure::new(ExitCode::NotFound, why))
}

//! A configuration file as it is written, in TOML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certificates::{Role, Roles};
use formats::kv_level::LEVEL;
use glossary::{ClusterIdentity, ServerId};
use serde::Deserialize;

use super::storage::{AsdSection, EdgeSection, Sections, VolumeDriverSection};
use super::{ClientConfig, ServerConfig};
use crate::failure::Failure;

/// What the command line and the environment say instead of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    /// Where to accept others.
    pub(crate) listen: Option<SocketAddr>,
    /// Where the data lies, relative to where the program runs.
    pub(crate) data: Option<PathBuf>,
    /// Where the certificate lies, relative to where the program runs.
    pub(crate) certificates: Option<PathBuf>,
    /// The level at which its KV is held.
    pub(crate) kv_level: Option<u32>,
}

/// The section of the KV.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KvSection {
    level: Option<u32>,
    heals: Option<bool>,
}

/// Everything that can stand in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    cluster: String,
    certificates: PathBuf,
    #[serde(default)]
    servers: BTreeMap<String, String>,
    server: Option<u16>,
    listen: Option<String>,
    data: Option<PathBuf>,
    roles: Option<Vec<String>>,
    votes: Option<bool>,
    kv: Option<KvSection>,
    asd: Option<AsdSection>,
    #[serde(rename = "volume-driver")]
    volume_driver: Option<VolumeDriverSection>,
    edge: Option<EdgeSection>,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::system(&format!("reading {}", path.display()), &error))?;
    toml::from_str(&text).map_err(|error| super::refusal(path, &place(&text, &error)))
}

/// What is wrong, and on which line.
fn place(text: &str, error: &toml::de::Error) -> String {
    let why = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line}: {why}")
        }
        None => why,
    }
}

impl File {
    /// Whether it is a server's.
    pub(super) fn is_servers(&self) -> bool {
        self.server.is_some()
    }

    pub(super) fn server(mut self, path: &Path, overrides: &Overrides) -> Result<ServerConfig, String> {
        let missing = |what: &str| format!("`{what}` is missing: this is a client's file, not a server's");
        let server = server_id(self.server.ok_or_else(|| missing("server"))?)?;
        let in_file = self.listen.as_deref().map(listen).transpose()?;
        let listen = overrides.listen.or(in_file).ok_or_else(|| missing("listen"))?;
        let data = self.data.as_deref().map(|data| beside(path, data));
        let data = overrides.data.clone().or(data).ok_or_else(|| missing("data"))?;
        let roles = roles(self.roles.as_deref().ok_or_else(|| missing("roles"))?)?;
        let sections = Sections {
            asd: self.asd.take(),
            volume_driver: self.volume_driver.take(),
            edge: self.edge.take(),
        };
        let storage = sections.read(&roles)?;
        let votes = self.votes.unwrap_or(true);
        let kv_heals = self.kv.as_ref().and_then(|kv| kv.heals).unwrap_or(true);
        let kv_level = kv_level(overrides.kv_level.or(self.kv.as_ref().and_then(|kv| kv.level)))?;
        let ClientConfig { cluster, certificates, servers } = self.client(path)?;
        let certificates = overrides.certificates.clone().unwrap_or(certificates);
        Ok(ServerConfig {
            cluster,
            server,
            listen,
            data,
            certificates,
            roles,
            votes,
            kv_level,
            kv_heals,
            storage,
            servers,
        })
    }

    pub(super) fn client(&self, path: &Path) -> Result<ClientConfig, String> {
        let mut servers = BTreeMap::new();
        for (number, address) in &self.servers {
            let server =
                number.parse().map_err(|_| format!("[servers]: {number:?} is no number of a server"))?;
            let address = address.parse().map_err(|why| format!("[servers] {number}: {why}"))?;
            servers.insert(server_id(server)?, address);
        }
        Ok(ClientConfig {
            cluster: cluster(&self.cluster)?,
            certificates: beside(path, &self.certificates),
            servers,
        })
    }
}

fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

fn cluster(text: &str) -> Result<ClusterIdentity, String> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32 && !text.starts_with('+'));
    let number =
        number.ok_or_else(|| format!("cluster = {text:?} is no identity: it has 32 hexadecimal digits"))?;
    Ok(ClusterIdentity(number.to_be_bytes()))
}

fn server_id(number: u16) -> Result<ServerId, String> {
    if (1..=ServerId::MAX.0).contains(&number) {
        return Ok(ServerId(number));
    }
    Err(format!("{number} is no number of a server: they go from 1 to {}", ServerId::MAX))
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("listen = {text:?} is no address: it is such as 10.0.0.1:7410 or [::]:7410"))
}

fn kv_level(level: Option<u32>) -> Result<Option<u32>, String> {
    match level.filter(|level| *level > LEVEL) {
        Some(level) => Err(format!(
            "[kv] level = {level}: this program knows levels up to {LEVEL}; leave it out, or start a newer one"
        )),
        None => Ok(level),
    }
}

fn roles(names: &[String]) -> Result<Roles, String> {
    let roles: Result<Vec<Role>, String> = names.iter().map(|name| name.parse()).collect();
    let roles = roles?;
    if roles.is_empty() {
        return Err("roles = [] leaves nothing to run".into());
    }
    match roles.iter().find(|role| !SERVED.contains(role)) {
        Some(role) => {
            let served = SERVED.map(Role::name).join(", ");
            Err(format!(
                "`ovs serve` doesn't run {}, which is a role of clients; it runs {served}",
                role.name()
            ))
        }
        None => Ok(Roles::of(roles)),
    }
}

/// What `ovs serve` can run.
const SERVED: [Role; 4] = [Role::Kv, Role::Asd, Role::VolumeDriver, Role::Edge];

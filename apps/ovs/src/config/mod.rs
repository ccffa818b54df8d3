//! Configuration files: of a server, and of a client.
//!
//! A file says what a process must know before it can ask the cluster: who it is, where it listens, where its data and
//! certificates lie, and where some servers are. Everything else lives in the cluster.

mod address;
mod file;
mod storage;
mod text;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certificates::Roles;
use glossary::{ClusterIdentity, ServerId};

pub(crate) use address::Address;
pub(crate) use file::Overrides;
pub(crate) use storage::{AsdConfig, EdgeConfig, StorageConfig, VolumeDriverConfig};
pub(crate) use text::{client_text, example, server_text};

use crate::failure::Failure;

/// The name of a configuration file in the folder of a server or client.
pub(crate) const FILE: &str = "ovs.toml";

/// What a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// The cluster that it belongs to.
    pub(crate) cluster: ClusterIdentity,
    /// Which of its servers it is.
    pub(crate) server: ServerId,
    /// Where it accepts other servers and clients.
    pub(crate) listen: SocketAddr,
    /// Where its data lies.
    pub(crate) data: PathBuf,
    /// Where its certificate lies.
    pub(crate) certificates: PathBuf,
    /// What it runs.
    pub(crate) roles: Roles,
    /// Whether it has a vote in the KV's group once it has joined; without one it has all data, and counts for nothing.
    pub(crate) votes: bool,
    /// The level at which its KV is held, in place of its program's.
    pub(crate) kv_level: Option<u32>,
    /// Whether it joins the group anew by itself where its log is damaged.
    pub(crate) kv_heals: bool,
    /// What it stores, by its roles.
    pub(crate) storage: StorageConfig,
    /// Where servers are, itself included.
    pub(crate) servers: BTreeMap<ServerId, Address>,
}

/// What a client is told: a part of what a server is, so that a server's file serves for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    /// The cluster that it belongs to.
    pub(crate) cluster: ClusterIdentity,
    /// Where its certificate lies.
    pub(crate) certificates: PathBuf,
    /// Where servers are.
    pub(crate) servers: BTreeMap<ServerId, Address>,
}

/// What a file tells, be it a server's or a client's, to who asks the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnyConfig {
    /// A server's.
    Server(Box<ServerConfig>),
    /// A client's.
    Client(ClientConfig),
}

impl AnyConfig {
    /// Reads a file of either kind. What `overrides` says goes before what the file says.
    pub(crate) fn load(path: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        let file = file::read(path)?;
        if file.is_servers() {
            let config = file.server(path, overrides).map_err(|why| refusal(path, &why))?;
            return Ok(AnyConfig::Server(Box::new(config)));
        }
        let mut config = file.client(path).map_err(|why| refusal(path, &why))?;
        if let Some(certificates) = &overrides.certificates {
            config.certificates.clone_from(certificates);
        }
        Ok(AnyConfig::Client(config))
    }
}

impl ServerConfig {
    /// Reads a server's file. What `overrides` says goes before what the file says; paths in the file are relative to
    /// its folder.
    pub(crate) fn load(path: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        let file = file::read(path)?;
        file.server(path, overrides).map_err(|why| refusal(path, &why))
    }
}

impl ClientConfig {
    /// Reads a client's or a server's file.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let file = file::read(path)?;
        file.client(path).map_err(|why| refusal(path, &why))
    }
}

fn refusal(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests;

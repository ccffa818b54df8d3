//! What a case runs on: a folder, the binary, a network, and a cluster once it is asked for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cluster::{Cluster, Make};
use crate::disk::Disk;
use crate::network::Network;

/// Room of a server's disk in a small cluster, and where disks may hang.
const SMALL_DISK: u64 = 64 << 20;
const FREEZABLE_DISK: u64 = 256 << 20;

/// What a case runs on.
pub(crate) struct Bed {
    folder: PathBuf,
    ovs: PathBuf,
    network: Network,
}

impl Bed {
    pub(crate) fn new(folder: &Path, ovs: &Path, network: Network) -> Self {
        Bed { folder: folder.into(), ovs: ovs.into(), network }
    }

    /// Three servers that serve.
    pub(crate) fn cluster(&self) -> Result<Cluster> {
        Cluster::start(&self.ovs, &self.root(), &self.network, Make::default())
            .context("starting three servers")
    }

    /// Three servers that are held at a level, as if they had an older program.
    pub(crate) fn cluster_of_level(&self, level: u32) -> Result<Cluster> {
        let make = Make { level: Some(level), ..Make::default() };
        Cluster::start(&self.ovs, &self.root(), &self.network, make).context("starting three servers")
    }

    /// Three servers, each on a small disk of its own.
    pub(crate) fn small_cluster(&self) -> Result<Cluster> {
        let make = Make { disk: Some(Disk::Memory(SMALL_DISK)), ..Make::default() };
        Cluster::start(&self.ovs, &self.root(), &self.network, make).context("starting three servers")
    }

    /// Three servers, each on a disk of its own that can hang.
    pub(crate) fn freezable_cluster(&self) -> Result<Cluster> {
        let make = Make { disk: Some(Disk::Freezable(FREEZABLE_DISK)), ..Make::default() };
        Cluster::start(&self.ovs, &self.root(), &self.network, make).context("starting three servers")
    }

    /// The network, to be cut.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The folder of a client.
    pub(crate) fn client(&self) -> PathBuf {
        self.root().join("clients/tester")
    }

    fn root(&self) -> PathBuf {
        self.folder.join("cluster")
    }
}

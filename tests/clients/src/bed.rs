//! What a case gets: a folder, and servers in it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cluster::Cluster;
use crate::process::Program;
use crate::server::Server;

/// The name of the vDisk that every case uses.
pub(crate) const VDISK: &str = "disk1";

/// How the first disk of the first of several servers is numbered.
const FIRST_ASD_OF_SERVER: u32 = 1000;

/// The server under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// Ours, one process: `ovs up`.
    Ovs,
    /// Ours, one of three servers that keep one KV: `ovs serve`.
    ThreeServers,
    /// nbdkit's file plugin.
    Nbdkit,
    /// qemu-nbd on a raw file.
    QemuNbd,
}

/// A place for one case.
pub(crate) struct Bed {
    folder: PathBuf,
    ovs: PathBuf,
    against: Against,
    frames: bool,
}

impl Bed {
    /// A bed in an existing, empty folder.
    pub(crate) fn new(folder: &Path, ovs: &Path, against: Against, frames: bool) -> Self {
        Bed { folder: folder.to_owned(), ovs: ovs.to_owned(), against, frames }
    }

    /// A path in the folder of the case.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The data directory of the server that has the vDisks.
    pub(crate) fn data(&self) -> PathBuf {
        self.path(if self.against == Against::ThreeServers { "c/server-1/data" } else { "d" })
    }

    /// The binary under test.
    pub(crate) fn ovs_binary(&self) -> &Path {
        &self.ovs
    }

    /// A verb of our command line, for the cluster of this bed: `ovs VERB … --dir D`.
    pub(crate) fn ovs(&self, verb: &str) -> Program {
        Program::new(&self.ovs).words(verb).arg("--dir").arg(self.data())
    }

    /// The name of a disk of that server, by its place from 0 on.
    pub(crate) fn asd(&self, place: u32) -> String {
        let first = if self.against == Against::ThreeServers { FIRST_ASD_OF_SERVER } else { 0 };
        format!("asd-{}", first + place)
    }

    /// Does this to disks of that server.
    pub(crate) fn osds(&self, verb: &str, places: &[u32]) -> Result<()> {
        let each = |place: &u32| self.ovs(&format!("osd {verb} {}", self.asd(*place))).run().map(drop);
        places.iter().try_for_each(each)
    }

    /// Makes a cluster with one vDisk of that size (such as `1GiB`) and starts it, up to `ready`.
    pub(crate) fn up(&self, size: &str) -> Result<Server> {
        let port = free_port()?;
        let log = self.path("server.log");
        match self.against {
            Against::Ovs => {
                let mut first = ["up", "--disks", "8", "--sco-size", "4MiB", "--write-buffer", "256MiB"]
                    .map(str::to_owned)
                    .to_vec();
                first.extend(["--vdisk".to_owned(), format!("{VDISK}:{size}")]);
                Server::start_ovs(&self.ovs, &self.data(), port, &first, self.frames, &log)
            }
            Against::ThreeServers => {
                let cluster = Cluster::new(self, &["kv,asd,volume-driver,edge", "kv", "kv"], size)?;
                let (guests, others) = cluster.start_all()?;
                Ok(guests.beside(others))
            }
            Against::Nbdkit | Against::QemuNbd => {
                let image = self.path("image");
                File::create(&image)?.set_len(bytes(size)?)?;
                let program = match self.against {
                    Against::Nbdkit => format!(
                        "nbdkit --foreground --ipaddr 127.0.0.1 --port {port} --exit-with-parent file"
                    ),
                    _ => format!(
                        "qemu-nbd --format=raw --bind=127.0.0.1 --port={port} --persistent --shared=0 --discard=unmap \
                         --detect-zeroes=off --export-name={VDISK}"
                    ),
                };
                Server::start_reference(&program, &image, port, &log)
            }
        }
    }
}

/// The bytes of a size such as `64MiB`.
fn bytes(size: &str) -> Result<u64> {
    for (unit, factor) in [("MiB", 1_u64 << 20), ("GiB", 1 << 30)] {
        if let Some(number) = size.strip_suffix(unit) {
            return Ok(number.parse::<u64>()? * factor);
        }
    }
    bail!("`{size}` is no size in MiB or GiB")
}

/// A port that nobody listens on. Below the range that the kernel gives to outgoing connections, and apart from those
/// that a case running at the same time looks at first.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 1000)? * 10;
    for _ in 0..1000 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {first} on")
}

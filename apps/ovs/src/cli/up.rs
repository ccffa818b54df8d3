//! The arguments of `up`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use glossary::{ByteCount, Policy, VdiskName};
use io::IoChoice;

use super::sizes;

/// Where `up` listens for NBD when nothing else is said.
pub(crate) const DEFAULT_NBD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10809);

/// Runs a whole cluster in this process, until a signal ends it.
///
/// The first start makes the directory and stores what was chosen. Later starts may leave the flags out; one
/// that contradicts what is stored is refused. `--nbd` may change, `--vdisk` adds.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  ovs up --dir ./ovs-data --vdisk disk1:10GiB")]
pub(crate) struct Up {
    /// The cluster's directory: the option of all verbs, put here after parsing.
    #[arg(skip)]
    pub(crate) dir: PathBuf,
    /// How many disks (ASDs) the cluster has: 8 unless said at the first start.
    #[arg(long, value_name = "COUNT", env = "OVS_DISKS", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) disks: Option<u32>,
    /// How data is spread: k data and m parity fragments, safe at c, at most x per storage node; repeat it for
    /// policies to be tried in order [first start: 4,2,6,1].
    #[arg(long, value_name = "K,M,C,X", value_parser = policy)]
    pub(crate) policy: Vec<Policy>,
    /// Size of the objects that writes are gathered into, 4MiB to 128MiB [first start: 16MiB].
    #[arg(long, value_name = "SIZE", env = "OVS_SCO_SIZE", hide_env_values = true, value_parser = sizes::sco_size)]
    pub(crate) sco_size: Option<ByteCount>,
    /// Room for what was written and is not on the disks yet [first start: 2GiB].
    #[arg(long, value_name = "SIZE", env = "OVS_WRITE_BUFFER", hide_env_values = true, value_parser = sizes::size)]
    pub(crate) write_buffer: Option<ByteCount>,
    /// Room that each disk may take [first start: its share of the free space].
    #[arg(long, value_name = "SIZE", env = "OVS_DISK_SIZE", hide_env_values = true, value_parser = sizes::size)]
    pub(crate) disk_size: Option<ByteCount>,
    /// A vDisk to make when it is not there yet; repeat it for more [first start: disk1:10GiB].
    #[arg(long, value_name = "NAME:SIZE", value_parser = sizes::new_vdisk)]
    pub(crate) vdisk: Vec<(VdiskName, ByteCount)>,
    /// Where to serve NBD [default: 127.0.0.1:10809].
    #[arg(long, value_name = "ADDRESS:PORT", env = "OVS_NBD", hide_env_values = true, value_parser = address)]
    pub(crate) nbd: Option<SocketAddr>,
    /// Allow `--nbd` beyond this machine: NBD knows neither passwords nor encryption yet.
    #[arg(long)]
    pub(crate) insecure_nbd: bool,
    /// Go on without what the write buffer lost (all of it, when it is missing or foreign): for one start.
    #[arg(long)]
    pub(crate) accept_write_buffer_loss: bool,
    /// How disks are reached: auto, portable or uring.
    #[arg(long, value_name = "IO", env = "OVS_IO", hide_env_values = true, default_value = "auto")]
    pub(crate) io: IoChoice,
    /// Encode every message between roles and send it through a socket, as between processes.
    #[arg(long, env = "OVS_FRAMES", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) frames: bool,
    /// Write what each role receives to a file, for `cargo xtask replay`.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

impl Up {
    /// What is wrong with the arguments as a whole, and what to do; whatever the directory holds.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let mut names = BTreeSet::new();
        let twice = self.vdisk.iter().map(|(name, _)| name).find(|name| !names.insert(*name));
        if let Some(name) = twice {
            return Some(format!("--vdisk names {name} twice: give each vDisk once"));
        }
        let nbd = self.nbd?;
        (!nbd.ip().is_loopback() && !self.insecure_nbd).then(|| {
            format!(
                "--nbd {nbd} is open to others, without password or encryption: say --insecure-nbd to allow it"
            )
        })
    }
}

/// A policy, as k, m, c and x.
pub(crate) fn policy(text: &str) -> Result<Policy, String> {
    text.parse().map_err(|error: glossary::PolicyError| error.to_string())
}

/// An address and a port; `localhost` is the loopback interface, without asking anybody.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| "it is an address and a port, such as 127.0.0.1:10809 or [::1]:10809".into())
}

//! The command line: what can be said, and what is said of it.

mod backup;
mod bench;
mod cluster;
#[cfg(test)]
mod document;
mod error;
pub(crate) mod kv;
mod member;
mod sizes;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use glossary::{ByteCount, OsdId, VdiskName};

pub(crate) use backup::{Backup, CheckBackup, Restore};
pub(crate) use bench::{BenchKv, BenchVerb};
pub(crate) use cluster::{ClusterVerb, ConfigVerb, NewClient, NewCluster, NewServer, Renew, Revoke};
pub(crate) use error::Parsed;
pub(crate) use kv::{DataVerb, KvVerb, Place as KvPlace};
pub(crate) use member::{
    Configured, MemberAsking, MemberInit, MemberJoin, MemberLeave, MemberPrefer, MemberRejoin,
    MemberSnapshot, MemberStats, MemberTransfer, MemberVerb, MemberVerify, OfGroup, Serve, Waiting,
};
pub(crate) use sizes::{new_vdisk, sco_size, size};
pub(crate) use up::{DEFAULT_NBD, Up, address, policy};

/// Open vStorage: block devices on erasure-coded disks.
///
/// `ovs up` runs a whole cluster in one process; the other verbs talk to it. Every option that names a variable
/// can be given by it as well.
#[derive(Debug, Parser)]
#[command(
    name = "ovs",
    version,
    long_version = error::long_version(),
    after_help = "Example:\n  ovs up --vdisk disk1:10GiB\n  ovs status",
    after_long_help = error::exit_codes(),
    disable_help_subcommand = true,
    arg_required_else_help = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of all verbs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of all verbs")]
pub(crate) struct Globals {
    /// The cluster's directory.
    #[arg(long, global = true, value_name = "DIRECTORY", env = "OVS_DIR", default_value = "./ovs-data")]
    #[arg(hide_env_values = true)]
    pub(crate) dir: PathBuf,
    /// How much to log, on standard error.
    #[arg(long, global = true, value_name = "LEVEL", env = "OVS_LOG", default_value = "info")]
    #[arg(hide_env_values = true)]
    pub(crate) log: LogLevel,
    /// How to log.
    #[arg(long, global = true, value_name = "FORMAT", env = "OVS_LOG_FORMAT", default_value = "text")]
    #[arg(hide_env_values = true)]
    pub(crate) log_format: LogFormat,
}

/// How much to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Options of the verbs that talk to a running cluster.
#[derive(Clone, Debug, Args)]
pub(crate) struct Asking {
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
    /// How long to wait for the cluster [default: 30; what moves data: 3600].
    #[arg(long, value_name = "SECONDS", env = "OVS_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
}

impl Asking {
    /// How long to wait, when nothing was said so long as `usual`.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.timeout.map_or(usual, Duration::from_secs)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Up(Box<Up>),
    /// vDisks: the block devices that guests see.
    #[command(subcommand, arg_required_else_help = false)]
    Vdisk(VdiskVerb),
    /// The backend: what is stored on the disks.
    #[command(subcommand, arg_required_else_help = false)]
    Backend(BackendVerb),
    /// The cluster's disks.
    #[command(subcommand, visible_alias = "disk", arg_required_else_help = false)]
    Osd(OsdVerb),
    /// Shows whether all is well, and what is not.
    #[command(after_help = "Example:\n  ovs status\n  ovs status --json")]
    Status(Asking),
    /// Prints everything that can be counted, as Prometheus text.
    #[command(after_help = "Example:\n  ovs metrics")]
    Metrics(Asking),
    /// Clusters of several servers: their certificates and configurations.
    #[command(subcommand, arg_required_else_help = false)]
    Cluster(ClusterVerb),
    /// Configuration files.
    #[command(subcommand, arg_required_else_help = false)]
    Config(ConfigVerb),
    Serve(Serve),
    /// The replicated KV: its keys and values, of which users have a part of their own, and the members of its group.
    #[command(subcommand, arg_required_else_help = false)]
    Kv(KvVerb),
    /// Measures what runs, as its clients meet it.
    #[command(subcommand, arg_required_else_help = false)]
    Bench(BenchVerb),
    Destroy(Destroy),
}

impl Verb {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Verb::Up(_) | Verb::Config(_) | Verb::Serve(_) => false,
            Verb::Kv(kv) => kv.is_json(),
            Verb::Bench(BenchVerb::Kv(bench)) => bench.place.asking.json,
            Verb::Cluster(cluster) => cluster.place().json,
            Verb::Destroy(destroy) => destroy.json,
            Verb::Vdisk(VdiskVerb::Create(sized) | VdiskVerb::Resize(sized)) => sized.asking.json,
            Verb::Vdisk(VdiskVerb::Info(named)) => named.asking.json,
            Verb::Vdisk(VdiskVerb::Delete(delete)) => delete.asking.json,
            Verb::Vdisk(VdiskVerb::Sync(sync)) | Verb::Backend(BackendVerb::Sync(sync)) => sync.asking.json,
            Verb::Osd(OsdVerb::Stop(one) | OsdVerb::Start(one)) => one.asking.json,
            Verb::Vdisk(VdiskVerb::List(asking))
            | Verb::Osd(OsdVerb::List(asking))
            | Verb::Status(asking)
            | Verb::Metrics(asking) => asking.json,
        }
    }
}

/// What to do with vDisks.
#[derive(Debug, Subcommand)]
pub(crate) enum VdiskVerb {
    /// Makes a thin vDisk: it takes room as it is written.
    #[command(after_help = "Example:\n  ovs vdisk create disk1 --size 64TiB")]
    Create(Sized),
    /// Lists the vDisks.
    #[command(after_help = "Example:\n  ovs vdisk list")]
    List(Asking),
    /// Shows one vDisk.
    #[command(after_help = "Example:\n  ovs vdisk info disk1")]
    Info(Named),
    /// Deletes a vDisk and everything on it. Asks for its name, unless --yes is given.
    #[command(after_help = "Example:\n  ovs vdisk delete disk1 --yes")]
    Delete(Delete),
    /// Grows a vDisk. Guests see it when they connect again.
    #[command(after_help = "Example:\n  ovs vdisk resize disk1 --size 128GiB")]
    Resize(Sized),
    /// Pushes everything acknowledged to the disks, and returns when it is there.
    #[command(after_help = "Example:\n  ovs vdisk sync disk1\n  ovs vdisk sync")]
    Sync(Sync),
}

/// What to do with the backend.
#[derive(Debug, Subcommand)]
pub(crate) enum BackendVerb {
    /// Pushes everything acknowledged to the disks, as `ovs vdisk sync` does.
    #[command(after_help = "Example:\n  ovs backend sync disk1")]
    Sync(Sync),
}

/// What to do with disks.
#[derive(Debug, Subcommand)]
pub(crate) enum OsdVerb {
    /// Lists the disks.
    #[command(after_help = "Example:\n  ovs osd list")]
    List(Asking),
    /// Takes a disk from the running cluster, as if it had failed.
    #[command(after_help = "Example:\n  ovs osd stop asd-3")]
    Stop(OneOsd),
    /// Takes a disk back that was stopped, or that was put back.
    #[command(after_help = "Example:\n  ovs osd start asd-3")]
    Start(OneOsd),
}

/// A vDisk and a size.
#[derive(Debug, Args)]
pub(crate) struct Sized {
    /// Name of the vDisk.
    #[arg(value_parser = sizes::vdisk_name)]
    pub(crate) name: VdiskName,
    /// Its size: bytes, or KiB, MiB, GiB or TiB; at most 64TiB.
    #[arg(long, value_parser = sizes::vdisk_size)]
    pub(crate) size: ByteCount,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// A vDisk.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name of the vDisk.
    #[arg(value_parser = sizes::vdisk_name)]
    pub(crate) name: VdiskName,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// A vDisk to delete.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Name of the vDisk.
    #[arg(value_parser = sizes::vdisk_name)]
    pub(crate) name: VdiskName,
    /// Delete without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// One vDisk, or all.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Name of the vDisk; all when it is left out.
    #[arg(value_parser = sizes::vdisk_name)]
    pub(crate) name: Option<VdiskName>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// A disk.
#[derive(Debug, Args)]
pub(crate) struct OneOsd {
    /// The disk, by name or number: asd-3 or 3.
    #[arg(value_name = "DISK", value_parser = osd)]
    pub(crate) osd: OsdId,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// Removes a cluster that does not run, and everything in it.
///
/// Only what is the cluster's own is removed: other files stay, and so does what a symbolic link points to.
/// Asks for the directory's name, unless --yes is given.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ovs destroy --dir ./ovs-data --yes")]
pub(crate) struct Destroy {
    /// The cluster's directory: the option of all verbs, put here after parsing.
    #[arg(skip)]
    pub(crate) dir: PathBuf,
    /// Destroy without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// Reads a command line, the program's name included.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    let arguments = help_last(arguments.into_iter().collect());
    let mut cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return error::explain(error),
    };
    match &mut cli.verb {
        Verb::Up(up) => {
            up.dir.clone_from(&cli.globals.dir);
            if let Some(contradiction) = up.contradiction() {
                return Parsed::Wrong(contradiction);
            }
        }
        Verb::Destroy(destroy) => destroy.dir.clone_from(&cli.globals.dir),
        Verb::Vdisk(_)
        | Verb::Backend(_)
        | Verb::Osd(_)
        | Verb::Serve(_)
        | Verb::Kv(_)
        | Verb::Bench(_)
        | Verb::Status(_)
        | Verb::Metrics(_)
        | Verb::Cluster(_)
        | Verb::Config(_) => {}
    }
    Parsed::Cli(cli)
}

/// `ovs help VERB` asks for what `ovs VERB --help` says.
fn help_last(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    arguments
}

fn osd(text: &str) -> Result<OsdId, String> {
    let number = text.strip_prefix("asd-").unwrap_or(text);
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = number.parse().ok().filter(|_| plain).map(OsdId);
    parsed.ok_or_else(|| "a disk is asd-3 or 3; `ovs osd list` names them".into())
}

#[cfg(test)]
mod tests;

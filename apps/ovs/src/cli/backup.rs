//! The arguments of verbs on backups of the KV.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::kv::Place;

/// A backup to take.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file: a new one.
    pub(crate) file: PathBuf,
    /// The whole map, the cluster's own records included; else users' keys.
    #[arg(long)]
    pub(crate) whole: bool,
    /// What one member has, though no majority answers: for a KV that has lost one for good. What was acknowledged last may be
    /// missing.
    #[arg(long)]
    pub(crate) stale: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A backup to look at.
#[derive(Debug, Args)]
pub(crate) struct CheckBackup {
    /// The file.
    pub(crate) file: PathBuf,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// A backup to restore.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The file.
    pub(crate) file: PathBuf,
    /// The backup is of a whole map. What it has of servers and members is left out; vDisks that it knows and this
    /// cluster's disks don't hold can't be read.
    #[arg(long)]
    pub(crate) whole: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

//! The arguments of `serve`, and of verbs about the KV's group.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use glossary::ServerId;

use crate::config::Overrides;

/// Runs one server of a cluster, until a signal ends it.
///
/// `ovs cluster init` and `ovs cluster add-server` write its configuration, `ovs kv init` or `ovs kv join` make its
/// data. It says `ready` when it takes part.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ovs serve --config server-1/ovs.toml")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) configured: Configured,
}

/// A server's configuration, and what goes before what it says.
#[derive(Clone, Debug, Args)]
pub(crate) struct Configured {
    /// The server's configuration.
    #[arg(long, value_name = "FILE", env = "OVS_CONFIG", hide_env_values = true)]
    pub(crate) config: PathBuf,
    /// Where to accept other servers and clients, instead of what the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT", env = "OVS_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// Where its data lies, instead of what the configuration says.
    #[arg(long, value_name = "FOLDER", env = "OVS_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Where its certificate lies, instead of what the configuration says.
    #[arg(long, value_name = "FOLDER", env = "OVS_CERTIFICATES", hide_env_values = true)]
    certificates: Option<PathBuf>,
}

impl Configured {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { listen: self.listen, data: self.data.clone(), certificates: self.certificates.clone() }
    }
}

/// What to do with the KV's group.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberVerb {
    /// Makes the data of a server that begins the KV's group, before its first `ovs serve`.
    ///
    /// It begins the group alone, or with the servers that --with names: then the same is to be said at each of them.
    #[command(after_help = "Example:\n  ovs kv init --config server-1/ovs.toml")]
    Init(MemberInit),
    /// Makes the data of a server that joins a group that runs, before its first `ovs serve`.
    #[command(after_help = "Example:\n  ovs kv join --config server-2/ovs.toml")]
    Join(MemberJoin),
    /// Shows what a running server's KV is in its group.
    #[command(after_help = "Example:\n  ovs kv status --config server-1/ovs.toml")]
    Status(MemberAsking),
}

/// A server that begins a group.
#[derive(Debug, Args)]
pub(crate) struct MemberInit {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The servers that begin the group together, by number and separated by commas: itself among them.
    #[arg(long, value_name = "SERVERS", value_delimiter = ',', value_parser = server)]
    pub(crate) with: Vec<ServerId>,
}

/// A server that joins a group.
#[derive(Debug, Args)]
pub(crate) struct MemberJoin {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// How often this server lost its data. Who did has forgotten its votes and joins as another member.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) disks_lost: u32,
}

/// A question to a running server on this machine.
#[derive(Debug, Args)]
pub(crate) struct MemberAsking {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

impl MemberVerb {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self, MemberVerb::Status(MemberAsking { json: true, .. }))
    }
}

fn server(text: &str) -> Result<ServerId, String> {
    let number = text.strip_prefix("server-").unwrap_or(text);
    let parsed = number.parse().ok().filter(|number| (1..=ServerId::MAX.0).contains(number));
    parsed.map(ServerId).ok_or_else(|| format!("a server has a number from 1 to {}", ServerId::MAX))
}

//! The arguments of `serve`, and of verbs about the KV's group.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use formats::message::admin::{AdminBody, KvGroupVerb};
use glossary::ServerId;

use crate::config::Overrides;

/// Runs one server of a cluster, until a signal ends it.
///
/// `ovs cluster init` and `ovs cluster add-server` write its configuration, `ovs kv init` or `ovs kv join` make the data
/// of its KV, where it has one. It says `ready` when other servers can reach it, and `ready nbd://…` when guests can.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  ovs serve --config server-1/ovs.toml")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// Go on without what the write buffer lost (all of it, when it is missing or foreign): for one start.
    #[arg(long)]
    pub(crate) accept_write_buffer_loss: bool,
    /// Hold its KV at an older level than its program's, instead of what [kv] of the configuration says.
    ///
    /// As long as one member is held back, all may go back to the programs that they ran before an upgrade.
    #[arg(long, value_name = "LEVEL", env = "OVS_KV_LEVEL", hide_env_values = true)]
    kv_level: Option<u32>,
}

impl Serve {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { kv_level: self.kv_level, ..self.configured.overrides() }
    }
}

/// A configuration, and what goes before what it says.
#[derive(Clone, Debug, Args)]
pub(crate) struct Configured {
    /// The server's configuration; a client's too for verbs that need no server of this machine.
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
        Overrides {
            listen: self.listen,
            data: self.data.clone(),
            certificates: self.certificates.clone(),
            kv_level: None,
        }
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
    /// Shows what a running server's KV is in its group; with a client's configuration, of all servers that it names.
    #[command(
        after_help = "Example:\n  ovs kv status --config server-1/ovs.toml\n  ovs kv status --config clients/admin/ovs.toml"
    )]
    Status(MemberAsking),
    /// Lists the members of the group as a running server knows them: their servers, whether they vote, who leads.
    #[command(after_help = "Example:\n  ovs kv members --config server-1/ovs.toml")]
    Members(MemberAsking),
    /// Prints the number of the server that leads the group; fails where none does.
    #[command(after_help = "Example:\n  ovs kv leader --config server-1/ovs.toml")]
    Leader(MemberAsking),
    /// Prints what a running server's KV has counted since its start, by name.
    #[command(after_help = "Example:\n  ovs kv stats --config server-1/ovs.toml")]
    Stats(MemberStats),
    /// Has a running server's KV replace its log by a snapshot of all its groups. It does so by itself as well, when the log is
    /// long.
    #[command(after_help = "Example:\n  ovs kv snapshot --config server-1/ovs.toml")]
    Snapshot(MemberSnapshot),
    /// Takes a server out of the group; it goes on running until it is stopped.
    ///
    /// A server that is lost for good is taken out by another one's configuration, with --server and an administrator's
    /// certificate.
    #[command(
        after_help = "Example:\n  ovs kv leave --config server-2/ovs.toml\n  ovs kv leave --config server-1/ovs.toml --certificates clients/admin/certificates --server 2"
    )]
    Leave(MemberLeave),
    /// Has another server lead the group. It takes an administrator's certificate (--certificates).
    #[command(
        after_help = "Example:\n  ovs kv transfer --config server-1/ovs.toml --certificates clients/admin/certificates --to 2"
    )]
    Transfer(MemberTransfer),
    /// Says which server leads the group where it can: it takes over once it has caught up.
    #[command(
        after_help = "Example:\n  ovs kv prefer --config server-1/ovs.toml --server 2\n  ovs kv prefer --config server-1/ovs.toml --nobody"
    )]
    Prefer(MemberPrefer),
    /// Compares what all members have at one entry; fails where they differ, or where one doesn't answer.
    ///
    /// They compare themselves all the time as well: `ovs kv status` tells what they found.
    #[command(after_help = "Example:\n  ovs kv verify --config server-1/ovs.toml")]
    Verify(MemberVerify),
    /// Makes a stopped server whose KV is lost or damaged a member anew.
    ///
    /// The group takes out the member that it was, and gives it everything when it runs again. What is left of its data is
    /// put aside, not deleted. A server that finds its log damaged does so by itself, once; one that lost its disk doesn't.
    #[command(after_help = "Example:\n  ovs kv rejoin --config server-2/ovs.toml")]
    Rejoin(MemberRejoin),
}

/// A server that begins a group.
#[derive(Debug, Args)]
pub(crate) struct MemberInit {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The servers that begin the group together, by number and separated by commas: itself among them.
    #[arg(long, value_name = "SERVERS", value_delimiter = ',', value_parser = server)]
    pub(crate) with: Vec<ServerId>,
    /// Begin alone as the member that this server would be had it lost its data so often: for a KV that begins anew from what a
    /// lost majority left (docs/lost-majority.md).
    #[arg(long, value_name = "COUNT", default_value_t = 0, conflicts_with = "with")]
    pub(crate) disks_lost: u32,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// A server that joins a group.
#[derive(Debug, Args)]
pub(crate) struct MemberJoin {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// How often this server lost its data. Who did has forgotten its votes and joins as another member.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) disks_lost: u32,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// A server that leaves the group.
#[derive(Debug, Args)]
pub(crate) struct MemberLeave {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// Another server that leaves, for good: a lost or stopped one. One that runs and has only begun to join would join again.
    #[arg(long, value_name = "SERVER", value_parser = server)]
    pub(crate) server: Option<ServerId>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// A snapshot of a server's own.
#[derive(Debug, Args)]
pub(crate) struct MemberSnapshot {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Another leader.
#[derive(Debug, Args)]
pub(crate) struct MemberTransfer {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The server that is to lead.
    #[arg(long, value_name = "SERVER", value_parser = server)]
    pub(crate) to: ServerId,
    /// How often that server lost its data; where nothing is said, the group tells.
    #[arg(long, value_name = "COUNT")]
    pub(crate) disks_lost: Option<u32>,
    #[command(flatten)]
    pub(crate) of: OfGroup,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// A server to lead.
#[derive(Debug, Args)]
pub(crate) struct MemberPrefer {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The server that leads where it can.
    #[arg(long, value_name = "SERVER", value_parser = server, required_unless_present = "nobody")]
    pub(crate) server: Option<ServerId>,
    /// Whoever is elected goes on leading.
    #[arg(long, conflicts_with = "server")]
    nobody: bool,
    #[command(flatten)]
    pub(crate) of: OfGroup,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// A comparison of all members.
#[derive(Debug, Args)]
pub(crate) struct MemberVerify {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(flatten)]
    pub(crate) of: OfGroup,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// A server that becomes a member anew.
#[derive(Debug, Args)]
pub(crate) struct MemberRejoin {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// How long to wait, and how to answer.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Waiting {
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
    /// How long to wait until it is done.
    #[arg(long, value_name = "SECONDS", env = "OVS_TIMEOUT", hide_env_values = true, default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,
}

impl Waiting {
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// A question for what a server's KV counted, in all its groups together.
#[derive(Debug, Args)]
pub(crate) struct MemberStats {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(flatten)]
    pub(crate) at: At,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// Which group of the KV.
#[derive(Clone, Debug, Args)]
pub(crate) struct OfGroup {
    /// A group beside the root group, by its name: `ovs kv group list` lists them.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

/// Which server, where it is not that of the configuration.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct At {
    /// Ask this server, through TLS, instead of the configuration's own on this machine. A client's configuration serves too:
    /// without this flag any server of it is asked.
    #[arg(long, value_name = "SERVER", value_parser = server)]
    pub(crate) server: Option<ServerId>,
}

/// A question to a running server.
#[derive(Debug, Args)]
pub(crate) struct MemberAsking {
    #[command(flatten)]
    pub(crate) configured: Configured,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) of: OfGroup,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

impl OfGroup {
    /// The root group.
    pub(crate) const ROOT: OfGroup = OfGroup { group: None };

    /// What asks a member of the group for its status.
    pub(crate) fn status(&self) -> AdminBody {
        match self.group.clone() {
            Some(name) => AdminBody::KvStatusOf { name },
            None => AdminBody::Status,
        }
    }

    /// What asks a member of the group for a verb.
    pub(crate) fn verb(&self, verb: KvGroupVerb) -> AdminBody {
        match self.group.clone() {
            Some(name) => AdminBody::KvGroupOf { name, verb },
            None => AdminBody::KvGroup(verb),
        }
    }
}

impl MemberVerb {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            MemberVerb::Init(init) => init.json,
            MemberVerb::Join(join) => join.json,
            MemberVerb::Status(asking) | MemberVerb::Members(asking) | MemberVerb::Leader(asking) => {
                asking.json
            }
            MemberVerb::Stats(asking) => asking.json,
            MemberVerb::Leave(MemberLeave { waiting, .. })
            | MemberVerb::Transfer(MemberTransfer { waiting, .. })
            | MemberVerb::Prefer(MemberPrefer { waiting, .. })
            | MemberVerb::Verify(MemberVerify { waiting, .. })
            | MemberVerb::Rejoin(MemberRejoin { waiting, .. })
            | MemberVerb::Snapshot(MemberSnapshot { waiting, .. }) => waiting.json,
        }
    }
}

fn server(text: &str) -> Result<ServerId, String> {
    let number = text.strip_prefix("server-").unwrap_or(text);
    let parsed = number.parse().ok().filter(|number| (1..=ServerId::MAX.0).contains(number));
    parsed.map(ServerId).ok_or_else(|| format!("a server has a number from 1 to {}", ServerId::MAX))
}

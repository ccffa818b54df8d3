//! The arguments of verbs about a cluster of several servers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use certificates::{Role, Roles};
use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand};
use glossary::ServerId;

/// How long a certificate is good for when nothing else is said, in days.
const USUAL_DAYS: &str = "365";

/// What to do with a cluster's folder, which holds its authority and what its servers and clients need.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Makes a cluster: its authority, its first servers, and an administrator's certificate.
    ///
    /// FOLDER then holds `authority` (keep its key safe: it says who belongs to the cluster), `server-1` and so on (copy
    /// each to its server and run `ovs serve --config server-1/ovs.toml` there) and `clients/admin`. To be repeated when
    /// it was interrupted: what is there stays.
    #[command(
        after_help = "Example:\n  ovs cluster init ./cluster --address 10.0.0.1:7410 --address 10.0.0.2:7410 --address 10.0.0.3:7410 --roles 1=kv,asd,volume-driver,edge"
    )]
    Init(NewCluster),
    /// Adds a server to the folder: its certificate and its configuration.
    #[command(after_help = "Example:\n  ovs cluster add-server ./cluster --address 10.0.0.2:7410")]
    AddServer(NewServer),
    /// Adds a client to the folder: its certificate and its configuration.
    #[command(after_help = "Example:\n  ovs cluster add-client ./cluster backup --role client")]
    AddClient(NewClient),
    /// Issues new certificates. Running servers take them up when the files are replaced.
    #[command(
        after_help = "Example:\n  ovs cluster renew ./cluster server-2\n  ovs cluster renew ./cluster server-2 --roles kv,asd"
    )]
    Renew(Renew),
    /// Revokes the certificates of a server or client. Every server needs the new revoked.pem.
    #[command(after_help = "Example:\n  ovs cluster revoke ./cluster backup")]
    Revoke(Revoke),
    /// Lists all certificates: whose, for what, until when.
    #[command(after_help = "Example:\n  ovs cluster certificates ./cluster")]
    Certificates(InFolder),
    /// Replaces the authority, whose key may be lost. Servers need the new authority.pem and revoked.pem, then renewed
    /// certificates, then the files again after `ovs cluster retire-authority`.
    #[command(after_help = "Example:\n  ovs cluster replace-authority ./cluster")]
    ReplaceAuthority(InFolder),
    /// Trusts the newest authority alone, when everybody has a certificate of it.
    #[command(after_help = "Example:\n  ovs cluster retire-authority ./cluster")]
    RetireAuthority(InFolder),
}

/// A folder of a cluster.
#[derive(Debug, Args)]
pub(crate) struct InFolder {
    /// The cluster's folder.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Print JSON, errors too.
    #[arg(long, env = "OVS_JSON", value_parser = BoolishValueParser::new(), hide_env_values = true)]
    pub(crate) json: bool,
}

/// How long certificates are good for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Life {
    /// How long the certificate is good for.
    #[arg(long, value_name = "DAYS", default_value = USUAL_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

impl Life {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_hours(24 * u64::from(self.days))
    }
}

/// A cluster to be.
#[derive(Debug, Args)]
pub(crate) struct NewCluster {
    #[command(flatten)]
    pub(crate) place: InFolder,
    /// Where a server listens, for other servers and for clients; repeat it for more servers: one is for trying things,
    /// three or five go on when one or two of them are lost.
    #[arg(long = "address", value_name = "ADDRESS:PORT", default_values = ["127.0.0.1:7410"], value_parser = reachable)]
    pub(crate) addresses: Vec<SocketAddr>,
    /// What a server runs, where that is more or other than kv: its number, and of kv, asd, volume-driver and edge those
    /// that it is to run; repeat it for more servers.
    #[arg(long, value_name = "SERVER=ROLE,ROLE", value_parser = roles_of_server)]
    pub(crate) roles: Vec<(ServerId, Roles)>,
    #[command(flatten)]
    pub(crate) life: Life,
}

/// A server to be.
#[derive(Debug, Args)]
pub(crate) struct NewServer {
    #[command(flatten)]
    pub(crate) place: InFolder,
    /// Where it listens, for other servers and for clients.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7410", value_parser = reachable)]
    pub(crate) address: SocketAddr,
    /// What it runs, of kv, asd, volume-driver and edge.
    #[arg(long, value_name = "ROLE,ROLE", default_value = "kv", value_parser = server_roles)]
    pub(crate) roles: Roles,
    #[command(flatten)]
    pub(crate) life: Life,
}

/// A client to be.
#[derive(Debug, Args)]
pub(crate) struct NewClient {
    #[command(flatten)]
    pub(crate) place: InFolder,
    /// Its name: 1 to 64 of a-z, 0-9 and -, beginning with a letter.
    pub(crate) name: String,
    /// What it may do: client (keys of users) or admin (everything); repeat it for more.
    #[arg(long = "role", value_name = "ROLE", default_values = ["client"], value_parser = client_role)]
    pub(crate) roles: Vec<Role>,
    #[command(flatten)]
    pub(crate) life: Life,
}

/// Whose certificates to renew.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) place: InFolder,
    /// A server (server-2) or client by name; all when it is left out.
    pub(crate) name: Option<String>,
    /// What a server may do from now on, instead of what it could; its configuration says what of that it does.
    #[arg(long, value_name = "ROLES", value_parser = server_roles, requires = "name")]
    pub(crate) roles: Option<Roles>,
    /// Revoke what is replaced: when a key may have been seen by others.
    #[arg(long)]
    pub(crate) revoke_old: bool,
    #[command(flatten)]
    pub(crate) life: Life,
}

/// Whom to revoke.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) place: InFolder,
    /// A server (server-2) or client by name.
    pub(crate) name: String,
}

/// What to do about configuration files.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Prints a commented configuration of a server.
    #[command(after_help = "Example:\n  ovs config example > ovs.toml")]
    Example,
}

impl ClusterVerb {
    /// The folder, and whether JSON is wanted.
    pub(crate) fn place(&self) -> &InFolder {
        match self {
            ClusterVerb::Init(new) => &new.place,
            ClusterVerb::AddServer(new) => &new.place,
            ClusterVerb::AddClient(new) => &new.place,
            ClusterVerb::Renew(renew) => &renew.place,
            ClusterVerb::Revoke(revoke) => &revoke.place,
            ClusterVerb::Certificates(place)
            | ClusterVerb::ReplaceAuthority(place)
            | ClusterVerb::RetireAuthority(place) => place,
        }
    }
}

fn client_role(name: &str) -> Result<Role, String> {
    match name.parse()? {
        role @ (Role::Client | Role::Admin) => Ok(role),
        _ => Err("a client is client or admin; the others are roles of servers".into()),
    }
}

/// Roles of a server, separated by commas.
fn server_roles(names: &str) -> Result<Roles, String> {
    let role = |name: &str| match name.trim().parse()? {
        Role::Client | Role::Admin => Err(format!("{name} is a role of clients: ovs cluster add-client")),
        role => Ok(role),
    };
    let roles = Roles::of(names.split(',').map(role).collect::<Result<Vec<_>, _>>()?);
    match roles.has(Role::VolumeDriver) == roles.has(Role::Edge) {
        true => Ok(roles),
        false => Err("volume-driver and edge go together for now: name both or neither".into()),
    }
}

/// A server's number and its roles.
fn roles_of_server(text: &str) -> Result<(ServerId, Roles), String> {
    let (server, names) = text.split_once('=').ok_or("it is such as 2=kv,asd")?;
    let server = server.parse().map_err(|_| format!("{server:?} is no number of a server"))?;
    Ok((ServerId(server), server_roles(names)?))
}

/// An address that others can connect to.
fn reachable(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "it is ADDRESS:PORT, such as 10.0.0.1:7410 or [::1]:7410".to_owned())?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err("others connect to it: it is one address and one port, and neither is 0".into());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_can_connect_to_an_address() {
        assert!(reachable("10.0.0.1:7410").is_ok() && reachable("[::1]:7410").is_ok());
        for text in ["127.0.0.1:0", "0.0.0.0:7410", "[::]:7410", "7410", "host:7410"] {
            assert!(reachable(text).is_err(), "{text}");
        }
    }
}

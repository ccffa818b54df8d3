//! Writing configuration files, with comments that say what can be changed.

use std::fmt::Write;
use std::path::Path;

use certificates::{Role, Roles};
use glossary::{ClusterIdentity, ServerId};

use super::{Address, ClientConfig, ServerConfig};

/// A file for `ovs serve`.
pub(crate) fn server_text(config: &ServerConfig) -> String {
    let ServerConfig { cluster, server, listen, data, certificates, roles, votes, servers } = config;
    let roles: Vec<_> = roles.iter().map(|role| format!("{:?}", role.name())).collect();
    let mut text = format!(
        "\
# A server of an Open vStorage cluster: what `ovs serve --config` reads. Paths are relative to this file's folder.
# A flag of `ovs serve`, or the environment's variable named here, goes before what is written here.

# The cluster that this server belongs to, and which of its servers it is. Both stand in its certificate as well.
cluster = \"{cluster}\"
server = {server}

# Where other servers and clients connect, and what they must be able to reach. (OVS_LISTEN)
listen = \"{listen}\"

# Where this server keeps its data: on a disk whose loss takes no other server with it. (OVS_DATA)
data = \"{}\"

# The folder of its certificate: authority.pem, revoked.pem and node.pem. Files that are replaced there are taken
# up without a restart. (OVS_CERTIFICATES)
certificates = \"{}\"

# What it runs: \"kv\", a member of the group that keeps manifests, ownership and configuration.
roles = [{}]

# Whether it has a vote in the group when it joins. One without has all data and answers stale reads, in another data
# centre perhaps; the group neither waits for it nor is held up by its loss.
votes = {votes}
",
        data.display(),
        certificates.display(),
        roles.join(", ")
    );
    text.push_str(&servers_text(servers.iter()));
    text
}

/// A file for verbs that connect to a cluster by `--config`.
pub(crate) fn client_text(config: &ClientConfig) -> String {
    let mut text = format!(
        "\
# A client of an Open vStorage cluster: what verbs read by --config. Paths are relative to this file's folder.

# The cluster.
cluster = \"{}\"

# The folder of its certificate: authority.pem, revoked.pem and node.pem.
certificates = \"{}\"
",
        config.cluster,
        config.certificates.display()
    );
    text.push_str(&servers_text(config.servers.iter()));
    text
}

fn servers_text<'a>(servers: impl Iterator<Item = (&'a ServerId, &'a Address)>) -> String {
    let mut text = "
# Where servers are found: enough of them that one is up. The cluster names the others.
[servers]
"
    .to_owned();
    for (server, address) in servers {
        writeln!(text, "{server} = \"{address}\"").expect("a string takes everything");
    }
    text
}

/// What `ovs config example` prints.
pub(crate) fn example() -> String {
    let address =
        |server: u16| (ServerId(server), format!("10.0.0.{server}:7410").parse().expect("an address"));
    server_text(&ServerConfig {
        cluster: ClusterIdentity(*b"0123456789abcdef"),
        server: ServerId(1),
        listen: "10.0.0.1:7410".parse().expect("an address"),
        data: Path::new("data").into(),
        certificates: Path::new("certificates").into(),
        roles: Roles::of([Role::Kv]),
        votes: true,
        servers: [1, 2, 3].map(address).into(),
    })
}

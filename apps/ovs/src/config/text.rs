//! Writing configuration files, with comments that say what can be changed.

use std::fmt::Write;
use std::path::Path;

use certificates::{Role, Roles};
use formats::kv_level::LEVEL;
use glossary::{ByteCount, ClusterIdentity, ServerId};

use super::{Address, AsdConfig, ClientConfig, EdgeConfig, ServerConfig, StorageConfig, VolumeDriverConfig};
use crate::storage::settings;

/// A file for `ovs serve`.
pub(crate) fn server_text(config: &ServerConfig) -> String {
    let ServerConfig {
        cluster,
        server,
        listen,
        data,
        certificates,
        roles,
        votes,
        storage,
        servers,
        kv_level,
        kv_heals,
    } = config;
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

# What it runs, any of:
# - \"kv\": a member of the group that keeps manifests, ownership and configuration. (First `ovs kv init` or `join`.)
# - \"asd\": disks, which hold what vDisks are made of. See [asd].
# - \"volume-driver\" and \"edge\", for now together and on one server of the cluster: vDisks, and where guests reach
#   them. See [volume-driver] and [edge].
roles = [{}]

# Whether it has a vote in the group when it joins. One without has all data and answers stale reads, in another data
# centre perhaps; the group neither waits for it nor is held up by its loss.
votes = {votes}
",
        data.display(),
        certificates.display(),
        roles.join(", ")
    );
    text.push_str(&kv_text(*kv_level, *kv_heals));
    text.push_str(&storage_text(storage));
    text.push_str(&servers_text(servers.iter(), "The cluster names the others."));
    text
}

/// The section of the KV.
fn kv_text(level: Option<u32>, heals: bool) -> String {
    format!(
        "
# Its KV. Held at the level of an older program it says and writes only what that knows, and the group with it: until
# this is taken out at the last server, all may go back to that program. (OVS_KV_LEVEL)
[kv]
{}
# Where its log is damaged the others give it everything anew, by itself: it becomes another member, and what it had is put
# aside. Once; while that lies there, and where this says false, it stops, says so, and waits for `ovs kv rejoin`.
{}",
        line("level", level.map(|level| level.to_string()), &LEVEL.to_string()),
        line("heals", (!heals).then(|| heals.to_string()), "true")
    )
}

/// The sections of what a server stores. What is as usual stands there as a comment.
fn storage_text(storage: &StorageConfig) -> String {
    let mut text = String::new();
    if let Some(AsdConfig { disks, disk_size }) = &storage.asd {
        text += &format!(
            "
# The disks of this server: folders asd-N among its data, each best a file system of its own. More may be added. What a
# new one may take is its share of what is free, where nothing is said.
[asd]
disks = {disks}
{}",
            line("disk-size", disk_size.map(|size| quoted(exact(size))), "\"10GiB\"")
        );
    }
    if let Some(config) = &storage.volume_driver {
        text += &volume_driver_text(config);
    }
    if let Some(EdgeConfig { nbd }) = &storage.edge {
        text += &format!(
            "
# Where guests reach vDisks, by NBD. It knows neither passwords nor encryption yet: beyond this machine it has to be
# allowed by insecure-nbd = true.
[edge]
nbd = \"{nbd}\"
"
        );
    }
    text
}

fn volume_driver_text(config: &VolumeDriverConfig) -> String {
    let VolumeDriverConfig { policies, sco_size, write_buffer, vdisks } = config;
    let list = |texts: Vec<String>| {
        let texts: Vec<_> = texts.into_iter().map(quoted).collect();
        (!texts.is_empty()).then(|| format!("[{}]", texts.join(", ")))
    };
    let of_policies = list(policies.iter().map(ToString::to_string).collect());
    let of_vdisks = list(vdisks.iter().map(|(name, size)| format!("{name}:{}", exact(*size))).collect());
    let usual = format!("[\"{}\"]", settings::server_policy());
    format!(
        "
# The vDisks of the cluster: one volume driver for now. What stands here is settled at the first start, and may be left
# out at others; vdisks are made where they aren't there, and may have grown since.
[volume-driver]
# How data is spread: k data and m parity fragments, safe at c, at most x of them on one server; policies to be tried in
# order. Any one server may be lost where c - x is k or more, as with 2,2,4,2 over three servers of two disks.
{}# Size of the objects that writes are gathered into, and room for what was written and is not on the disks yet.
{}{}{}",
        line("policies", of_policies, &usual),
        line("sco-size", sco_size.map(|size| quoted(exact(size))), "\"16MiB\""),
        line("write-buffer", write_buffer.map(|size| quoted(exact(size))), "\"2GiB\""),
        line("vdisks", of_vdisks, "[\"disk1:10GiB\"]"),
    )
}

/// A line of a file: what was given, or as a comment what is usual.
fn line(name: &str, given: Option<String>, usual: &str) -> String {
    given.map_or_else(|| format!("# {name} = {usual}\n"), |given| format!("{name} = {given}\n"))
}

fn quoted(text: String) -> String {
    format!("\"{text}\"")
}

/// A size as it is read again.
fn exact(size: ByteCount) -> String {
    if size.0.is_multiple_of(1 << 20) { format!("{}MiB", size.0 >> 20) } else { size.0.to_string() }
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
    text.push_str(&servers_text(config.servers.iter(), "Name new ones here before the last of these goes."));
    text
}

fn servers_text<'a>(servers: impl Iterator<Item = (&'a ServerId, &'a Address)>, others: &str) -> String {
    let mut text = format!(
        "
# Where servers are found: enough of them that one is up. {others}
[servers]
"
    );
    for (server, address) in servers {
        writeln!(text, "{server} = \"{address}\"").expect("a string takes everything");
    }
    text
}

/// What `ovs config example` prints.
pub(crate) fn example() -> String {
    let address =
        |server: u16| (ServerId(server), format!("10.0.0.{server}:7410").parse().expect("an address"));
    let roles = Roles::of([Role::Kv, Role::Asd, Role::VolumeDriver, Role::Edge]);
    server_text(&ServerConfig {
        cluster: ClusterIdentity(*b"0123456789abcdef"),
        server: ServerId(1),
        listen: "10.0.0.1:7410".parse().expect("an address"),
        data: Path::new("data").into(),
        certificates: Path::new("certificates").into(),
        storage: StorageConfig::usual(&roles),
        roles,
        votes: true,
        kv_level: None,
        kv_heals: true,
        servers: [1, 2, 3].map(address).into(),
    })
}

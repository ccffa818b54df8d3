//! `ovs kv …`: the data of members of the KV's group, and what they say of themselves.

mod local;
mod status;

use consensus::Membership;
use formats::kv_member::MemberFile;
use formats::message::member::member_of;

use crate::cli::{MemberInit, MemberJoin, MemberVerb};
use crate::config::ServerConfig;
use crate::failure::Failure;
use crate::serve::Folder;

/// Does it. Returns what goes to standard output.
pub(crate) fn run(verb: &MemberVerb) -> Result<String, Failure> {
    match verb {
        MemberVerb::Init(init) => begin(init),
        MemberVerb::Join(join) => join_group(join),
        MemberVerb::Status(asking) => status::run(asking),
    }
}

fn begin(init: &MemberInit) -> Result<String, Failure> {
    let config = ServerConfig::load(&init.configured.config, &init.configured.overrides())?;
    let servers = if init.with.is_empty() { vec![config.server] } else { init.with.clone() };
    if !servers.contains(&config.server) {
        return Err(Failure::usage(format!(
            "--with names the servers that begin the group, and server {} is not among them",
            config.server
        )));
    }
    let unknown = servers.iter().find(|it| **it != config.server && !config.servers.contains_key(it));
    if let Some(server) = unknown {
        return Err(Failure::usage(format!(
            "where server {server} is must stand in [servers] of {}: nobody else can tell before the group runs",
            init.configured.config.display()
        )));
    }
    let first = Membership::of_voters(servers.iter().map(|server| member_of(*server, 0)));
    let member = member_of(config.server, 0);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: Some(first) };
    Folder::make(&config, &file)?;
    Ok(format!(
        "server {} begins the KV's group in {}\nnext: ovs serve --config {}\n",
        config.server,
        config.data.display(),
        init.configured.config.display()
    ))
}

fn join_group(join: &MemberJoin) -> Result<String, Failure> {
    let config = ServerConfig::load(&join.configured.config, &join.configured.overrides())?;
    let member = member_of(config.server, join.disks_lost);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: None };
    Folder::make(&config, &file)?;
    Ok(format!(
        "server {} will be member {member} of the KV's group, in {}\nnext: ovs serve --config {}\n",
        config.server,
        config.data.display(),
        join.configured.config.display()
    ))
}

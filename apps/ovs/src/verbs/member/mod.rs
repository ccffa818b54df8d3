//! `ovs kv …`: the data of members of the KV's group, and what they say of themselves.

mod local;
mod members;
mod overview;
mod place;
mod prefer;
mod rejoin;
mod stats;
mod status;
mod verify;

use std::time::Instant;

use consensus::{Member, Membership};
use formats::kv_member::MemberFile;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb};
use formats::message::member::{disks_lost_of, member_of};
use glossary::ServerId;
use serde_json::{Value, json};

use self::place::Place;
use crate::cli::{MemberInit, MemberJoin, MemberLeave, MemberSnapshot, MemberTransfer, MemberVerb, Waiting};
use crate::config::{ClientConfig, ServerConfig};
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::serve::Folder;

/// Does it. Returns what goes to standard output.
pub(crate) fn run(verb: &MemberVerb) -> Result<String, Failure> {
    match verb {
        MemberVerb::Init(init) => begin(init),
        MemberVerb::Join(join) => join_group(join),
        MemberVerb::Status(asking) => status::run(asking),
        MemberVerb::Members(asking) => members::list(asking),
        MemberVerb::Leader(asking) => members::leader(asking),
        MemberVerb::Stats(asking) => stats::run(asking),
        MemberVerb::Snapshot(snapshot) => take_snapshot(snapshot),
        MemberVerb::Leave(leave) => leave_group(leave),
        MemberVerb::Transfer(transfer) => hand_over(transfer),
        MemberVerb::Prefer(prefer) => prefer::run(prefer),
        MemberVerb::Verify(verify) => verify::run(verify),
        MemberVerb::Rejoin(rejoin) => rejoin::run(rejoin),
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
    if !config.votes {
        return Err(Failure::usage(format!(
            "{} says votes = false, and who begins a group votes: say votes = true, or join a group that runs",
            init.configured.config.display()
        )));
    }
    let unknown = servers.iter().find(|it| **it != config.server && !config.servers.contains_key(it));
    if let Some(server) = unknown {
        return Err(Failure::usage(format!(
            "where server {server} is must stand in [servers] of {}: nobody else can tell before the group runs",
            init.configured.config.display()
        )));
    }
    let first = Membership::of_voters(servers.iter().map(|server| member_of(*server, init.disks_lost)));
    group::refuse_another(&config, &first)?;
    let member = member_of(config.server, init.disks_lost);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: Some(first) };
    Folder::make(&config, &file)?;
    let text = format!(
        "server {} begins the KV's group in {}\nnext: ovs serve --config {}",
        config.server,
        config.data.display(),
        init.configured.config.display()
    );
    let value = json!({ "server": config.server.0, "member": member.0, "data": config.data });
    Ok(said(init.json, &text, &value))
}

fn join_group(join: &MemberJoin) -> Result<String, Failure> {
    let config = ServerConfig::load(&join.configured.config, &join.configured.overrides())?;
    let member = member_of(config.server, join.disks_lost);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: None };
    Folder::refuse_begun(&config)?;
    group::announce(&config)?;
    let its = group::members_of(&group::reach(&config), config.server).unwrap_or_default();
    if let Some(known) = its.iter().find(|known| disks_lost_of(**known) >= join.disks_lost) {
        return Err(Failure::refused(format!(
            "server {} is member {known} of the KV's group already, and its data is not here: put that back. If it is lost, so \
             are the votes that it gave: `ovs kv rejoin` makes this server another member",
            config.server
        )));
    }
    Folder::make(&config, &file)?;
    let status = group::status(&config);
    let voters = status.filter(|_| config.votes).map(|status| members::voters_with(&status, config.server));
    let advice = voters.and_then(members::advice);
    let warning = advice.as_ref().map_or(String::new(), |advice| format!("warning: {advice}\n"));
    let text = format!(
        "{warning}server {} will be member {member} of the KV's group, in {}\nnext: ovs serve --config {}",
        config.server,
        config.data.display(),
        join.configured.config.display()
    );
    let value = json!({
        "server": config.server.0, "member": member.0, "data": config.data, "warning": advice,
    });
    Ok(said(join.json, &text, &value))
}

fn leave_group(leave: &MemberLeave) -> Result<String, Failure> {
    let place = Place::of(&leave.configured, None)?;
    let (config, server) = match (place.own(), leave.server) {
        (Some(own), None) => (own, own.server),
        (Some(own), Some(server)) if own.server == server => (own, server),
        (_, Some(server)) => return take_out(&place.reach, server, leave.waiting),
        (None, None) => {
            return Err(Failure::usage(format!(
                "{} is a client's file: say by --server which server leaves",
                leave.configured.config.display()
            )));
        }
    };
    let file = Folder::read_member(config)?;
    group::ask(&place.reach, KvGroupVerb::Remove { member: file.member }, leave.waiting.patience())?;
    Folder::retire_member(config)?;
    let text = format!(
        "server {server} has left the KV's group: stop it, and remove {} when nothing else needs it",
        config.data.display()
    );
    Ok(said(leave.waiting.json, &text, &json!({ "left": server.0, "data": config.data })))
}

/// Takes out another server, which may never run again.
fn take_out(reach: &ClientConfig, server: ServerId, waiting: Waiting) -> Result<String, Failure> {
    for member in group::members_of(reach, server)? {
        group::ask(reach, KvGroupVerb::Remove { member }, waiting.patience())?;
    }
    let text = format!(
        "server {server} is no longer in the KV's group. Should it come up again, nobody answers it: `ovs kv rejoin` there makes \
         it a member anew"
    );
    Ok(said(waiting.json, &text, &json!({ "left": server.0 })))
}

fn hand_over(transfer: &MemberTransfer) -> Result<String, Failure> {
    let place = Place::of(&transfer.configured, None)?;
    let to = match transfer.disks_lost {
        Some(disks_lost) => member_of(transfer.to, disks_lost),
        None => newest(&group::members_of(&place.reach, transfer.to)?),
    };
    let verb = transfer.of.verb(KvGroupVerb::Transfer { to });
    group::ask_for(&place.reach, &verb, transfer.waiting.patience())?;
    let text = match &transfer.of.group {
        Some(name) => format!("server {} leads group {name}", transfer.to),
        None => format!("server {} leads", transfer.to),
    };
    Ok(said(transfer.waiting.json, &text, &json!({ "leader": to.0, "leader_server": transfer.to.0 })))
}

/// Of the members of one server, which are some only for moments, the last.
fn newest(members: &[Member]) -> Member {
    *members.iter().max_by_key(|member| disks_lost_of(**member)).expect("it has one")
}

fn take_snapshot(snapshot: &MemberSnapshot) -> Result<String, Failure> {
    let place = Place::of(&snapshot.configured, snapshot.at.server)?;
    let [server] = place.servers()[..] else {
        return Err(Failure::usage(format!(
            "{} is a client's file: say by --server which server is to make a snapshot",
            snapshot.configured.config.display()
        )));
    };
    let until = Instant::now() + snapshot.waiting.patience();
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(group::PAUSE);
        let why = match place.ask(&AdminBody::KvGroup(KvGroupVerb::Snapshot), left)?.1 {
            AdminAnswer::Done => break,
            AdminAnswer::NotYet(why) => why,
            AdminAnswer::Failed(why) => return Err(Failure::new(ExitCode::Failed, why)),
            other => return Err(Failure::new(ExitCode::Failed, format!("the KV says: {other:?}"))),
        };
        if Instant::now() > until {
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(group::PAUSE);
    }
    let text = format!("server {server} has a snapshot");
    Ok(said(snapshot.waiting.json, &text, &json!({ "snapshot": server.0 })))
}

/// What was done, for people or programs.
fn said(is_json: bool, text: &str, value: &Value) -> String {
    if is_json { format!("{value}\n") } else { format!("{text}\n") }
}

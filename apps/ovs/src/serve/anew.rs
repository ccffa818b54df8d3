//! A server whose KV is lost or damaged becomes a member anew. What is left of its data is put aside, never deleted.
//!
//! Every step can be repeated: whoever was interrupted begins again and finds what is left to do. It is safe whatever was lost: the
//! old member is out before the new one begins, and a majority must agree to that, which has all that was acknowledged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consensus::Member;
use formats::kv_member::MemberFile;
use formats::message::admin::KvGroupVerb;
use formats::message::member::{disks_lost_of, member_of, server_of};

use super::{Folder, healing};
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;

/// What a folder holds that no member used yet ([`::roles::first_files`]).
const FIRST_FILES: [&str; 2] = ["new", "identity"];

/// What a server has become.
pub(crate) struct Anew {
    pub(crate) member: Member,
    /// How often it lost what it had.
    pub(crate) disks_lost: u32,
    /// Where that is, if anything was left of it.
    pub(crate) aside: Option<PathBuf>,
}

/// Takes the old member out of the group, puts its data aside, and makes those of a new one.
///
/// # Errors
/// When the group doesn't do it in time, or files can't be used; nothing is lost, and it can be tried again.
pub(crate) fn become_anew(config: &ServerConfig, patience: Duration) -> Result<Anew, Failure> {
    Folder::check_unused(config)?;
    let was = Folder::past_member(config)?;
    let in_group = leave(config, was, patience)?;
    let Some(newest) = was.into_iter().chain(in_group).max_by_key(|member| disks_lost_of(*member)) else {
        return Err(Failure::refused(format!(
            "server {} was never a member of the group, as far as the group and {} tell: `ovs kv join` makes it one",
            config.server,
            config.data.display()
        )));
    };
    group::announce(config)?;
    let aside = put_aside(config, newest)?;
    let disks_lost = disks_lost_of(newest) + 1;
    let member = member_of(config.server, disks_lost);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: None };
    Folder::make(config, &file)?;
    healing::forget(config)?;
    Ok(Anew { member, disks_lost, aside })
}

/// Has the group take out what this server was to it, and waits until it has. Which that was, as far as the group tells.
fn leave(config: &ServerConfig, was: Option<Member>, patience: Duration) -> Result<Option<Member>, Failure> {
    let until = Instant::now() + patience;
    let members = loop {
        if let Some(members) = group::membership(config)? {
            break members;
        }
        if Instant::now() > until {
            let why = "the other servers of the group are starting: none tells yet who belongs to it";
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(group::PAUSE);
    };
    let mut all = members.voters.iter().chain(&members.learners).copied();
    let in_group = all.find(|member| server_of(*member) == config.server);
    if members.voters.len() == 2 && in_group.is_some_and(|member| members.voters.contains(&member)) {
        return Err(Failure::refused(
            "the group has two voters, and takes none out that doesn't run: put what it had back, or restore a backup to a \
             new cluster",
        ));
    }
    // What one of the others tells may be old. Who is no member any more is soon taken out.
    let taken_out: BTreeSet<Member> = was.into_iter().chain(in_group).collect();
    for member in taken_out {
        let left = until.saturating_duration_since(Instant::now());
        group::ask(config, KvGroupVerb::Remove { member }, left)?;
    }
    Ok(in_group)
}

/// Renames what a member left, under its own number: what an earlier try put there stays.
fn put_aside(config: &ServerConfig, member: Member) -> Result<Option<PathBuf>, Failure> {
    Folder::retire_member(config)?;
    let kv = config.data.join("kv");
    let aside = config.data.join(format!("kv.{member}"));
    if !kv.exists() || is_made_anew(&kv, &aside) {
        return Ok(aside.exists().then_some(aside));
    }
    fs::rename(&kv, &aside).map_err(|error| {
        Failure::system(&format!("renaming {} to {}", kv.display(), aside.display()), &error)
    })?;
    Ok(Some(aside))
}

/// Whether the folder is what an interrupted try made already: nothing was written there by a member.
fn is_made_anew(kv: &Path, aside: &Path) -> bool {
    let is_empty = fs::read_dir(kv).is_ok_and(|entries| {
        entries.flatten().all(|entry| FIRST_FILES.iter().any(|name| entry.file_name() == *name))
    });
    aside.exists() && is_empty
}

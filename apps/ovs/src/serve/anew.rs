//! A server whose KV is lost or damaged becomes a member anew. What is left of its data is put aside, never deleted.
//!
//! Every step can be repeated: whoever was interrupted begins again and finds what is left to do. It is safe whatever was lost: the
//! old member is out before the new one begins, and a majority must agree to that, which has all that was acknowledged.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consensus::{Member, Membership};
use formats::kv_member::MemberFile;
use formats::message::admin::KvGroupVerb;
use formats::message::member::{disks_lost_of, member_of, server_of};

use super::{Folder, healing};
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;

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
    let _lock = Folder::hold(config)?;
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
    Folder::make_held(config, &file)?;
    healing::forget(config)?;
    Ok(Anew { member, disks_lost, aside })
}

/// Has the group take out what this server was to it, and waits until it has. Which that was, as far as the group tells.
fn leave(config: &ServerConfig, was: Option<Member>, patience: Duration) -> Result<Option<Member>, Failure> {
    let until = Instant::now() + patience;
    let mut left = None;
    loop {
        let members = group::membership(config)?;
        let in_group = members.as_ref().and_then(|members| member_at(members, config));
        left = in_group.or(left);
        match (was, in_group) {
            // What this server's own files tell is what it was. What others tell may be old.
            (Some(was), _) => {
                let both = iter::once(was).chain(in_group.filter(|member| *member != was));
                both.into_iter().try_for_each(|member| remove(config, member, members.as_ref(), until))?;
                return Ok(left);
            }
            (None, Some(member)) => remove(config, member, members.as_ref(), until)?,
            (None, None) if members.is_some() => return Ok(left),
            (None, None) => {}
        }
        if Instant::now() > until {
            let why = "the other servers of the group don't tell yet who belongs to it";
            return Err(Failure::new(ExitCode::TimedOut, why));
        }
        std::thread::sleep(group::PAUSE);
    }
}

fn remove(
    config: &ServerConfig,
    member: Member,
    members: Option<&Membership>,
    until: Instant,
) -> Result<(), Failure> {
    let patience = until.saturating_duration_since(Instant::now());
    group::ask(&group::reach(config), KvGroupVerb::Remove { member }, patience).map_err(|failure| {
        if members.is_some_and(|members| members.voters.len() <= 2 && members.voters.contains(&member)) {
            return Failure::refused(
                "the others of its group are no majority without it, and can't take it out: put what it had back, or restore \
                 a backup to a new cluster",
            );
        }
        failure
    })
}

fn member_at(members: &Membership, config: &ServerConfig) -> Option<Member> {
    let mut all = members.voters.iter().chain(&members.learners).copied();
    all.find(|member| server_of(*member) == config.server)
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

/// Whether the folder is what an interrupted try made already: no member wrote there.
fn is_made_anew(kv: &Path, aside: &Path) -> bool {
    let is_written =
        |name: &str| name == "table" || name.starts_with("log-") || name.starts_with("snapshot-");
    let is_unused = fs::read_dir(kv).is_ok_and(|entries| {
        entries.flatten().all(|entry| !entry.file_name().to_str().is_some_and(is_written))
    });
    aside.exists() && is_unused
}

//! A server whose KV is lost or damaged becomes a member anew. What is left of its data is put aside, never deleted.
//!
//! Every step can be repeated: whoever was interrupted begins again and finds what is left to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use consensus::Member;
use formats::kv_member::MemberFile;
use formats::message::admin::{KvGroupVerb, RoleStatus};
use formats::message::member::{disks_lost_of, member_of, server_of};
use serde_json::json;

use super::said;
use crate::cli::MemberRejoin;
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::serve::Folder;

/// Takes the old member out of the group, puts its data aside, and makes those of a new one.
pub(super) fn run(rejoin: &MemberRejoin) -> Result<String, Failure> {
    let config = ServerConfig::load(&rejoin.configured.config, &rejoin.configured.overrides())?;
    Folder::check_unused(&config)?;
    let was = Folder::past_member(&config)?;
    let in_group = leave(&config, rejoin.waiting.patience())?;
    let Some(newest) = was.into_iter().chain(in_group).max_by_key(|member| disks_lost_of(*member)) else {
        return Err(Failure::refused(format!(
            "server {} was never a member of the group, as far as the group and {} tell: `ovs kv join` makes it one",
            config.server,
            config.data.display()
        )));
    };
    let aside = put_aside(&config, newest)?;
    let disks_lost = disks_lost_of(newest) + 1;
    let member = member_of(config.server, disks_lost);
    let file = MemberFile { cluster: config.cluster, server: config.server, member, first: None };
    group::announce(&config)?;
    Folder::make(&config, &file)?;
    let kept = aside.as_ref().map_or(String::new(), |aside| {
        format!("what it had is in {}: remove that when nobody wants to look at it\n", aside.display())
    });
    let text = format!(
        "server {} will be member {member} of the KV's group, in {}\n{kept}next: ovs serve --config {}",
        config.server,
        config.data.display(),
        rejoin.configured.config.display()
    );
    let value =
        json!({ "server": config.server.0, "member": member.0, "disks_lost": disks_lost, "aside": aside });
    Ok(said(rejoin.waiting.json, &text, &value))
}

/// Has the group take out what this server was to it, and waits until it has. Which that was.
fn leave(config: &ServerConfig, patience: Duration) -> Result<Option<Member>, Failure> {
    /// How long the group may take for one try.
    const ROUND: Duration = Duration::from_secs(5);
    let until = Instant::now() + patience;
    let mut left = None;
    loop {
        let status = group::status(config).ok_or_else(|| {
            Failure::new(
                ExitCode::NotRunning,
                "no other server of the group answers: what this one lost can only come from them",
            )
        })?;
        let Some(member) = member_at(&status, config) else { return Ok(left) };
        left = Some(member);
        match group::ask(config, KvGroupVerb::Remove { member }, ROUND) {
            Err(failure) if failure.code != ExitCode::TimedOut || Instant::now() > until => {
                return Err(failure);
            }
            _ => {}
        }
    }
}

fn member_at(status: &RoleStatus, config: &ServerConfig) -> Option<Member> {
    let RoleStatus::KvMember { members, .. } = status else { return None };
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

/// Whether the folder is what an interrupted try made already: nothing was written there by a member.
fn is_made_anew(kv: &Path, aside: &Path) -> bool {
    let is_empty = fs::read_dir(kv).is_ok_and(|entries| {
        entries.flatten().all(|entry| entry.file_name().to_string_lossy() == "identity")
    });
    aside.exists() && is_empty
}

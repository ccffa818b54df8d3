//! Who belongs to the group, and who leads it.

use std::collections::BTreeSet;

use consensus::{Member, Membership};
use formats::message::admin::RoleStatus;
use formats::message::member::server_of;
use serde_json::json;

use super::{prefer, status};
use crate::cli::{Configured, MemberAsking, OfGroup};
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};
use crate::serve::{Folder, own_address};
use crate::verbs::table::table;

/// The group, as one member knows it.
pub(super) struct Known {
    pub(super) config: ServerConfig,
    pub(super) members: Membership,
    leader: Option<Member>,
    /// Why nothing can be changed through this member.
    refusal: Option<String>,
}

/// A line for each member.
pub(super) fn list(asking: &MemberAsking) -> Result<String, Failure> {
    let known = Known::ask(&asking.configured, &asking.of)?;
    // Each group has its own wish under that key; this one is the root group's.
    let preferred = match asking.of.group {
        Some(_) => None,
        None => prefer::preferred(&known.config)?.map(|server| server.0),
    };
    let warning = advice(known.members.voters.len());
    if asking.json {
        let members: Vec<_> = known.members().map(|member| known.json(member)).collect();
        let value = json!({ "members": members, "preferred": preferred, "warning": warning });
        return Ok(format!("{value}\n"));
    }
    let rows: Vec<_> = known.members().map(|member| known.row(member)).collect();
    let mut text = table(&["SERVER", "MEMBER", "VOTES", "LEADS", "ADDRESS"], &rows);
    if let Some(server) = preferred {
        text += &format!("server {server} is preferred as leader\n");
    }
    if let Some(warning) = warning {
        text += &format!("warning: {warning}\n");
    }
    Ok(text)
}

/// Which server leads.
pub(super) fn leader(asking: &MemberAsking) -> Result<String, Failure> {
    let known = Known::ask(&asking.configured, &asking.of)?;
    let Some(leader) = known.leader else {
        let why = known.refusal.unwrap_or_else(|| "this server does not know it yet".to_owned());
        return Err(Failure::new(ExitCode::Failed, format!("nobody leads the group: {why}")));
    };
    let server = server_of(leader);
    Ok(match asking.json {
        true => format!("{}\n", json!({ "leader": leader.0, "leader_server": server.0 })),
        false => format!("{server}\n"),
    })
}

/// What is to be said of so many voters: an even number is worth no more than one less.
pub(super) fn advice(voters: usize) -> Option<String> {
    let lost = voters.saturating_sub(1) / 2;
    (voters > 0 && voters.is_multiple_of(2)).then(|| {
        format!(
            "a group of {voters} voters goes on without {lost} of them, and one of {} would too: have an odd number",
            voters - 1
        )
    })
}

/// How many servers vote once a server has joined.
pub(super) fn voters_with(status: &RoleStatus, server: glossary::ServerId) -> usize {
    match status {
        RoleStatus::KvMember { members, .. } => {
            let servers = members.voters.iter().map(|member| server_of(*member));
            servers.chain([server]).collect::<BTreeSet<_>>().len()
        }
        // It keeps the KV alone.
        _ => 2,
    }
}

impl Known {
    /// What the running server on this machine knows of a group.
    pub(super) fn ask(configured: &Configured, of: &OfGroup) -> Result<Self, Failure> {
        let (config, status) = status::ask(configured, of)?;
        Ok(match status {
            RoleStatus::KvMember { members, leader, refusal, .. } => {
                Known { config, members, leader, refusal }
            }
            _ => {
                let alone = Folder::read_member(&config)?.member;
                let members = Membership::of_voters([alone]);
                Known { config, members, leader: Some(alone), refusal: None }
            }
        })
    }

    /// Those with a vote, then the others.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        self.members.voters.iter().chain(&self.members.learners).copied()
    }

    fn leads(&self, member: Member) -> bool {
        self.leader == Some(member)
    }

    /// Where a server is, as the configuration has it; the group may know more.
    fn address(&self, member: Member) -> Option<String> {
        let server = server_of(member);
        match self.config.servers.get(&server) {
            Some(address) => Some(address.to_string()),
            None if server == self.config.server => own_address(&self.config).ok(),
            None => None,
        }
    }

    fn json(&self, member: Member) -> serde_json::Value {
        json!({
            "server": server_of(member).0,
            "member": member.0,
            "votes": self.members.voters.contains(&member),
            "leads": self.leads(member),
            "address": self.address(member),
        })
    }

    fn row(&self, member: Member) -> Vec<String> {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            server_of(member).to_string(),
            member.to_string(),
            yes(self.members.voters.contains(&member)),
            yes(self.leads(member)),
            self.address(member).unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_number_of_voters_is_warned_of() {
        assert_eq!([1, 3, 5, 7].map(advice), [const { None }; 4]);
        let four = advice(4).expect("a warning");
        assert!(four.contains("4 voters goes on without 1 of them, and one of 3 would too"), "{four}");
        assert!(advice(2).is_some_and(|two| two.contains("without 0 of them")));
    }
}

//! Who belongs to the group, and who leads it.

use std::collections::BTreeSet;

use consensus::{Member, Membership};
use formats::message::admin::RoleStatus;
use formats::message::member::{member_of, server_of};
use serde_json::json;

use super::place::Place;
use super::{prefer, status};
use crate::cli::{MemberAsking, OfGroup};
use crate::failure::{ExitCode, Failure};
use crate::serve::{Folder, own_address};
use crate::verbs::table::table;

/// The group, as one member knows it.
pub(super) struct Known {
    pub(super) place: Place,
    pub(super) members: Membership,
    /// Whether the numbers of members are known, and not only their servers.
    is_numbered: bool,
    leader: Option<Member>,
    /// Why nothing can be changed through this member.
    refusal: Option<String>,
}

/// A line for each member.
pub(super) fn list(asking: &MemberAsking) -> Result<String, Failure> {
    let known = Known::ask(Place::of(&asking.configured, asking.at.server)?, &asking.of)?;
    let preferred = prefer::preferred(&known.place, &asking.of).map(|server| server.0);
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
    let known = Known::ask(Place::of(&asking.configured, asking.at.server)?, &asking.of)?;
    let Some(leader) = known.leader else {
        let why = known.refusal.unwrap_or_else(|| "this server does not know it yet".to_owned());
        return Err(Failure::new(ExitCode::Failed, format!("nobody leads the group: {why}")));
    };
    let server = server_of(leader);
    Ok(match asking.json {
        true => format!("{}\n", json!({ "leader": known.number(leader), "leader_server": server.0 })),
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
    /// What the server that is asked knows of a group.
    pub(super) fn ask(place: Place, of: &OfGroup) -> Result<Self, Failure> {
        let (server, status) = status::ask(&place, of)?;
        if let RoleStatus::KvMember { members, leader, refusal, .. } = status {
            return Ok(Known { place, members, is_numbered: true, leader, refusal });
        }
        // It keeps the KV alone: which member it is stands in its data.
        let numbered = place.own().map(Folder::read_member).transpose()?;
        let alone = numbered.as_ref().map_or(member_of(server, 0), |file| file.member);
        let members = Membership::of_voters([alone]);
        Ok(Known { place, members, is_numbered: numbered.is_some(), leader: Some(alone), refusal: None })
    }

    fn number(&self, member: Member) -> Option<u64> {
        self.is_numbered.then_some(member.0)
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
        let own = || own_address(self.place.own().filter(|own| own.server == server)?).ok();
        self.place.reach.servers.get(&server).map(ToString::to_string).or_else(own)
    }

    fn json(&self, member: Member) -> serde_json::Value {
        json!({
            "server": server_of(member).0,
            "member": self.number(member),
            "votes": self.members.voters.contains(&member),
            "leads": self.leads(member),
            "address": self.address(member),
        })
    }

    fn row(&self, member: Member) -> Vec<String> {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            server_of(member).to_string(),
            self.number(member).map_or_else(|| "-".to_owned(), |number| number.to_string()),
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

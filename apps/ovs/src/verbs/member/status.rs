//! What a server's KV is in its group.

use std::collections::BTreeSet;
use std::time::SystemTime;

use certificates::Credentials;
use consensus::Member;
use formats::message::admin::{AdminAnswer, AdminBody, KvLevels, RoleStatus};
use formats::message::member::server_of;
use glossary::ServerId;
use serde_json::{Map, Value, json};

use super::place::Place;
use super::{local, overview};
use crate::cli::{MemberAsking, OfGroup};
use crate::failure::{ExitCode, Failure};
use crate::group;
use crate::serve::days_left;

pub(super) fn run(asking: &MemberAsking) -> Result<String, Failure> {
    let place = Place::of(&asking.configured, asking.at.server)?;
    if place.is_any() {
        return overview::run(&place, &asking.of, asking.json);
    }
    let (_, mut status) = ask(&place, &asking.of)?;
    if let (RoleStatus::KvMember { trouble, me, leader: None, commit, .. }, Some(own)) =
        (&mut status, place.own())
        && asking.of.group.is_none()
        && group::has_taken_out(own, *me, *commit)
    {
        trouble.get_or_insert_with(|| {
            format!(
                "the group took out member {me} while it was away, and nobody answers it: stop this server, or make it a member \
                 anew (ovs kv rejoin)"
            )
        });
    }
    let mut value = value(&status);
    if let (Value::Object(fields), Some(levels)) = (&mut value, levels(&place)) {
        fields.extend(of_levels(&levels));
    }
    if let (Value::Object(fields), Some(days)) = (&mut value, certificate_days_left(&place)) {
        fields.insert("certificate_days_left".into(), json!(days));
    }
    Ok(if asking.json { format!("{value}\n") } else { text(&value) })
}

/// What the KV of the server that is meant, or of the first that answers, says of itself as a member of a group.
pub(super) fn ask(place: &Place, of: &OfGroup) -> Result<(ServerId, RoleStatus), Failure> {
    let (server, answer) = place.ask(&of.status(), local::PATIENCE)?;
    status_in(answer).map(|status| (server, status))
}

/// The status that is the answer.
///
/// # Errors
/// With [`ExitCode::NotFound`] where there is no such group: of its own a KV always says something.
pub(super) fn status_in(answer: AdminAnswer) -> Result<RoleStatus, Failure> {
    match answer {
        AdminAnswer::Status(status) => Ok(status),
        AdminAnswer::Failed(why) => Err(Failure::new(ExitCode::NotFound, why)),
        AdminAnswer::NotYet(why) => Err(Failure::not_yet(why)),
        other => Err(Failure::new(ExitCode::Failed, format!("the KV says: {other:?}"))),
    }
}

/// How long the certificate of the server on this machine lasts.
fn certificate_days_left(place: &Place) -> Option<u64> {
    let credentials = Credentials::load(&place.own()?.certificates).ok()?;
    Some(days_left(credentials.until(), SystemTime::now()))
}

/// The levels of the group; none where the server's program is older than this one, and knows of none.
fn levels(place: &Place) -> Option<KvLevels> {
    match place.ask(&AdminBody::KvLevels, local::PATIENCE) {
        Ok((_, AdminAnswer::KvLevels(levels))) => Some(levels),
        _ => None,
    }
}

/// What this member goes up to, what the group has, and who has said less than this member, so that the group waits.
fn of_levels(KvLevels { own, group, members }: &KvLevels) -> Map<String, Value> {
    // Who keeps the KV alone raises nothing before another joins.
    let others = if members.len() > 1 { &members[..] } else { &[] };
    let held_back = others.iter().filter(|(_, level)| level < own).map(|(member, _)| member.0);
    let mut fields = Map::new();
    fields.insert("level".into(), json!(own));
    fields.insert("group_level".into(), json!(group));
    fields.insert("older_members".into(), json!(held_back.collect::<Vec<_>>()));
    fields
}

/// The status as JSON.
pub(super) fn value(status: &RoleStatus) -> Value {
    match status {
        RoleStatus::Kv { keys, index, trouble, .. } => json!({
            "keys": keys, "applied": index, "trouble": trouble, "role": "alone", "writes": writes(None, None),
        }),
        RoleStatus::KvMember { keys, index, trouble, me, leader, term, commit, members, refusal, .. } => {
            json!({
                "keys": keys,
                "applied": index,
                "trouble": trouble,
                "role": if *leader == Some(*me) { "leader" } else { "follower" },
                "member": me.0,
                "leader": leader.map(|leader| leader.0),
                "leader_server": leader.map(|leader| server_of(leader).0),
                "term": term.0,
                "commit": commit.0,
                "voters": numbers(&members.voters),
                "learners": numbers(&members.learners),
                "refusal": refusal,
                "writes": writes(leader.filter(|leader| leader != me), refusal.as_deref()),
            })
        }
        _ => json!({ "trouble": "what answers is no KV" }),
    }
}

/// Who takes writes, or why nobody here can, for people.
fn writes(other: Option<Member>, refusal: Option<&str>) -> String {
    match (other, refusal) {
        (Some(leader), _) => format!("go to server {}, which leads", server_of(leader)),
        (None, None) => "are taken here".to_owned(),
        (None, Some(why)) => format!(
            "are refused: {why}. What no majority keeps could be lost, so nothing is changed without one; it goes on by \
             itself when enough members answer, and until then reads with --stale are answered"
        ),
    }
}

fn numbers(members: &BTreeSet<Member>) -> Vec<u64> {
    members.iter().map(|member| member.0).collect()
}

/// The same for people: a line each, without what there is nothing to say of.
fn text(value: &Value) -> String {
    let Value::Object(fields) = value else { return format!("{value}\n") };
    let said = fields.iter().filter(|(_, value)| !value.is_null());
    said.map(|(name, value)| match value {
        Value::String(text) => format!("{name:<14} {text}\n"),
        other => format!("{name:<14} {other}\n"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{LogIndex, Membership, Term};

    fn member(leader: Option<u64>, refusal: Option<&str>) -> RoleStatus {
        RoleStatus::KvMember {
            keys: 5,
            index: 9,
            trouble: None,
            counters: Vec::new(),
            me: Member(2),
            leader: leader.map(Member),
            term: Term(4),
            commit: LogIndex(9),
            members: Membership::of_voters([1, 2, 3].map(Member)),
            refusal: refusal.map(str::to_owned),
        }
    }

    #[test]
    fn a_member_says_who_leads() {
        let value = value(&member(Some(3), Some("member 3 leads; ask it")));
        assert_eq!((&value["role"], &value["leader_server"]), (&json!("follower"), &json!(3)));
        let text = text(&value);
        assert!(text.contains("leader         3\n") && text.contains("voters         [1,2,3]\n"), "{text}");
        assert!(!text.contains("trouble"), "{text}");
        assert!(text.contains("writes         go to server 3, which leads\n"), "{text}");
    }

    #[test]
    fn who_holds_the_group_back_is_named() {
        let members = vec![(Member(1), 2), (Member(2), 2), (Member(0x1_0003), 1)];
        let fields = Value::Object(of_levels(&KvLevels { own: 2, group: 1, members }));
        assert_eq!(fields, json!({ "level": 2, "group_level": 1, "older_members": [0x1_0003] }));
    }

    #[test]
    fn a_minority_says_why_it_changes_nothing() {
        let why = "1 of 3 voters answer and 2 are needed; silent: 1, 3";
        for leader in [None, Some(2)] {
            let text = text(&value(&member(leader, Some(why))));
            let line = format!("are refused: {why}. What no majority keeps could be lost");
            assert!(text.contains(&line), "{text}");
        }
        let leads = value(&member(Some(2), None));
        assert_eq!(leads["writes"], json!("are taken here"));
    }
}

//! What a server's KV is in its group.

use std::collections::BTreeSet;

use consensus::Member;
use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus};
use formats::message::member::server_of;
use serde_json::{Value, json};

use super::local;
use crate::cli::MemberAsking;
use crate::config::ServerConfig;
use crate::failure::{ExitCode, Failure};

pub(super) fn run(asking: &MemberAsking) -> Result<String, Failure> {
    let config = ServerConfig::load(&asking.configured.config, &asking.configured.overrides())?;
    let question = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
    let answer = local::ask(&config.data, config.cluster, config.server, &question)?;
    let status = match answer {
        Message::AdminReply(reply) => reply.body,
        _ => return Err(Failure::new(ExitCode::Failed, "the KV answers something else than it was asked")),
    };
    let AdminAnswer::Status(status) = status else {
        return Err(Failure::new(ExitCode::Failed, format!("the KV says: {status:?}")));
    };
    let value = value(&status);
    Ok(if asking.json { format!("{value}\n") } else { text(&value) })
}

/// The status as JSON.
fn value(status: &RoleStatus) -> Value {
    match status {
        RoleStatus::Kv { keys, index, trouble, .. } => json!({
            "keys": keys, "applied": index, "trouble": trouble, "role": "alone",
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
            })
        }
        _ => json!({ "trouble": "what answers is no KV" }),
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

    #[test]
    fn a_member_says_who_leads() {
        let members = Membership::of_voters([1, 2, 3].map(Member));
        let status = RoleStatus::KvMember {
            keys: 5,
            index: 9,
            trouble: None,
            counters: Vec::new(),
            me: Member(2),
            leader: Some(Member(3)),
            term: Term(4),
            commit: LogIndex(9),
            members,
            refusal: None,
        };
        let value = value(&status);
        assert_eq!((&value["role"], &value["leader_server"]), (&json!("follower"), &json!(3)));
        let text = text(&value);
        assert!(text.contains("leader         3\n") && text.contains("voters         [1,2,3]\n"), "{text}");
        assert!(!text.contains("trouble"), "{text}");
    }
}

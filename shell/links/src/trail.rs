//! What of messages is written into the audit trail, in words: verbs of management, and commands of clients that change
//! more than users' keys. Values are left out: they may be long, or secret.

use formats::message::admin::AdminBody;
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvOf, KvRequest, KvStep};
use formats::{Message, kv_scope};

/// Steps of a command that are told one by one.
const STEPS_MAX: usize = 8;

/// What a client asks for, where that is written.
pub(crate) fn asked(message: &Message) -> Option<String> {
    match message {
        Message::Admin(request) if !matches!(request.body, AdminBody::Status | AdminBody::KvLevels) => {
            Some(format!("{:?}", request.body))
        }
        Message::Kv(request) => changes(request),
        Message::KvOf(KvOf { group, request }) => {
            changes(request).map(|changes| format!("in group {group}: {changes}"))
        }
        _ => None,
    }
}

/// What a client wants changed beyond users' keys.
fn changes(request: &KvRequest) -> Option<String> {
    match &request.body {
        body @ KvBody::Command { command, .. } if !kv_scope::is_users(body) => Some(told(command)),
        _ => None,
    }
}

/// What came of it.
pub(crate) fn answered(message: &Message) -> Option<String> {
    match message {
        Message::AdminReply(reply) => Some(format!("{:?}", reply.body)),
        Message::KvReply(reply) => Some(match &reply.body {
            KvAnswer::Failed(error) => format!("{error:?}"),
            _ => "Done".to_owned(),
        }),
        _ => None,
    }
}

fn told(command: &KvCommand) -> String {
    let steps = match command {
        KvCommand::Sequence(steps) | KvCommand::Steps(steps) => steps,
        KvCommand::Function { function, .. } => return format!("Function({})", function.0),
    };
    let mut told: Vec<String> = steps.iter().take(STEPS_MAX).map(step).collect();
    if steps.len() > STEPS_MAX {
        told.push(format!("and {} more", steps.len() - STEPS_MAX));
    }
    told.join(", ")
}

fn step(step: &KvStep) -> String {
    let of = |what: &str, key: &[u8]| format!("{what}({})", key.escape_ascii());
    match step {
        KvStep::Nested { steps } => format!("Nested({steps})"),
        KvStep::Set { key, .. } => of("Set", key),
        KvStep::Delete { key } => of("Delete", key),
        KvStep::Assert { key, .. } => of("Assert", key),
        KvStep::AssertExists { key } => of("AssertExists", key),
        KvStep::AssertRange { .. } => "AssertRange".to_owned(),
        KvStep::DeletePrefix { prefix, .. } => of("DeletePrefix", prefix),
        KvStep::TestAndSet { key, .. } => of("TestAndSet", key),
        KvStep::Replace { key, .. } => of("Replace", key),
        KvStep::Function { function, .. } => format!("Function({})", function.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossary::GroupId;

    fn set(key: &[u8]) -> KvRequest {
        let command = KvCommand::Sequence(vec![KvStep::Set { key: key.to_vec(), value: Vec::new() }]);
        KvRequest {
            request: 1,
            body: KvBody::Command { session: 1, sequence: 1, answered_below: 1, command },
        }
    }

    #[test]
    fn changes_beyond_users_keys_are_told_whichever_group_has_them() {
        let of = |key: &[u8]| Message::KvOf(KvOf { group: GroupId(3), request: set(key) });
        assert_eq!(asked(&Message::Kv(set(b"u/mine"))), None);
        assert_eq!(asked(&of(b"u/mine")), None);
        assert_eq!(asked(&Message::Kv(set(b"vdisk/1"))).as_deref(), Some("Set(vdisk/1)"));
        assert_eq!(asked(&of(b"kv/leader")).as_deref(), Some("in group 3: Set(kv/leader)"));
    }
}

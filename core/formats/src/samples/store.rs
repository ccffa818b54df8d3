//! The KV.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use consensus::Member;

use super::all;
use crate::Message;
use crate::message::kv::{
    FunctionId, KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest, KvStep,
};

pub(super) fn messages() -> Vec<Message> {
    let commands = all(command).map(|command| KvBody::Command {
        session: 0x1234_5678_9abc_def0,
        sequence: 300,
        answered_below: 299,
        command,
    });
    let requests = commands.chain(all(query).map(KvBody::Query)).chain(all(body));
    let answers = all(answer).chain(all(error).map(KvAnswer::Failed));
    let mut messages: Vec<_> = requests.map(|body| Message::Kv(KvRequest { request: 10, body })).collect();
    messages.extend(answers.map(|body| Message::KvReply(KvReply { request: 11, body })));
    messages
}

fn key() -> Vec<u8> {
    b"vdisk/1".to_vec()
}

fn body(last: Option<&KvBody>) -> Option<KvBody> {
    let command = KvCommand::Sequence(Vec::new());
    Some(match last {
        None => KvBody::Command { session: 1, sequence: 1, answered_below: 1, command },
        Some(KvBody::Command { .. }) => KvBody::Query(KvQuery::Get { key: Vec::new() }),
        Some(KvBody::Query(_)) => return None,
    })
}

fn command(last: Option<&KvCommand>) -> Option<KvCommand> {
    Some(match last {
        None => KvCommand::Sequence(all(step).collect()),
        Some(KvCommand::Sequence(_)) => {
            KvCommand::Function { function: FunctionId::NAMESPACES, command: vec![1, 2, 3] }
        }
        Some(KvCommand::Function { .. }) => return None,
    })
}

fn step(last: Option<&KvStep>) -> Option<KvStep> {
    Some(match last {
        None => KvStep::Assert { key: key(), value: Some(b"old".to_vec()) },
        Some(KvStep::Assert { .. }) => KvStep::AssertExists { key: key() },
        Some(KvStep::AssertExists { .. }) => KvStep::Set { key: key(), value: b"new".to_vec() },
        Some(KvStep::Set { .. }) => KvStep::Delete { key: key() },
        Some(KvStep::Delete { .. }) => return None,
    })
}

fn query(last: Option<&KvQuery>) -> Option<KvQuery> {
    Some(match last {
        None => KvQuery::Get { key: key() },
        Some(KvQuery::Get { .. }) => KvQuery::Range { prefix: b"vdisk/".to_vec(), from: key(), limit: 1000 },
        Some(KvQuery::Range { .. }) => {
            KvQuery::Function { function: FunctionId::NAMESPACES, query: vec![4, 5] }
        }
        Some(KvQuery::Function { .. }) => return None,
    })
}

fn answer(last: Option<&KvAnswer>) -> Option<KvAnswer> {
    Some(match last {
        None => KvAnswer::Done(vec![6]),
        Some(KvAnswer::Done(_)) => KvAnswer::Value(Some(b"value".to_vec())),
        Some(KvAnswer::Value(_)) => KvAnswer::Range { pairs: vec![(key(), b"value".to_vec())], more: true },
        Some(KvAnswer::Range { .. } | KvAnswer::Failed(_)) => return None,
    })
}

fn error(last: Option<&KvError>) -> Option<KvError> {
    Some(match last {
        None => KvError::Assert { step: 1, key: key() },
        Some(KvError::Assert { .. }) => KvError::Refused(vec![7]),
        Some(KvError::Refused(_)) => KvError::NoFunction(FunctionId(2)),
        Some(KvError::NoFunction(_)) => KvError::TooLarge("why".to_string()),
        Some(KvError::TooLarge(_)) => KvError::Forgotten,
        Some(KvError::Forgotten) => KvError::Full,
        Some(KvError::Full) => KvError::Unavailable,
        Some(KvError::Unavailable) => KvError::NotLeader { leader: None },
        Some(KvError::NotLeader { leader: None }) => KvError::NotLeader { leader: Some(Member(300)) },
        Some(KvError::NotLeader { leader: Some(_) }) => return None,
    })
}

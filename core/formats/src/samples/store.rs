//! The KV.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Bound;

use consensus::Member;
use glossary::GroupId;

use super::all;
use crate::Message;
use crate::message::kv::{
    Consistency, FunctionId, KvAnswer, KvBody, KvCommand, KvError, KvExpected, KvFound, KvOf, KvQuery,
    KvReply, KvRequest, KvStep, StepAnswer, StepError,
};
use crate::message::kv_range::KvRange;

pub(super) fn messages() -> Vec<Message> {
    let commands = all(command).map(|command| KvBody::Command {
        session: 0x1234_5678_9abc_def0,
        sequence: 300,
        answered_below: 299,
        command,
    });
    let requests = commands.chain(all(query).map(KvBody::Query)).chain(all(body));
    let step = |why| KvError::Step { path: vec![1, 300], key: key(), why };
    let errors = all(error).chain(all(step_error).map(step));
    let answers = all(answer).chain(errors.map(KvAnswer::Failed));
    let answers = answers.chain(all(found).map(|found| KvAnswer::Read { index: 300, found }));
    let mut messages: Vec<_> = requests.map(|body| Message::Kv(KvRequest { request: 10, body })).collect();
    messages.extend(answers.map(|body| Message::KvReply(KvReply { request: 11, body })));
    let request = KvRequest { request: 12, body: KvBody::Query(KvQuery::Exists { key: key() }) };
    messages.push(Message::KvOf(KvOf { group: GroupId(300), request }));
    messages
}

fn key() -> Vec<u8> {
    b"vdisk/1".to_vec()
}

fn range() -> KvRange {
    KvRange { first: Bound::Included(key()), last: Bound::Excluded(b"vdisk/2".to_vec()) }
}

fn read(consistency: Consistency) -> KvBody {
    KvBody::Read { consistency, query: KvQuery::Exists { key: key() } }
}

fn body(last: Option<&KvBody>) -> Option<KvBody> {
    let command = KvCommand::Sequence(Vec::new());
    Some(match last {
        None => KvBody::Command { session: 1, sequence: 1, answered_below: 1, command },
        Some(KvBody::Command { .. }) => KvBody::Query(KvQuery::Get { key: Vec::new() }),
        Some(KvBody::Query(_)) => read(Consistency::Linearizable),
        Some(KvBody::Read { consistency: Consistency::Linearizable, .. }) => read(Consistency::AtLeast(300)),
        Some(KvBody::Read { consistency: Consistency::AtLeast(_), .. }) => read(Consistency::Stale),
        Some(KvBody::Read { consistency: Consistency::Stale, .. }) => return None,
    })
}

fn command(last: Option<&KvCommand>) -> Option<KvCommand> {
    Some(match last {
        // Those that there were at first: frames of theirs don't change.
        None => KvCommand::Sequence(all(step).take(4).collect()),
        Some(KvCommand::Sequence(_)) => {
            KvCommand::Function { function: FunctionId::NAMESPACES, command: vec![1, 2, 3] }
        }
        Some(KvCommand::Function { .. }) => KvCommand::Steps(all(step).skip(4).collect()),
        Some(KvCommand::Steps(_)) => return None,
    })
}

fn step(last: Option<&KvStep>) -> Option<KvStep> {
    Some(match last {
        None => KvStep::Assert { key: key(), value: Some(b"old".to_vec()) },
        Some(KvStep::Assert { .. }) => KvStep::AssertExists { key: key() },
        Some(KvStep::AssertExists { .. }) => KvStep::Set { key: key(), value: b"new".to_vec() },
        Some(KvStep::Set { .. }) => KvStep::Delete { key: key() },
        Some(KvStep::Delete { .. }) => {
            KvStep::AssertRange { range: range(), expected: KvExpected::Keys(vec![key()]) }
        }
        Some(KvStep::AssertRange { expected: KvExpected::Keys(_), .. }) => {
            let expected = KvExpected::Pairs(vec![(key(), vec![8])]);
            KvStep::AssertRange { range: KvRange::ALL, expected }
        }
        Some(KvStep::AssertRange { expected: KvExpected::Pairs(_), .. }) => {
            KvStep::DeletePrefix { prefix: key(), keys_max: 300 }
        }
        Some(KvStep::DeletePrefix { .. }) => {
            KvStep::TestAndSet { key: key(), expected: None, value: Some(b"new".to_vec()) }
        }
        Some(KvStep::TestAndSet { .. }) => KvStep::Replace { key: key(), value: None },
        Some(KvStep::Replace { .. }) => {
            KvStep::Function { function: FunctionId(300), version: 2, command: vec![9] }
        }
        Some(KvStep::Function { .. }) => KvStep::Nested { steps: 300 },
        Some(KvStep::Nested { .. }) => return None,
    })
}

fn query(last: Option<&KvQuery>) -> Option<KvQuery> {
    Some(match last {
        None => KvQuery::Get { key: key() },
        Some(KvQuery::Get { .. }) => KvQuery::Range { prefix: b"vdisk/".to_vec(), from: key(), limit: 1000 },
        Some(KvQuery::Range { .. }) => {
            KvQuery::Function { function: FunctionId::NAMESPACES, query: vec![4, 5] }
        }
        Some(KvQuery::Function { .. }) => KvQuery::Exists { key: key() },
        Some(KvQuery::Exists { .. }) => KvQuery::MultiGet { keys: vec![key(), Vec::new()] },
        Some(KvQuery::MultiGet { .. }) => {
            KvQuery::Page { range: range(), is_reverse: true, keys_only: false, limit: 300 }
        }
        Some(KvQuery::Page { .. }) => KvQuery::Count { range: range() },
        Some(KvQuery::Count { .. }) => KvQuery::Watch { prefix: key(), after: 300 },
        Some(KvQuery::Watch { .. }) => return None,
    })
}

fn answer(last: Option<&KvAnswer>) -> Option<KvAnswer> {
    Some(match last {
        None => KvAnswer::Done(vec![6]),
        Some(KvAnswer::Done(_)) => KvAnswer::Value(Some(b"value".to_vec())),
        Some(KvAnswer::Value(_)) => KvAnswer::Range { pairs: vec![(key(), b"value".to_vec())], more: true },
        Some(KvAnswer::Range { .. } | KvAnswer::Failed(_)) => {
            KvAnswer::Applied { index: 300, answers: all(step_answer).collect() }
        }
        Some(KvAnswer::Applied { .. } | KvAnswer::Read { .. }) => return None,
    })
}

fn step_answer(last: Option<&StepAnswer>) -> Option<StepAnswer> {
    Some(match last {
        None => StepAnswer::Done,
        Some(StepAnswer::Done) => StepAnswer::Value(None),
        Some(StepAnswer::Value(_)) => StepAnswer::Deleted { keys: 300, more: true },
        Some(StepAnswer::Deleted { .. }) => StepAnswer::Function(vec![1]),
        Some(StepAnswer::Function(_)) => return None,
    })
}

fn found(last: Option<&KvFound>) -> Option<KvFound> {
    Some(match last {
        None => KvFound::Value(Some(vec![2])),
        Some(KvFound::Value(_)) => KvFound::Exists(true),
        Some(KvFound::Exists(_)) => KvFound::Values(vec![None, Some(vec![3])]),
        Some(KvFound::Values(_)) => KvFound::Pairs { pairs: vec![(key(), vec![4])], more: false },
        Some(KvFound::Pairs { .. }) => KvFound::Keys { keys: vec![key()], more: true },
        Some(KvFound::Keys { .. }) => KvFound::Count { keys: 300, next: Some(key()) },
        Some(KvFound::Count { .. }) => KvFound::Function(vec![5]),
        Some(KvFound::Function(_)) => KvFound::Changes { through: 301, changes: vec![(key(), None)] },
        Some(KvFound::Changes { .. }) => KvFound::Missed,
        Some(KvFound::Missed) => return None,
    })
}

fn step_error(last: Option<&StepError>) -> Option<StepError> {
    Some(match last {
        None => StepError::Value,
        Some(StepError::Value) => StepError::Missing,
        Some(StepError::Missing) => StepError::Range,
        Some(StepError::Range) => StepError::Refused(vec![7]),
        Some(StepError::Refused(_)) => StepError::NoFunction(FunctionId(2)),
        Some(StepError::NoFunction(_)) => return None,
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
        Some(KvError::NotLeader { leader: Some(_) }) => KvError::NotYet { applied: 300 },
        Some(KvError::NotYet { .. }) => {
            KvError::TooNew { function: FunctionId(2), version: 300, member: Member(3) }
        }
        Some(KvError::TooNew { .. }) => KvError::NotAllowed,
        Some(KvError::NotAllowed) => KvError::NoGroup(GroupId(300)),
        Some(KvError::NoGroup(_)) => KvError::Unknown,
        Some(KvError::Unknown) => KvError::TooManySessions,
        Some(KvError::TooManySessions | KvError::Step { .. }) => return None,
    })
}

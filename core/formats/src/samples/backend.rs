//! Objects client and ASD.

use alloc::vec;
use alloc::vec::Vec;
use glossary::{Generation, NamespaceId};

use super::{all, head, object, osd_identity, payload, sco, tlog};
use crate::Message;
use crate::message::asd::{
    AsdAnswer, AsdAssert, AsdBody, AsdError, AsdReply, AsdRequest, AsdUpdate, Purpose,
};
use crate::message::object::{ObjectAnswer, ObjectBody, ObjectError, ObjectReply, ObjectRequest};
use crate::namespace::HeadChange;

pub(super) fn messages() -> Vec<Message> {
    let (namespace, osd) = (NamespaceId(7), osd_identity());
    let mut messages = Vec::new();
    messages
        .extend(all(object_body).map(|body| Message::Object(ObjectRequest { request: 6, namespace, body })));
    let answers = all(object_answer).chain(all(object_error).map(ObjectAnswer::Failed));
    messages.extend(answers.map(|body| Message::ObjectReply(ObjectReply { request: 7, body })));
    let applies = all(purpose).map(apply).chain(all(asd_body));
    messages.extend(applies.map(|body| Message::Asd(AsdRequest { request: 8, osd, body })));
    let answers = all(asd_answer).chain(all(asd_error).map(AsdAnswer::Failed));
    messages.extend(answers.map(|body| Message::AsdReply(AsdReply { request: 9, body })));
    messages
}

fn object_body(last: Option<&ObjectBody>) -> Option<ObjectBody> {
    let generation = Generation(5);
    Some(match last {
        None => ObjectBody::Put {
            generation,
            name: tlog(),
            present: vec![sco()],
            head: Some(HeadChange { from: None, to: head() }),
            payload: payload(),
        },
        Some(ObjectBody::Put { .. }) => ObjectBody::Get { name: sco(), offset: 4096, length: 8192 },
        Some(ObjectBody::Get { .. }) => ObjectBody::Delete { generation, names: vec![sco(), tlog()] },
        Some(ObjectBody::Delete { .. }) => ObjectBody::Sweep,
        Some(ObjectBody::Sweep) => ObjectBody::Redundancy { name: sco() },
        Some(ObjectBody::Redundancy { .. }) => ObjectBody::LostParts { name: sco() },
        Some(ObjectBody::LostParts { .. }) => return None,
    })
}

fn object_answer(last: Option<&ObjectAnswer>) -> Option<ObjectAnswer> {
    Some(match last {
        None => ObjectAnswer::Stored { object: object(), spare: 2 },
        Some(ObjectAnswer::Stored { .. }) => ObjectAnswer::Data(payload()),
        Some(ObjectAnswer::Data(_)) => ObjectAnswer::Redundancy { spare: 1 },
        Some(ObjectAnswer::Redundancy { .. }) => ObjectAnswer::Done,
        Some(ObjectAnswer::Done) => ObjectAnswer::LostParts(vec![(0, 4096), (1 << 20, 8192)]),
        Some(ObjectAnswer::LostParts(_) | ObjectAnswer::Failed(_)) => return None,
    })
}

fn object_error(last: Option<&ObjectError>) -> Option<ObjectError> {
    Some(match last {
        None => ObjectError::NotFound,
        Some(ObjectError::NotFound) => ObjectError::Fenced,
        Some(ObjectError::Fenced) => ObjectError::Condition,
        Some(ObjectError::Condition) => ObjectError::Unavailable,
        Some(ObjectError::Unavailable) => ObjectError::Full,
        Some(ObjectError::Full) => ObjectError::Lost,
        Some(ObjectError::Lost) => return None,
    })
}

fn apply(purpose: Purpose) -> AsdBody {
    AsdBody::Apply {
        purpose,
        asserts: all(asd_assert).collect(),
        updates: all(asd_update).collect(),
        payload: payload(),
    }
}

fn purpose(last: Option<&Purpose>) -> Option<Purpose> {
    Some(match last {
        None => Purpose::Guest,
        Some(Purpose::Guest) => Purpose::Maintenance,
        Some(Purpose::Maintenance) => Purpose::Freeing,
        Some(Purpose::Freeing) => return None,
    })
}

fn asd_assert(last: Option<&AsdAssert>) -> Option<AsdAssert> {
    Some(match last {
        None => AsdAssert::Present(b"epoch".to_vec()),
        Some(AsdAssert::Present(_)) => AsdAssert::Absent(b"key".to_vec()),
        Some(AsdAssert::Absent(_)) => return None,
    })
}

fn asd_update(last: Option<&AsdUpdate>) -> Option<AsdUpdate> {
    Some(match last {
        None => AsdUpdate::Put { key: b"key".to_vec(), length: 9 },
        Some(AsdUpdate::Put { .. }) => AsdUpdate::Delete { key: b"other".to_vec() },
        Some(AsdUpdate::Delete { .. }) => return None,
    })
}

fn asd_body(last: Option<&AsdBody>) -> Option<AsdBody> {
    let key = b"key".to_vec();
    Some(match last {
        None => apply(Purpose::Guest),
        Some(AsdBody::Apply { .. }) => AsdBody::ReadBlocks { key, first: 3, count: 2 },
        Some(AsdBody::ReadBlocks { .. }) => AsdBody::Get { key },
        Some(AsdBody::Get { .. }) => AsdBody::List { prefix: b"k".to_vec(), from: key, limit: 1000 },
        Some(AsdBody::List { .. }) => return None,
    })
}

fn asd_answer(last: Option<&AsdAnswer>) -> Option<AsdAnswer> {
    Some(match last {
        None => AsdAnswer::Applied,
        Some(AsdAnswer::Applied) => AsdAnswer::Blocks { table: vec![1, 2, 3, 4], payload: payload() },
        Some(AsdAnswer::Blocks { .. }) => AsdAnswer::Value(payload()),
        Some(AsdAnswer::Value(_)) => AsdAnswer::Keys { keys: vec![b"key".to_vec()], more: true },
        Some(AsdAnswer::Keys { .. } | AsdAnswer::Failed(_)) => return None,
    })
}

fn asd_error(last: Option<&AsdError>) -> Option<AsdError> {
    Some(match last {
        None => AsdError::NotFound,
        Some(AsdError::NotFound) => AsdError::Assert(b"key".to_vec()),
        Some(AsdError::Assert(_)) => AsdError::Full,
        Some(AsdError::Full) => AsdError::Damaged,
        Some(AsdError::Damaged) => AsdError::WrongOsd(osd_identity()),
        Some(AsdError::WrongOsd(_)) => AsdError::Unavailable,
        Some(AsdError::Unavailable) => AsdError::Invalid,
        Some(AsdError::Invalid) => AsdError::Stopped,
        Some(AsdError::Stopped) => return None,
    })
}

//! What roles say to each other. Bodies are postcard; payloads travel beside them, uncopied.
//!
//! A request carries a number that the asker chose; the reply repeats it. A message may be lost, doubled or
//! late: what must happen once carries what is needed to know that it did.

pub mod admin;
pub mod asd;
pub mod edge;
pub mod guest;
pub mod kv;
pub mod kv_range;
pub mod member;
pub mod object;
pub mod standing;

use glossary::GroupId;
use serde::{Deserialize, Serialize};

use crate::Payload;

/// Any message between roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Gateway to Edge.
    Guest(guest::GuestRequest),
    /// Edge to gateway.
    GuestReply(guest::GuestReply),
    /// Edge to volume driver.
    Edge(edge::EdgeRequest),
    /// Volume driver to Edge.
    EdgeReply(edge::EdgeReply),
    /// Volume driver to objects client.
    Object(object::ObjectRequest),
    /// Objects client to volume driver.
    ObjectReply(object::ObjectReply),
    /// Objects client to ASD.
    Asd(asd::AsdRequest),
    /// ASD to objects client.
    AsdReply(asd::AsdReply),
    /// Anyone to KV.
    Kv(kv::KvRequest),
    /// KV to whoever asked.
    KvReply(kv::KvReply),
    /// Management to any role.
    Admin(admin::AdminRequest),
    /// Any role to management.
    AdminReply(admin::AdminReply),
    /// A member of the KV's group to another.
    Member(member::MemberMessage),
    /// Anyone to another group of the KV than the root group. It is answered as if it were asked of that.
    KvOf(kv::KvOf),
    /// A member of another group than the root group to another.
    MemberOf(member::MemberOf),
}

impl Message {
    /// A request to a group of the KV.
    pub fn to_kv(group: GroupId, request: kv::KvRequest) -> Message {
        match group {
            GroupId::ROOT => Message::Kv(request),
            group => Message::KvOf(kv::KvOf { group, request }),
        }
    }

    /// The payload that travels beside the body, where the message has one.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Message::Guest(request) => request.body.payload(),
            Message::GuestReply(reply) => reply.body.payload(),
            Message::Edge(request) => request.body.payload(),
            Message::EdgeReply(reply) => reply.body.payload(),
            Message::Object(request) => request.body.payload(),
            Message::ObjectReply(reply) => reply.body.payload(),
            Message::Asd(request) => request.body.payload(),
            Message::AsdReply(reply) => reply.body.payload(),
            Message::Kv(_)
            | Message::KvReply(_)
            | Message::Admin(_)
            | Message::AdminReply(_)
            | Message::Member(_)
            | Message::KvOf(_)
            | Message::MemberOf(_) => None,
        }
    }

    /// The place of the payload, for a decoder that has read the body.
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        match self {
            Message::Guest(request) => request.body.payload_mut(),
            Message::GuestReply(reply) => reply.body.payload_mut(),
            Message::Edge(request) => request.body.payload_mut(),
            Message::EdgeReply(reply) => reply.body.payload_mut(),
            Message::Object(request) => request.body.payload_mut(),
            Message::ObjectReply(reply) => reply.body.payload_mut(),
            Message::Asd(request) => request.body.payload_mut(),
            Message::AsdReply(reply) => reply.body.payload_mut(),
            Message::Kv(_)
            | Message::KvReply(_)
            | Message::Admin(_)
            | Message::AdminReply(_)
            | Message::Member(_)
            | Message::KvOf(_)
            | Message::MemberOf(_) => None,
        }
    }
}

/// Names the variants of a body that carry a payload.
macro_rules! carries_payload {
    ($body:ident: $($pattern:pat => $payload:ident),+) => {
        impl $body {
            pub(super) fn payload(&self) -> Option<&crate::Payload> {
                match self {
                    $($pattern => Some($payload),)+
                    _ => None,
                }
            }

            pub(super) fn payload_mut(&mut self) -> Option<&mut crate::Payload> {
                match self {
                    $($pattern => Some($payload),)+
                    _ => None,
                }
            }
        }
    };
}
use carries_payload;

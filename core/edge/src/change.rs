//! A change of a vDisk between a guest's request and the answer that it is stable.

use formats::Payload;
use formats::message::edge::EdgeBody;
use glossary::CLUSTER_BYTES;

use crate::context::Asker;
use crate::patience::Patience;

/// What a remembered change costs beside its data, in bytes; so that many small ones have a bound too.
const OVERHEAD_BYTES: u64 = 256;

/// A numbered change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number, without gaps among the client's changes.
    pub(crate) number: u64,
    /// The Edge's number for the request; it keeps it in every session.
    pub(crate) request: u64,
    /// The guest that waits for it; `None` once it was answered.
    pub(crate) asker: Option<Asker>,
    pub(crate) body: ChangeBody,
    /// Since when the session's answer to it is awaited; `None` when it came, or when no session is open.
    pub(crate) awaited: Option<Patience>,
    /// It was sent in an earlier session, and this session has not answered it yet: the volume driver may or
    /// may not have it.
    pub(crate) limbo: bool,
    /// It was sent at all.
    pub(crate) sent: bool,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeBody {
    Write {
        offset: u64,
        fua: bool,
        payload: Payload,
    },
    Discard {
        offset: u64,
        length: u64,
        fua: bool,
    },
    /// Nothing: it failed, and its guest knows. Its number has to come all the same, as those after it wait
    /// for it.
    Void,
}

impl Change {
    /// Whether nobody waits for anything of it, but that it becomes stable.
    pub(crate) fn is_settled(&self) -> bool {
        self.asker.is_none() && self.awaited.is_none()
    }

    /// What the volume driver is asked.
    pub(crate) fn to_message(&self) -> EdgeBody {
        let change = self.number;
        match &self.body {
            ChangeBody::Write { offset, fua, payload } => {
                EdgeBody::Write { change, offset: *offset, fua: *fua, payload: payload.clone() }
            }
            ChangeBody::Discard { offset, length, fua } => {
                EdgeBody::Discard { change, offset: *offset, length: *length, fua: *fua }
            }
            ChangeBody::Void => EdgeBody::Discard { change, offset: 0, length: 0, fua: false },
        }
    }
}

impl ChangeBody {
    /// What it counts for, in bytes, while it is remembered.
    pub(crate) fn cost(&self) -> u64 {
        match self {
            ChangeBody::Write { payload, .. } => payload.len() as u64 + OVERHEAD_BYTES,
            ChangeBody::Discard { .. } | ChangeBody::Void => OVERHEAD_BYTES,
        }
    }

    /// Whether it touches a cluster of a range of bytes.
    pub(crate) fn touches(&self, offset: u64, length: u64) -> bool {
        let (own_offset, own_length) = match self {
            ChangeBody::Write { offset, payload, .. } => (*offset, payload.len() as u64),
            ChangeBody::Discard { offset, length, .. } => (*offset, *length),
            ChangeBody::Void => return false,
        };
        let clusters =
            |offset: u64, length: u64| offset / CLUSTER_BYTES..(offset + length).div_ceil(CLUSTER_BYTES);
        let (own, other) = (clusters(own_offset, own_length), clusters(offset, length));
        own.start < other.end && other.start < own.end
    }
}

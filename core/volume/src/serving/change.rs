//! A change on its way into the log.

use alloc::collections::VecDeque;
use formats::Payload;
use glossary::{ClientId, NodeId, SessionId};

/// Whom to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    pub(crate) node: NodeId,
    pub(crate) session: SessionId,
    pub(crate) request: u64,
}

/// A write or discard, in the order of its client's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) reply: ReplyTo,
    pub(crate) client: ClientId,
    pub(crate) number: u64,
    pub(crate) fua: bool,
    pub(crate) kind: ChangeKind,
}

/// What a change still has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A write as it came, in bytes, that touches a part of a cluster.
    PartialWrite { offset: u64, payload: Payload },
    /// A discard as it came, in bytes, that touches a part of a cluster.
    PartialDiscard { offset: u64, length: u64 },
    /// Waits for the old contents of the clusters that it touches in part.
    Merging,
    /// Whole clusters: what is left to log, in order.
    Parts(VecDeque<Part>),
}

/// A piece of a change that goes into the log as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Writes whole clusters, from `done` on.
    Write { address: u64, payload: Payload, done: u64 },
    /// Lets go of whole clusters.
    Discard { address: u64, clusters: u64 },
}

impl ChangeKind {
    pub(crate) fn one(part: Part) -> Self {
        ChangeKind::Parts(VecDeque::from([part]))
    }
}

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
    Parts(Parts),
}

/// A piece of a change that goes into the log as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Writes whole clusters, from `done` on.
    Write { address: u64, payload: Payload, done: u64 },
    /// Lets go of whole clusters.
    Discard { address: u64, clusters: u64 },
}

/// Parts in order. Nearly all changes have one, which takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    first: Option<Part>,
    /// Those behind the first; none when there is no first.
    later: VecDeque<Part>,
}

impl Parts {
    pub(crate) fn first(&self) -> Option<&Part> {
        self.first.as_ref()
    }

    pub(crate) fn first_mut(&mut self) -> Option<&mut Part> {
        self.first.as_mut()
    }

    /// Whether there is one at most.
    pub(crate) fn is_last(&self) -> bool {
        self.later.is_empty()
    }

    pub(crate) fn drop_first(&mut self) {
        self.first = self.later.pop_front();
    }
}

impl From<VecDeque<Part>> for Parts {
    fn from(mut parts: VecDeque<Part>) -> Self {
        Parts { first: parts.pop_front(), later: parts }
    }
}

impl ChangeKind {
    pub(crate) fn one(part: Part) -> Self {
        ChangeKind::Parts(Parts { first: Some(part), later: VecDeque::new() })
    }
}

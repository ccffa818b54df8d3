//! A session with one of the KV's groups: whom to ask, and the numbers of commands.

use alloc::vec::Vec;
use formats::kv_route::KvRoute;
use formats::message::kv::{KvBody, KvCommand};
use glossary::{GroupId, NodeId};

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvSession {
    pub(crate) group: GroupId,
    pub(crate) route: KvRoute,
    session: u64,
    /// A command of it was applied: the group must know it.
    is_begun: bool,
    next_sequence: u64,
}

/// A session as it was, and a command in it.
pub(crate) type Numbers = (u64, u64);

impl KvSession {
    /// With a group that has members at these nodes. `session` was drawn at random for this life.
    pub(crate) fn new(group: GroupId, members: Vec<NodeId>, session: u64) -> Self {
        KvSession { group, route: KvRoute::new(members), session, is_begun: false, next_sequence: 1 }
    }

    /// A command under the next number. `open` are those that have no answer yet.
    pub(crate) fn command(
        &mut self,
        command: KvCommand,
        open: impl Iterator<Item = Numbers>,
    ) -> (Numbers, KvBody) {
        let (session, sequence) = (self.session, self.next_sequence);
        self.next_sequence += 1;
        let open = open.filter_map(|(of, sequence)| (of == session).then_some(sequence)).min();
        let answered_below = if self.is_begun { open.unwrap_or(sequence) } else { 1 };
        ((session, sequence), KvBody::Command { session, sequence, answered_below, command })
    }

    /// Whether a command is of the session as it is.
    pub(crate) fn has(&self, numbers: Option<Numbers>) -> bool {
        numbers.is_some_and(|(session, _)| session == self.session)
    }

    /// A command of it was applied.
    pub(crate) fn begun(&mut self) {
        self.is_begun = true;
    }

    /// The group has forgotten it, as too many others were used since: new commands go on in another. Those that are open
    /// come to their end in the old one.
    pub(crate) fn renew(&mut self) {
        // The golden ratio: as unlikely to be another's as the first was.
        self.session = self.session.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.is_begun = false;
    }
}

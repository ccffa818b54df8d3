//! What a snapshot stands for.

use serde::{Deserialize, Serialize};

use crate::{LogIndex, Membership, Position, Term};

/// What a snapshot stands for: all entries up to an index. The log goes on after it. The data of a snapshot never
/// goes through this crate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMark {
    /// The last entry that is in it.
    pub index: LogIndex,
    /// That entry's term.
    pub term: Term,
    /// Who is a member after that entry.
    pub membership: Membership,
}

impl SnapshotMark {
    /// Where every group begins: the empty state, at index 1 of term 1. Not at 0, so that a member that joins later
    /// learns from a snapshot who the first members were.
    #[must_use]
    pub fn genesis(membership: Membership) -> SnapshotMark {
        SnapshotMark { index: LogIndex(1), term: Term(1), membership }
    }

    /// The identity of its last entry.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { term: self.term, index: self.index }
    }
}

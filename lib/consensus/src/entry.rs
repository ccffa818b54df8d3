//! One entry of the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{LogIndex, MembershipChange, Position, Term};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term in which a leader wrote it.
    pub term: Term,
    /// Its place.
    pub index: LogIndex,
    /// What it says.
    pub body: EntryBody,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryBody {
    /// Nothing: a new leader's first entry, which commits those of earlier terms.
    Nothing,
    /// A command for the caller's state machine; never empty.
    Command(Bytes),
    /// A change of who is a member. It is in force from when it is handed out as committed; a change that is
    /// impossible then changes nothing, at every member alike.
    Membership(MembershipChange),
}

impl Entry {
    /// What an entry weighs besides its command, in bytes: more than its encoding needs.
    pub(crate) const FIXED_BYTES: usize = 48;

    /// Its identity.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { term: self.term, index: self.index }
    }

    /// What it weighs against limits, in bytes: its command, and something for the rest.
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.body {
            EntryBody::Command(command) => Self::FIXED_BYTES + command.len(),
            EntryBody::Nothing | EntryBody::Membership(_) => Self::FIXED_BYTES,
        }
    }
}

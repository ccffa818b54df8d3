//! What checkers see of a member.

use consensus::{Leadership, LogIndex};

/// A member at a moment: members that have applied as much are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How far it has applied the group's log.
    pub applied: LogIndex,
    /// Hash of the state that this gives: pairs, sessions, and how many commands there were.
    pub hash: u64,
    /// What it is in its group.
    pub leadership: Leadership,
}

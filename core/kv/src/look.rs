//! What checkers see of a member.

use consensus::{Leadership, LogIndex};

/// A member at a moment: members that have applied as much are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How far it has applied the group's log.
    pub applied: LogIndex,
    /// Hash of the state that this gives: pairs, sessions, and how many commands there were.
    pub hash: u64,
    /// States of any group that it took over from others, in this life.
    pub installed: u64,
    /// How often another member had something else at the same entry, in this life.
    pub differed: u64,
    /// States of any group that were damaged on its disk, and were given anew by others, in this life.
    pub healed: u64,
    /// Whether no time passes for it, as its group has nothing to do.
    pub is_asleep: bool,
    /// As leader: whether what it will send to each member is beyond what that has.
    pub is_ahead_of_all: bool,
    /// What it is in its group.
    pub leadership: Leadership,
}

//! What a member begins with.

use alloc::vec::Vec;

use crate::{BadRecovery, Entry, HardState, INDEX_MAX, LogIndex, Membership, SnapshotMark, TERM_MAX, Term};

/// What a member begins with: what it finds on its disk, or what a new one starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest that was written, or the default.
    pub hard_state: HardState,
    /// Of the newest snapshot that is whole.
    pub mark: SnapshotMark,
    /// All that was written after that mark, without those that a later [`crate::Append`] replaced.
    pub entries: Vec<Entry>,
}

impl Recovered {
    /// A first member of a new group. All first members must be given the same membership.
    #[must_use]
    pub fn genesis(membership: Membership) -> Recovered {
        let mark = SnapshotMark::genesis(membership);
        let hard_state = HardState { term: mark.term, vote: None, commit: mark.index };
        Recovered { hard_state, mark, entries: Vec::new() }
    }

    /// A member that will be added to a group that runs: it knows nothing and waits for a snapshot.
    #[must_use]
    pub fn joining() -> Recovered {
        Recovered::default()
    }

    /// Checks that it is a log, and brings the commit into it: it may be ahead of entries that were torn off, which
    /// nobody counted on, and behind the snapshot.
    ///
    /// # Errors
    /// Says what is damaged.
    pub fn check(mut self) -> Result<Recovered, BadRecovery> {
        let is_new = self.mark == SnapshotMark::default();
        if is_new && !self.entries.is_empty() || !is_new && !self.mark.membership.is_valid() {
            return Err(BadRecovery::BadMark);
        }
        let mut previous = self.mark.position();
        for entry in &self.entries {
            if entry.index != previous.index.next() || entry.term < previous.term {
                return Err(BadRecovery::Broken(entry.index));
            }
            previous = entry.position();
        }
        if previous.index > INDEX_MAX || self.hard_state.term > TERM_MAX {
            return Err(BadRecovery::OutOfRange);
        }
        if self.hard_state.term < previous.term {
            return Err(BadRecovery::OldHardState { term: self.hard_state.term, log: previous.term });
        }
        self.hard_state.commit = self.hard_state.commit.clamp(self.mark.index, previous.index);
        Ok(self)
    }

    /// The index of the last entry.
    #[must_use]
    pub fn last(&self) -> LogIndex {
        self.entries.last().map_or(self.mark.index, |entry| entry.index)
    }

    /// The term of the last entry.
    #[must_use]
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(self.mark.term, |entry| entry.term)
    }
}

//! The state machine that is replicated: a hash over all it was told.

use consensus::{Entry, EntryBody, LogIndex, SnapshotMark};

use super::rng::fold;

/// A state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) applied: LogIndex,
    pub(crate) hash: u64,
}

impl Machine {
    /// The empty state.
    pub(crate) fn at(mark: &SnapshotMark) -> Machine {
        Machine { applied: mark.index, hash: 0 }
    }

    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.applied = entry.index;
        self.hash = fold(self.hash, &encoded(entry));
    }
}

/// An entry as bytes, to be hashed.
pub(crate) fn encoded(entry: &Entry) -> Vec<u8> {
    let mut bytes = [entry.term.0.to_le_bytes(), entry.index.0.to_le_bytes()].concat();
    match &entry.body {
        EntryBody::Nothing => bytes.push(0),
        EntryBody::Command(command) => {
            bytes.push(1);
            bytes.extend_from_slice(command);
        }
        EntryBody::Membership(change) => bytes.extend(format!("{change:?}").bytes()),
    }
    bytes
}

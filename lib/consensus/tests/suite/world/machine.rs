//! The state machine that is replicated: registers, and a hash over all it was told.

use consensus::{Entry, EntryBody, LogIndex, SnapshotMark};

use super::registers::{self, Answer, Registers};
use super::rng::fold;

/// A state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) applied: LogIndex,
    pub(crate) hash: u64,
    pub(crate) registers: Registers,
}

impl Machine {
    /// The empty state.
    pub(crate) fn at(mark: &SnapshotMark) -> Machine {
        Machine { applied: mark.index, hash: 0, registers: Registers::new() }
    }

    /// Applies an entry. The answer is the command's.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Option<Answer> {
        self.applied = entry.index;
        self.hash = fold(self.hash, &encoded(entry));
        match &entry.body {
            EntryBody::Command(command) => Some(registers::apply(&mut self.registers, command)),
            EntryBody::Nothing | EntryBody::Membership(_) => None,
        }
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

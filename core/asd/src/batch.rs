//! A batch in the making: what was asked for, decided in order against what it leads to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::asd_record::RecordKind;
use formats::message::asd::{AsdAnswer, AsdAssert, AsdError};
use glossary::NodeId;

use crate::compaction::Move;
use crate::index::{Index, Key, Slot};
use crate::queue::{Change, Waiting, assert_key};

/// An answer that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) to: NodeId,
    pub(crate) request: u64,
    pub(crate) body: AsdAnswer,
}

/// What a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    length: u32,
    crc: u32,
    damaged: bool,
}

/// What a batch holds, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Values that guests store.
    pub(crate) puts: u64,
    /// Keys that guests remove.
    pub(crate) deletes: u64,
    /// Moves of compaction that were decided, taken or not.
    pub(crate) moves: usize,
    /// The round of compaction that they are of.
    pub(crate) round: u64,
}

/// Records of a batch, and the answers that its sync will allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) changes: Vec<Change>,
    pub(crate) answers: Vec<Answer>,
    /// Bytes of the records.
    pub(crate) bytes: u64,
    pub(crate) tally: Tally,
    /// What keys will have that the batch changes.
    will_be: BTreeMap<Key, Option<Stored>>,
}

impl Draft {
    /// Decides an Apply: its records, which are none where everything is as wanted already.
    pub(crate) fn decide(&self, index: &Index, waiting: &Waiting) -> Result<Vec<Change>, AsdError> {
        for assert in &waiting.asserts {
            let wanted = matches!(assert, AsdAssert::Present(_));
            let key = assert_key(assert);
            if self.state(index, key).is_some() != wanted {
                return Err(AsdError::Assert(key.to_vec()));
            }
        }
        let mut own: BTreeMap<&[u8], Option<Stored>> = BTreeMap::new();
        let mut changes = Vec::new();
        for update in &waiting.updates {
            let key = &*update.key;
            let before = own.get(key).copied().unwrap_or_else(|| self.state(index, key));
            match (update.kind, before) {
                (RecordKind::Delete, None) => continue,
                (RecordKind::Put, Some(old)) if (old.length, old.crc) != (update.length, update.crc) => {
                    // A key is never put with two contents (F4).
                    return Err(AsdError::Invalid);
                }
                // A damaged one is stored again: that heals it.
                (RecordKind::Put, Some(old)) if !old.damaged => continue,
                _ => {}
            }
            own.insert(key, after(update));
            changes.push(update.clone());
        }
        Ok(changes)
    }

    /// Takes in what was decided.
    pub(crate) fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.will_be.insert(change.key.clone(), after(&change));
            self.bytes += change.record_bytes();
            match change.kind {
                RecordKind::Put => self.tally.puts += 1,
                RecordKind::Delete | RecordKind::Lost => self.tally.deletes += 1,
            }
            self.changes.push(change);
        }
    }

    /// Takes a record that compaction moves, unless its key has changed since it was read: then the old
    /// record is dead, and its copy would bring back what was deleted.
    pub(crate) fn take_move(&mut self, index: &Index, moved: Move) -> bool {
        self.tally.moves += 1;
        let place = index.get(&moved.change.key).map(|slot| (slot.segment(), slot.position()));
        let is_current = place == Some(moved.from) && !self.will_be.contains_key(&moved.change.key);
        if is_current {
            self.bytes += moved.change.record_bytes();
            self.changes.push(moved.change);
        }
        is_current
    }

    fn state(&self, index: &Index, key: &[u8]) -> Option<Stored> {
        let now = || match index.get(key) {
            Some(Slot::Value(v)) => Some(Stored { length: v.length, crc: v.crc, damaged: v.damaged }),
            Some(Slot::Tombstone(_)) | None => None,
        };
        self.will_be.get(key).copied().unwrap_or_else(now)
    }
}

fn after(change: &Change) -> Option<Stored> {
    let stored = Stored { length: change.length, crc: change.crc, damaged: false };
    (change.kind == RecordKind::Put).then_some(stored)
}

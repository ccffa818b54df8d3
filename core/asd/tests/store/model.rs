//! What an ASD should do, in a few lines: a map, and Applies one after another.

use std::collections::BTreeMap;

use formats::message::asd::{AsdAnswer, AsdAssert, AsdError};

pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// An Apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) asserts: Vec<AsdAssert>,
    pub(crate) updates: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Change {
    /// What it leads to and what is answered.
    pub(crate) fn apply(&self, before: &Map) -> (Map, AsdAnswer) {
        for assert in &self.asserts {
            let (key, wanted) = match assert {
                AsdAssert::Present(key) => (key, true),
                AsdAssert::Absent(key) => (key, false),
            };
            if before.contains_key(key) != wanted {
                return (before.clone(), AsdAnswer::Failed(AsdError::Assert(key.clone())));
            }
        }
        let mut after = before.clone();
        for (key, value) in &self.updates {
            match value {
                None => {
                    after.remove(key);
                }
                Some(value) if after.get(key).is_some_and(|old| old != value) => {
                    return (before.clone(), AsdAnswer::Failed(AsdError::Invalid));
                }
                Some(value) => {
                    after.insert(key.clone(), value.clone());
                }
            }
        }
        (after, AsdAnswer::Applied)
    }
}

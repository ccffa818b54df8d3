//! Tables: pairs of bytes in the order of their keys, changed all or nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Bound;

use crate::DiskOutcome;

/// A change of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableChange {
    /// The key has this value from now on.
    Set {
        /// Which.
        key: Bytes,
        /// What.
        value: Bytes,
    },
    /// The key has no value any more; one that has none is as good as deleted.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// No key that begins so has a value any more.
    DeletePrefix {
        /// How they begin; with nothing all do.
        prefix: Bytes,
    },
}

/// What a table holds, in memory: what the tables of every executor mean, and those of the simulator and of tests are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pairs: BTreeMap<Bytes, Bytes>,
    bytes: u64,
}

impl Table {
    /// Makes a change.
    pub fn change(&mut self, change: &TableChange) {
        match change {
            TableChange::Set { key, value } => self.set(key, value),
            TableChange::Delete { key } => self.delete(key),
            TableChange::DeletePrefix { prefix } => {
                let from = (Bound::Included(prefix.as_ref()), Bound::Unbounded);
                let meant = self.pairs.range::<[u8], _>(from).map(|(key, _)| key);
                let meant: Vec<_> = meant.take_while(|key| key.starts_with(prefix)).cloned().collect();
                meant.iter().for_each(|key| self.delete(key));
            }
        }
    }

    fn set(&mut self, key: &Bytes, value: &Bytes) {
        self.delete(key);
        self.bytes += (key.len() + value.len()) as u64;
        self.pairs.insert(key.clone(), value.clone());
    }

    fn delete(&mut self, key: &Bytes) {
        if let Some(value) = self.pairs.remove(key) {
            self.bytes -= (key.len() + value.len()) as u64;
        }
    }

    /// What [`crate::DiskOperation::ReadOn`] completes with.
    pub fn read_on(&self, after: Option<&[u8]>, bytes_max: u64) -> DiskOutcome {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.pairs.range::<[u8], _>((from, Bound::Unbounded));
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while pairs.is_empty() || bytes < bytes_max {
            let Some((key, value)) = rest.next() else { break };
            bytes += (key.len() + value.len()) as u64;
            pairs.push((key.clone(), value.clone()));
        }
        DiskOutcome::Pairs { pairs, is_all: rest.next().is_none() }
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&Bytes, &Bytes)> {
        self.pairs.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn set(key: &'static str, value: &'static str) -> TableChange {
        TableChange::Set { key: bytes(key), value: bytes(value) }
    }

    #[test]
    fn a_prefix_takes_what_begins_so_and_nothing_else() {
        let mut table = Table::default();
        for key in ["a", "ab", "abc", "ac", "b"] {
            table.change(&set(key, "value"));
        }
        table.change(&set("ab", "v"));
        assert_eq!(table.bytes(), 9 + 4 * 5 + 1);
        table.change(&TableChange::DeletePrefix { prefix: bytes("ab") });
        table.change(&TableChange::Delete { key: bytes("b") });
        table.change(&TableChange::Delete { key: bytes("none") });
        let keys: Vec<_> = table.pairs().map(|(key, _)| key.clone()).collect();
        assert_eq!((keys, table.bytes()), (vec![bytes("a"), bytes("ac")], 13));
        table.change(&TableChange::DeletePrefix { prefix: Bytes::new() });
        assert_eq!(table, Table::default());
    }

    #[test]
    fn reading_on_gives_at_least_one_pair_and_says_when_none_follows() {
        let mut table = Table::default();
        for (key, value) in [("a", "1"), ("b", "22"), ("c", "")] {
            table.change(&set(key, value));
        }
        let read = |after: Option<&[u8]>, bytes_max| {
            let DiskOutcome::Pairs { pairs, is_all } = table.read_on(after, bytes_max) else {
                panic!("a table gives pairs")
            };
            (pairs.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), is_all)
        };
        assert_eq!(read(None, 0), (vec![bytes("a")], false));
        assert_eq!(read(None, 3), (vec![bytes("a"), bytes("b")], false));
        assert_eq!(read(Some(b"a"), 100), (vec![bytes("b"), bytes("c")], true));
        assert_eq!(read(Some(b"bb"), 1), (vec![bytes("c")], true));
        assert_eq!(read(Some(b"c"), 1), (vec![], true));
    }
}

//! The ordered map in memory, of which a snapshot can be read page by page while it changes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::message::kv_range::KvRange;
use step::OrderedMap;

use crate::hash;
use crate::overlay::{self, Changes, Pair};

/// Pairs in order. While it is frozen, the value that a key had is kept when it first changes, until the
/// snapshot has passed it: a snapshot costs the changes that are made while it is written, and no copy of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of all keys and values.
    bytes: u64,
    /// The sum of all pairs' hashes.
    hash: u64,
    frozen: Option<Frozen>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frozen {
    /// The last key that was read.
    passed: Option<Vec<u8>>,
    /// What keys beyond had when the map was frozen, of those that changed since.
    before: Changes,
}

impl Map {
    /// How many keys.
    pub(crate) fn len(&self) -> u64 {
        self.pairs.len() as u64
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum of all pairs' hashes: the same pairs, the same hash, however they came about.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// All pairs, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        self.pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// The pairs of a range, in order.
    pub(crate) fn range(&self, range: &KvRange) -> impl DoubleEndedIterator<Item = Pair<'_>> {
        let pairs = (!range.is_empty()).then(|| self.pairs.range::<[u8], _>((range.first(), range.last())));
        pairs.into_iter().flatten().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Takes a pair out of a snapshot.
    pub(crate) fn restore(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.put(key, value);
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Option<Vec<u8>> {
        let key_bytes = key.len() as u64;
        self.bytes += key_bytes + value.len() as u64;
        self.hash = self.hash.wrapping_add(hash::pair(&key, &value));
        if let Some(before) = self.pairs.get(&key) {
            self.bytes -= key_bytes + before.len() as u64;
            self.hash = self.hash.wrapping_sub(hash::pair(&key, before));
        }
        self.pairs.insert(key, value)
    }

    fn remove(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let before = self.pairs.remove(key);
        if let Some(before) = &before {
            self.bytes -= (key.len() + before.len()) as u64;
            self.hash = self.hash.wrapping_sub(hash::pair(key, before));
        }
        before
    }

    /// Keeps the pairs as they are now for [`Map::next_frozen`].
    pub(crate) fn freeze(&mut self) {
        assert!(self.frozen.is_none(), "one snapshot is read at a time");
        self.frozen = Some(Frozen::default());
    }

    /// Whether pairs are kept for a snapshot.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Keeps no longer.
    pub(crate) fn thaw(&mut self) {
        self.frozen = None;
    }

    /// The next pairs of those that were there when the map was frozen: at least one, and no further one that
    /// begins beyond `bytes`. None left: empty.
    pub(crate) fn next_frozen(&mut self, bytes: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let frozen = self.frozen.as_mut().expect("the map is frozen");
        let (mut page, mut size) = (Vec::new(), 0);
        while size < bytes {
            let passed = page.last().map(|(key, _): &(Vec<u8>, _)| key).or(frozen.passed.as_ref());
            let from = passed.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
            let live = |from: Bound<&[u8]>| first_of(&self.pairs, from);
            let Some((key, value)) = overlay::first(live, &frozen.before, |_| None, from) else { break };
            size += key.len() + value.len();
            page.push((key.to_vec(), value.to_vec()));
        }
        match page.last() {
            Some((key, _)) => {
                // Nobody asks again for what was passed.
                frozen.before = frozen.before.split_off(key);
                frozen.before.remove(key);
                frozen.passed = Some(key.clone());
            }
            None => frozen.before.clear(),
        }
        page
    }

    fn change(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        let before = match value {
            Some(value) => self.put(key.to_vec(), value),
            None => self.remove(key),
        };
        if let Some(frozen) = &mut self.frozen
            && frozen.passed.as_deref().is_none_or(|passed| passed < key)
        {
            frozen.before.entry(key.to_vec()).or_insert(before);
        }
    }
}

impl OrderedMap for Map {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs.get(key).map(Vec::as_slice)
    }

    fn first(&self, from: Bound<&[u8]>) -> Option<(&[u8], &[u8])> {
        first_of(&self.pairs, from)
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        self.change(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.change(key, None);
    }
}

fn first_of<'a>(pairs: &'a BTreeMap<Vec<u8>, Vec<u8>>, from: Bound<&[u8]>) -> Option<Pair<'a>> {
    let mut range = pairs.range::<[u8], _>((from, Bound::Unbounded));
    range.next().map(|(key, value)| (key.as_slice(), value.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The hash is that of the pairs, whatever changes led to them.
        #[test]
        fn the_hash_tells_what_is_there_and_not_how_it_came(
            changes in proptest::collection::vec((0_u8..6, any::<Option<u8>>()), 0..40),
        ) {
            let (mut map, mut anew) = (Map::default(), Map::default());
            let change = |map: &mut Map, key: u8, value: Option<u8>| {
                map.change(&[key], value.map(|value| alloc::vec![value]));
            };
            changes.iter().for_each(|(key, value)| change(&mut map, *key, *value));
            for (key, value) in map.pairs() {
                anew.restore(key.to_vec(), value.to_vec());
            }
            prop_assert_eq!((map.hash(), map.bytes()), (anew.hash(), anew.bytes()));
            let before = map.hash();
            change(&mut map, 7, Some(1));
            prop_assert_ne!(map.hash(), before);
        }

        /// Whatever changes while a snapshot is read, it holds what was there when it began.
        #[test]
        fn a_frozen_map_reads_as_it_was(
            start in proptest::collection::btree_map(0_u8..40, any::<u8>(), 0..30),
            changes in proptest::collection::vec((0_u8..40, any::<Option<u8>>()), 0..60),
            page in 1_usize..12,
        ) {
            let mut map = Map::default();
            start.iter().for_each(|(key, value)| map.set(&[*key], alloc::vec![*value]));
            map.freeze();
            let (mut read, mut changes) = (Vec::new(), changes.into_iter());
            loop {
                for (key, value) in changes.by_ref().take(5) {
                    map.change(&[key], value.map(|value| alloc::vec![value]));
                }
                let pairs = map.next_frozen(page);
                if pairs.is_empty() {
                    break;
                }
                read.extend(pairs);
            }
            let expected: Vec<_> =
                start.iter().map(|(key, value)| (alloc::vec![*key], alloc::vec![*value])).collect();
            prop_assert_eq!(read, expected);
        }
    }
}

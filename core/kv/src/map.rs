//! The ordered map in memory, which can be read page by page as it was while it changes.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::kv_table::{Row, RowKey, encode_row};
use formats::message::kv_range::KvRange;
use step::OrderedMap;

use crate::changed::Changed;
use crate::hash;
use crate::overlay::{self, Changes, Pair};
use crate::rows::Written;

/// How much of a checkpoint is gathered in one step: so many rows, and no further one once they have so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Slice {
    /// No end.
    pub(crate) const ALL: Slice = Slice { rows: usize::MAX, bytes: usize::MAX };

    pub(crate) fn is_used_up(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    fn use_up(&mut self, bytes: usize) {
        self.rows -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// How far a checkpoint under way was gathered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Gathering {
    /// It has all pairs, not only what changed.
    is_whole: bool,
    /// Up to which key.
    gathered: Option<Vec<u8>>,
    /// What keys behind it had when the checkpoint began, of those that changed since.
    kept: Changes,
}

impl Gathering {
    /// A key that the checkpoint writes changes.
    fn keep(&mut self, key: &[u8], before: &Option<Vec<u8>>) {
        let is_behind = self.gathered.as_deref().is_none_or(|gathered| key > gathered);
        if is_behind && !self.kept.contains_key(key) {
            self.kept.insert(key.to_vec(), before.clone());
        }
    }
}

/// Pairs in order. While it is frozen, the value that a key had is kept when it first changes: that costs the changes that
/// are made meanwhile, and no copy of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of all keys and values.
    bytes: u64,
    /// The sum of all pairs' hashes.
    hash: u64,
    /// Since the last checkpoint.
    changed: Changed<Vec<u8>>,
    /// Where a checkpoint under way is not gathered whole yet.
    gathering: Option<Gathering>,
    /// A planted mistake: what changes while a checkpoint is gathered is gathered as it is then.
    pub(crate) keeps_nothing: bool,
    /// What keys had when the map was frozen, of those that changed since.
    frozen: Option<Changes>,
    /// Bytes of that.
    frozen_bytes: u64,
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

    /// Takes a pair that the table has.
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

    /// Keeps the pairs as they are now for [`Map::frozen_after`].
    pub(crate) fn freeze(&mut self) {
        (self.frozen, self.frozen_bytes) = (Some(Changes::new()), 0);
    }

    /// Whether pairs are kept, and bytes of those that changed since.
    pub(crate) fn frozen_bytes(&self) -> Option<u64> {
        self.frozen.is_some().then_some(self.frozen_bytes)
    }

    /// Keeps no longer.
    pub(crate) fn thaw(&mut self) {
        (self.frozen, self.frozen_bytes) = (None, 0);
    }

    /// Pairs behind a key of those that were there when the map was frozen: at least one, and no further one once they
    /// have so many bytes. None left: empty.
    pub(crate) fn frozen_after(&self, after: Option<&[u8]>, bytes: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
        let before = self.frozen.as_ref().expect("the map is frozen");
        let (mut page, mut size) = (Vec::new(), 0);
        while page.is_empty() || size < bytes {
            let passed = page.last().map(|(key, _): &(Vec<u8>, _)| key.as_slice()).or(after);
            let from = passed.map_or(Bound::Unbounded, Bound::Excluded);
            let live = |from: Bound<&[u8]>| first_of(&self.pairs, from);
            let Some((key, value)) = overlay::first(live, before, |_| None, from) else { break };
            size += (key.len() + value.len()) as u64;
            page.push((key.to_vec(), value.to_vec()));
        }
        page
    }

    /// A checkpoint begins: what changed since the last one is gathered, or all, as it is now.
    pub(crate) fn begin_checkpoint(&mut self, is_whole: bool) {
        let has_changed = self.changed.begin().next().is_some();
        let is_any = if is_whole { !self.pairs.is_empty() } else { has_changed };
        self.gathering = is_any.then(|| Gathering { is_whole, ..Gathering::default() });
    }

    /// Rows of the checkpoint under way that were not gathered yet, as far as the slice goes. Whether none is left.
    pub(crate) fn gather(&mut self, slice: &mut Slice, rows: &mut Vec<Written>) -> bool {
        let is_left = match &self.gathering {
            None => return true,
            Some(Gathering { is_whole: true, .. }) => self.gather_pairs(slice, rows),
            Some(_) => self.gather_changes(slice, rows),
        };
        if !is_left {
            self.gathering = None;
        }
        !is_left
    }

    /// The same of a checkpoint that has all pairs. Whether some are left.
    fn gather_pairs(&mut self, slice: &mut Slice, rows: &mut Vec<Written>) -> bool {
        let Some(gathering) = &mut self.gathering else { return false };
        loop {
            let from = gathering.gathered.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let live = |from: Bound<&[u8]>| first_of(&self.pairs, from);
            let Some((key, value)) = overlay::first(live, &gathering.kept, |_| None, from) else {
                return false;
            };
            if slice.is_used_up() {
                break;
            }
            slice.use_up(key.len() + value.len());
            rows.push(row(key, Some(value.to_vec())));
            gathering.gathered = Some(key.to_vec());
        }
        if let Some(gathered) = &gathering.gathered {
            gathering.kept = gathering.kept.split_off(gathered);
        }
        true
    }

    /// The same of one that has what changed.
    fn gather_changes(&mut self, slice: &mut Slice, rows: &mut Vec<Written>) -> bool {
        let Some(gathering) = &mut self.gathering else { return false };
        let mut last = None;
        for key in self.changed.writing_after::<[u8]>(gathering.gathered.as_deref()) {
            if slice.is_used_up() {
                break;
            }
            let value = match gathering.kept.remove(key) {
                Some(kept) => kept,
                None => self.pairs.get(key).cloned(),
            };
            last = Some(key);
            slice.use_up(key.len() + value.as_ref().map_or(0, Vec::len));
            rows.push(row(key, value));
        }
        gathering.gathered = last.cloned().or(gathering.gathered.take());
        self.changed.writing_after::<[u8]>(gathering.gathered.as_deref()).next().is_some()
    }

    /// It is durable, or came to nothing.
    pub(crate) fn end_checkpoint(&mut self, is_durable: bool) {
        self.gathering = None;
        if is_durable { self.changed.end() } else { self.changed.give_up() }
    }

    /// Keys that changed since the last checkpoint, and bytes of them, at most.
    pub(crate) fn changed(&self) -> (u64, u64) {
        self.changed.weight()
    }

    fn change(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        let (bytes, is_there) = (key.len() + value.as_ref().map_or(0, Vec::len), value.is_some());
        let before = match value {
            Some(value) => self.put(key.to_vec(), value),
            None => self.remove(key),
        };
        let key = key.to_vec();
        self.changed.note(&key, bytes, before.is_some(), is_there);
        if let Some(gathering) = &mut self.gathering
            && (gathering.is_whole || self.changed.is_writing(&key))
            && !self.keeps_nothing
        {
            gathering.keep(&key, &before);
        }
        if let Some(frozen) = &mut self.frozen
            && let Entry::Vacant(entry) = frozen.entry(key)
        {
            self.frozen_bytes += (entry.key().len() + before.as_ref().map_or(0, Vec::len)) as u64;
            entry.insert(before);
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

fn row(key: &[u8], value: Option<Vec<u8>>) -> Written {
    match value {
        Some(value) => {
            let (key, value) = encode_row(&Row::Pair(key.to_vec(), value));
            (key, Some(value))
        }
        None => (RowKey::Pair(key).encode(), None),
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

        /// Whatever changes while a frozen map is read, it gives what was there when it began.
        #[test]
        fn a_frozen_map_reads_as_it_was(
            start in proptest::collection::btree_map(0_u8..40, any::<u8>(), 0..30),
            changes in proptest::collection::vec((0_u8..40, any::<Option<u8>>()), 0..60),
            page in 1_u64..12,
        ) {
            let mut map = Map::default();
            start.iter().for_each(|(key, value)| map.set(&[*key], alloc::vec![*value]));
            map.freeze();
            let (mut read, mut changes) = (Vec::<(Vec<u8>, Vec<u8>)>::new(), changes.into_iter());
            loop {
                for (key, value) in changes.by_ref().take(5) {
                    map.change(&[key], value.map(|value| alloc::vec![value]));
                }
                let pairs = map.frozen_after(read.last().map(|(key, _)| key.as_slice()), page);
                if pairs.is_empty() {
                    break;
                }
                read.extend(pairs);
            }
            let expected: Vec<_> =
                start.iter().map(|(key, value)| (alloc::vec![*key], alloc::vec![*value])).collect();
            prop_assert_eq!(read, expected);
        }

        /// Whatever changes while a checkpoint is gathered, a table that is told its rows has what was there when it began.
        #[test]
        fn a_checkpoint_is_of_one_moment(
            rounds in proptest::collection::vec(
                (proptest::collection::vec((0_u8..40, any::<Option<u8>>()), 0..60), any::<bool>(), any::<bool>()),
                1..5,
            ),
            rows in 1_usize..6,
        ) {
            let (mut map, mut table) = (Map::default(), BTreeMap::new());
            let change = |map: &mut Map, (key, value): (u8, Option<u8>)| {
                map.change(&[key], value.map(|value| alloc::vec![value]));
            };
            for (changes, is_durable, is_whole) in rounds.into_iter().chain([(Vec::new(), true, false)]) {
                let (before, meanwhile) = changes.split_at(changes.len() / 2);
                before.iter().for_each(|one| change(&mut map, *one));
                let then: BTreeMap<_, _> =
                    map.pairs().map(|(key, value)| row(key, Some(value.to_vec()))).collect();
                map.begin_checkpoint(is_whole);
                let (mut gathered, mut meanwhile) = (Vec::new(), meanwhile.iter());
                let mut had = 0;
                while !map.gather(&mut Slice { rows, bytes: 4 }, &mut gathered) {
                    prop_assert!((1..=rows).contains(&(gathered.len() - had)), "each step does a part");
                    had = gathered.len();
                    meanwhile.by_ref().take(3).for_each(|one| change(&mut map, *one));
                }
                meanwhile.for_each(|one| change(&mut map, *one));
                map.end_checkpoint(is_durable);
                prop_assert!(gathered.len() - had <= rows);
                if is_durable {
                    if is_whole {
                        table.clear();
                    }
                    for (key, value) in gathered {
                        match value {
                            Some(value) => drop(table.insert(key, Some(value))),
                            None => drop(table.remove(&key)),
                        }
                    }
                    prop_assert_eq!(&table, &then);
                }
            }
        }
    }
}

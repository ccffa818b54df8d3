//! A command in the making: it sees what it changed, and the map changes only when all of it went well.

use alloc::vec::Vec;
use core::ops::Bound;
use formats::message::kv::KvError;
use step::OrderedMap;

use crate::emptied::{self, Emptied};
use crate::limits;
use crate::overlay::{self, Changes};

/// Changes over a map. Dropping it undoes them.
pub(crate) struct Transaction<'a> {
    base: &'a dyn OrderedMap,
    changes: Changes,
    emptied: Emptied,
    broken: Option<KvError>,
}

impl<'a> Transaction<'a> {
    /// Nothing changed yet.
    pub(crate) fn new(base: &'a dyn OrderedMap) -> Self {
        Transaction { base, changes: Changes::new(), emptied: Emptied::default(), broken: None }
    }

    /// Notes that nothing is before the first pair from here on, so that no later look passes what is gone there.
    pub(crate) fn note_first(&mut self, from: Bound<&[u8]>) {
        let start = match from {
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => emptied::behind(key),
            Bound::Unbounded => Vec::new(),
        };
        let first = self.first(from).map(|(key, _)| key.to_vec());
        self.emptied.insert(&start, first.as_deref());
    }

    /// What was changed, unless a bound was broken on the way.
    pub(crate) fn finish(self) -> Result<Changes, KvError> {
        self.broken.map_or(Ok(self.changes), Err)
    }
}

impl OrderedMap for Transaction<'_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(changed) => changed.as_deref(),
            None => self.base.get(key),
        }
    }

    fn first(&self, from: Bound<&[u8]>) -> Option<(&[u8], &[u8])> {
        overlay::first(|from| self.base.first(from), &self.changes, |key| self.emptied.end_of(key), from)
    }

    fn set(&mut self, key: &[u8], value: Vec<u8>) {
        // A function may make a pair that no sequence could have set.
        if let Err(error) = limits::check_key(key).and_then(|()| limits::check_value(&value)) {
            self.broken.get_or_insert(error);
        }
        self.emptied.fill(key);
        self.changes.insert(key.to_vec(), Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.changes.insert(key.to_vec(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::Map;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_transaction_reads_as_if_its_changes_were_made(
            start in proptest::collection::btree_map(0_u8..20, any::<u8>(), 0..15),
            changes in proptest::collection::vec((0_u8..20, any::<Option<u8>>()), 0..15),
        ) {
            let mut map = Map::default();
            start.iter().for_each(|(key, value)| map.set(&[*key], vec![*value]));
            let mut model: BTreeMap<u8, u8> = start;
            let mut transaction = Transaction::new(&map);
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        transaction.set(&[key], vec![value]);
                        model.insert(key, value);
                    }
                    None => {
                        transaction.delete(&[key]);
                        model.remove(&key);
                    }
                }
                if key % 3 == 0 {
                    transaction.note_first(Bound::Included(&[key / 2]));
                }
            }
            for key in 0..20 {
                let one = |(key, value): (&u8, &u8)| (vec![*key], vec![*value]);
                let pair = |pair: Option<(&[u8], &[u8])>| pair.map(|(key, value)| (key.to_vec(), value.to_vec()));
                prop_assert_eq!(transaction.get(&[key]), model.get(&key).map(core::slice::from_ref));
                prop_assert_eq!(pair(transaction.first(Bound::Included(&[key]))), model.range(key..).next().map(one));
                let after = model.range(key + 1..).next().map(one);
                prop_assert_eq!(pair(transaction.first(Bound::Excluded(&[key]))), after);
            }
            prop_assert!(transaction.finish().is_ok());
        }
    }

    /// Counts how often the first pair from somewhere on is looked for.
    struct Counting(Map, core::cell::Cell<usize>);

    impl OrderedMap for Counting {
        fn get(&self, key: &[u8]) -> Option<&[u8]> {
            self.0.get(key)
        }

        fn first(&self, from: Bound<&[u8]>) -> Option<(&[u8], &[u8])> {
            self.1.set(self.1.get() + 1);
            self.0.first(from)
        }

        fn set(&mut self, key: &[u8], value: Vec<u8>) {
            self.0.set(key, value);
        }

        fn delete(&mut self, key: &[u8]) {
            self.0.delete(key);
        }
    }

    #[test]
    fn what_is_gone_is_passed_once() {
        const KEYS: u16 = 1000;
        let mut map = Counting(Map::default(), core::cell::Cell::new(0));
        (0..KEYS).for_each(|key| map.set(&key.to_be_bytes(), vec![]));
        let mut transaction = Transaction::new(&map);
        (0..KEYS).for_each(|key| transaction.delete(&key.to_be_bytes()));
        for key in 0..KEYS {
            transaction.note_first(Bound::Unbounded);
            assert_eq!(transaction.first(Bound::Unbounded), None);
            transaction.set(&key.to_be_bytes(), vec![]);
            assert!(transaction.first(Bound::Unbounded).is_some());
            transaction.delete(&key.to_be_bytes());
        }
        let looks = map.1.get();
        assert!(looks < 10 * usize::from(KEYS), "{looks} looks");
    }

    #[test]
    fn a_pair_beyond_the_bounds_breaks_it() {
        let map = Map::default();
        let mut transaction = Transaction::new(&map);
        transaction.set(&[0; limits::MAX_KEY_BYTES + 1], vec![]);
        assert!(matches!(transaction.finish(), Err(KvError::TooLarge(_))));
    }
}

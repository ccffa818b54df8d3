//! Which keys changed since the last checkpoint: what the next one writes.

use alloc::collections::BTreeMap;
use core::borrow::Borrow;
use core::ops::Bound;

/// Keys, and whether the table has them.
#[derive(Clone, Debug)]
pub(crate) struct Changed<K> {
    now: BTreeMap<K, bool>,
    /// Bytes that were changed, at most.
    bytes: u64,
    /// What a checkpoint under way writes.
    writing: BTreeMap<K, bool>,
    writing_bytes: u64,
}

impl<K> Default for Changed<K> {
    fn default() -> Self {
        Changed { now: BTreeMap::new(), bytes: 0, writing: BTreeMap::new(), writing_bytes: 0 }
    }
}

/// What was changed is no part of what there is.
impl<K> PartialEq for Changed<K> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<K> Eq for Changed<K> {}

impl<K: Ord + Clone> Changed<K> {
    /// A key of so many bytes, its value included, was there and is there now, or not.
    pub(crate) fn note(&mut self, key: &K, bytes: usize, was_there: bool, is_there: bool) {
        match self.now.get(key) {
            // It came and went: the table never heard of it.
            Some(false) if !is_there => drop(self.now.remove(key)),
            Some(_) => {}
            None if was_there || is_there => drop(self.now.insert(key.clone(), was_there)),
            None => {}
        }
        self.bytes += bytes as u64;
    }

    /// What the checkpoint that begins now writes: keys that changed.
    pub(crate) fn begin(&mut self) -> impl Iterator<Item = &K> {
        self.writing = core::mem::take(&mut self.now);
        self.writing_bytes = core::mem::take(&mut self.bytes);
        self.writing.keys()
    }

    /// Whether the checkpoint under way writes a key.
    pub(crate) fn is_writing<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.writing.contains_key(key)
    }

    /// The keys behind one, or all, that the checkpoint under way writes, in order.
    pub(crate) fn writing_after<Q: Ord + ?Sized>(&self, after: Option<&Q>) -> impl Iterator<Item = &K>
    where
        K: Borrow<Q>,
    {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.writing.range::<Q, _>((from, Bound::Unbounded)).map(|(key, _)| key)
    }

    /// It is durable.
    pub(crate) fn end(&mut self) {
        self.writing.clear();
        self.writing_bytes = 0;
    }

    /// It came to nothing: the next one writes what it had, too.
    pub(crate) fn give_up(&mut self) {
        self.bytes += core::mem::take(&mut self.writing_bytes);
        // What the table has is what it had before.
        self.now.append(&mut self.writing);
    }

    /// How many keys a checkpoint would write, and at most how many bytes of them.
    pub(crate) fn weight(&self) -> (u64, u64) {
        let keys = self.now.len() + self.writing.len();
        (keys as u64, self.bytes + self.writing_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8),
        Take(u8),
        Begin,
        End,
        GiveUp,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..6).prop_map(Step::Put),
            4 => (0_u8..6).prop_map(Step::Take),
            2 => Just(Step::Begin),
            1 => Just(Step::End),
            1 => Just(Step::GiveUp),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        /// Whatever was given up, a table that writes what it is told has what there is.
        #[test]
        fn a_table_follows(steps in steps()) {
            let (mut there, mut table) = (BTreeSet::new(), BTreeSet::new());
            let mut changed = Changed::default();
            let mut writing: Option<(Vec<u8>, BTreeSet<u8>)> = None;
            for step in steps.into_iter().chain([Step::End, Step::Begin, Step::End]) {
                match step {
                    Step::Put(key) => {
                        let was_there = !there.insert(key);
                        changed.note(&key, 1, was_there, true);
                    }
                    Step::Take(key) => {
                        let was_there = there.remove(&key);
                        changed.note(&key, 1, was_there, false);
                    }
                    Step::Begin if writing.is_none() => {
                        writing = Some((changed.begin().copied().collect(), there.clone()));
                    }
                    Step::End => {
                        if let Some((keys, then)) = writing.take() {
                            changed.end();
                            for key in keys {
                                if then.contains(&key) { table.insert(key); } else { table.remove(&key); }
                            }
                        }
                    }
                    Step::GiveUp if writing.take().is_some() => changed.give_up(),
                    Step::Begin | Step::GiveUp => {}
                }
            }
            prop_assert_eq!(table, there);
            prop_assert_eq!(changed.weight(), (0, 0));
        }
    }
}

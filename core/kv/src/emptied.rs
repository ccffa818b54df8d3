//! Stretches of keys where a transaction has nothing: whoever looks for the first key behind what was deleted passes them
//! at once. Without them a sequence of many deletions and looks would cost the square of its length.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

/// Stretches that neither overlap nor touch: where one begins, and the first key behind it; none where it has no end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Emptied(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Emptied {
    /// The first key behind the stretch that a key is in; `None` where it is in none.
    pub(crate) fn end_of(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (_, end) = self.before(key)?;
        is_before(key, end).then_some(end)
    }

    /// There is nothing from here to there.
    pub(crate) fn insert(&mut self, from: &[u8], end: Option<&[u8]>) {
        if !is_before(from, end) {
            return;
        }
        let joined = self.before(from).filter(|(_, behind)| behind.is_none_or(|behind| behind >= from));
        let start = joined.map_or(from, |(start, _)| start).to_vec();
        let mut end = end.map(<[u8]>::to_vec);
        while let Some((first, _)) =
            self.0.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded)).next()
            && end.as_ref().is_none_or(|end| first <= end)
        {
            let first = first.clone();
            let behind = self.0.remove(&first).expect("it was found");
            end = end.zip(behind).map(|(end, behind)| end.max(behind));
        }
        self.0.insert(start, end);
    }

    /// There is something at this key.
    pub(crate) fn fill(&mut self, key: &[u8]) {
        let Some((start, end)) = self.before(key).filter(|(_, end)| is_before(key, *end)) else { return };
        let (start, end) = (start.to_vec(), end.map(<[u8]>::to_vec));
        self.0.remove(&start);
        if start < key.to_vec() {
            self.0.insert(start, Some(key.to_vec()));
        }
        let behind = behind(key);
        if is_before(&behind, end.as_deref()) {
            self.0.insert(behind, end);
        }
    }

    /// The stretch that begins last of those that begin here or before.
    fn before(&self, key: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
        let mut all = self.0.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        all.next_back().map(|(start, end)| (start.as_slice(), end.as_deref()))
    }
}

/// The first key of those behind a key.
pub(crate) fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn is_before(key: &[u8], end: Option<&[u8]>) -> bool {
    end.is_none_or(|end| key < end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use proptest::prelude::*;

    proptest! {
        /// Against a set of keys of one byte that are known to be empty.
        #[test]
        fn what_is_in_a_stretch_is_what_was_emptied_and_not_filled_since(
            changes in proptest::collection::vec((0_u8..20, proptest::option::of(0_u8..24)), 0..40),
        ) {
            let (mut emptied, mut model) = (Emptied::default(), BTreeSet::new());
            for (key, end) in changes {
                match end {
                    // A stretch, the longest of which has no end.
                    Some(end) => {
                        let last = if end >= 20 { 255 } else { end };
                        emptied.insert(&[key], (end < 20).then_some(&[end]));
                        model.extend(key..last);
                    }
                    None => {
                        emptied.fill(&[key]);
                        model.remove(&key);
                    }
                }
                for key in 0..21 {
                    let end = emptied.end_of(&[key]);
                    prop_assert_eq!(end.is_some(), model.contains(&key), "{}", key);
                    let expected = (key..255).find(|key| !model.contains(key)).map(|end| vec![end]);
                    if let Some(end) = end.filter(|_| expected.as_ref().is_none_or(|end| end[0] < 20)) {
                        prop_assert_eq!(end.map(<[u8]>::to_vec), expected);
                    }
                }
            }
        }
    }
}

//! A range of keys.

use alloc::vec::Vec;
use core::ops::Bound;
use serde::{Deserialize, Serialize};

/// Keys from `first` to `last`, in the order of keys as bytes. One that ends before it begins holds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvRange {
    /// Where it begins, with that key (`Included`) or behind it (`Excluded`).
    pub first: Bound<Vec<u8>>,
    /// Where it ends, with that key or before it.
    pub last: Bound<Vec<u8>>,
}

impl KvRange {
    /// All keys.
    pub const ALL: KvRange = KvRange { first: Bound::Unbounded, last: Bound::Unbounded };

    /// The keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        KvRange { first: Bound::Included(prefix.to_vec()), last: end_of(prefix) }
    }

    /// What is left of it behind `key`, upwards or downwards.
    #[must_use]
    pub fn behind(mut self, key: Vec<u8>, is_reverse: bool) -> Self {
        *(if is_reverse { &mut self.last } else { &mut self.first }) = Bound::Excluded(key);
        self
    }

    /// Where it begins, to look keys up.
    pub fn first(&self) -> Bound<&[u8]> {
        self.first.as_ref().map(Vec::as_slice)
    }

    /// Where it ends, to look keys up.
    pub fn last(&self) -> Bound<&[u8]> {
        self.last.as_ref().map(Vec::as_slice)
    }

    /// Whether a key is not beyond its end.
    pub fn reaches(&self, key: &[u8]) -> bool {
        match &self.last {
            Bound::Included(last) => key <= last.as_slice(),
            Bound::Excluded(last) => key < last.as_slice(),
            Bound::Unbounded => true,
        }
    }

    /// Whether no key can be in it, whatever the map holds: maps refuse to look at such ranges.
    pub fn is_empty(&self) -> bool {
        match (&self.first, &self.last) {
            (Bound::Included(first), Bound::Included(last)) => first > last,
            (
                Bound::Included(first) | Bound::Excluded(first),
                Bound::Included(last) | Bound::Excluded(last),
            ) => first >= last,
            _ => false,
        }
    }

    /// Bytes of its ends.
    pub fn bytes(&self) -> usize {
        self.ends().map(<[u8]>::len).sum()
    }

    /// Its ends, those that it has.
    pub fn ends(&self) -> impl Iterator<Item = &[u8]> {
        [&self.first, &self.last].into_iter().filter_map(|end| match end {
            Bound::Included(key) | Bound::Excluded(key) => Some(key.as_slice()),
            Bound::Unbounded => None,
        })
    }
}

/// The first key beyond all that start with `prefix`; none where there is no such key.
pub fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0_u8), Just(7), Just(254), Just(255)], 0..4)
    }

    proptest! {
        #[test]
        fn a_prefix_is_the_range_of_the_keys_that_start_with_it(prefix in key(), key in key()) {
            let range = KvRange::prefix(&prefix);
            let is_in = prefix <= key && range.reaches(&key);
            prop_assert_eq!(is_in, key.starts_with(&prefix));
            prop_assert!(!range.is_empty());
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let range = |first: Bound<&[u8]>, last: Bound<&[u8]>| KvRange {
            first: first.map(<[u8]>::to_vec),
            last: last.map(<[u8]>::to_vec),
        };
        let (a, b): (&[u8], &[u8]) = (b"a", b"b");
        assert!(range(Bound::Included(b), Bound::Included(a)).is_empty());
        assert!(range(Bound::Excluded(a), Bound::Included(a)).is_empty());
        assert!(range(Bound::Included(a), Bound::Excluded(a)).is_empty());
        assert!(!range(Bound::Included(a), Bound::Included(a)).is_empty());
        assert!(!range(Bound::Excluded(a), Bound::Unbounded).is_empty());
    }
}

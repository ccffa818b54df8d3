//! Which segments may hold a record of a key, small enough to be kept for every key (PROTOCOLS F10).

/// The oldest and the newest segment that may hold a record of a key, and whether any between them may.
///
/// Nearly always there is one, or two while compaction has copied a record and its old segment isn't gone
/// yet. Only a key that is put again after a delete, more than once, may have more; then all between count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holders {
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    pub(crate) wide: bool,
}

impl Holders {
    pub(crate) fn one(segment: u64) -> Self {
        Holders { oldest: segment, newest: segment, wide: false }
    }

    /// Adds a segment, which is not older than the others; `is_there` tells which segments still are.
    pub(crate) fn with(self, segment: u64, is_there: impl Fn(u64) -> bool) -> Self {
        if segment <= self.newest {
            // A log that is followed up over a newer checkpoint says what that one knows already.
            return self;
        }
        if self.oldest == self.newest {
            return Holders { newest: segment, ..self };
        }
        if !self.wide && !is_there(self.oldest) {
            return Holders { oldest: self.newest, newest: segment, wide: false };
        }
        Holders { newest: segment, wide: true, ..self }
    }

    /// Whether any of them, older than `segment`, is there. `any_in` tells whether a segment from the first
    /// up to and without the second is there.
    pub(crate) fn any_before(self, segment: u64, any_in: impl Fn(u64, u64) -> bool) -> bool {
        if self.wide {
            return any_in(self.oldest, segment.min(self.newest + 1));
        }
        [self.oldest, self.newest].into_iter().any(|holder| holder < segment && any_in(holder, holder + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn a_copy_replaces_the_segment_that_is_gone() {
        let holders = Holders::one(3).with(7, |_| true);
        assert_eq!(holders, Holders { oldest: 3, newest: 7, wide: false });
        assert_eq!(holders.with(9, |segment| segment != 3), Holders { oldest: 7, newest: 9, wide: false });
        assert_eq!(holders.with(9, |_| true), Holders { oldest: 3, newest: 9, wide: true });
    }

    proptest! {
        /// Against a plain set: no holder that is there is ever forgotten, and two at most are told exactly.
        #[test]
        fn no_holder_is_forgotten(steps in proptest::collection::vec((1_u64..4, proptest::collection::vec(0_u64..40, 0..9)), 1..9)) {
            let mut there: BTreeSet<u64> = (0..64).collect();
            let (mut model, mut holders, mut segment) = (BTreeSet::from([1]), Holders::one(1), 1);
            for (further, gone) in steps {
                segment += further;
                holders = holders.with(segment, |s| there.contains(&s));
                model.insert(segment);
                gone.iter().for_each(|s| { there.remove(s); });
                model.retain(|s| there.contains(s) || *s == segment);
                let told = holders.any_before(segment + 1, |from, to| there.range(from..to).next().is_some());
                let expected = model.iter().any(|s| there.contains(s));
                prop_assert!(told || !expected);
                if !holders.wide {
                    prop_assert_eq!(told, expected);
                }
            }
        }
    }
}

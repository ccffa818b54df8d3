//! Changes over a map: the map as it would be with them, without making them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

/// Changes by key: a new value, or gone.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// The first pair under changes. `base` gives the first pair without them, and `jump` where a stretch without any pair ends
/// that a key is in, as far as one is known: with none it goes on for ever.
pub(crate) fn first<'a, 'j>(
    base: impl Fn(Bound<&[u8]>) -> Option<Pair<'a>>,
    changes: &'a Changes,
    jump: impl Fn(&[u8]) -> Option<Option<&'j [u8]>>,
    from: Bound<&[u8]>,
) -> Option<Pair<'a>> {
    let mut below = base(from);
    let mut changed = changes.range::<[u8], _>((from, Bound::Unbounded)).peekable();
    loop {
        let Some((key, value)) = changed.peek() else { return below };
        if let Some(pair) = below
            && pair.0 < key.as_slice()
        {
            return Some(pair);
        }
        if let Some(value) = value {
            return Some((key, value));
        }
        // A key that is gone hides the pair below it.
        if let Some(end) = jump(key) {
            let behind = Bound::Included(end?);
            below = base(behind);
            changed = changes.range::<[u8], _>((behind, Bound::Unbounded)).peekable();
            continue;
        }
        if below.is_some_and(|(lower, _)| lower == key.as_slice()) {
            below = base(Bound::Excluded(key));
        }
        changed.next();
    }
}

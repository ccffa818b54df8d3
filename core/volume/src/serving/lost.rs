//! Clusters that can't be read any more: what the status names.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use glossary::CLUSTER_BYTES;

/// Ranges that are kept. A range more is as lost as these, but isn't named.
const RANGES_MAX: usize = 64;

/// Ranges of clusters, none of which touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostRanges {
    /// The end of each, by its first cluster.
    ends: BTreeMap<u64, u64>,
}

impl LostRanges {
    /// The clusters from one on to another, which isn't among them, are lost.
    pub(crate) fn add(&mut self, from: u64, end: u64) {
        let touching: Vec<(u64, u64)> =
            self.ends.range(..=end).filter(|(_, e)| **e >= from).map(|(f, e)| (*f, *e)).collect();
        if touching.is_empty() && self.ends.len() == RANGES_MAX {
            return;
        }
        touching.iter().for_each(|(first, _)| {
            self.ends.remove(first);
        });
        let first = touching.iter().map(|(first, _)| *first).min().unwrap_or(from);
        let last = touching.iter().map(|(_, last)| *last).max().unwrap_or(end);
        self.ends.insert(first.min(from), last.max(end));
    }

    /// All of these are lost as well.
    pub(crate) fn add_all(&mut self, others: &LostRanges) {
        others.ends.iter().for_each(|(from, end)| self.add(*from, *end));
    }

    /// These clusters were read, or hold something else now.
    pub(crate) fn remove(&mut self, from: u64, end: u64) {
        if self.ends.is_empty() {
            return;
        }
        let within: Vec<(u64, u64)> =
            self.ends.range(..end).filter(|(_, e)| **e > from).map(|(f, e)| (*f, *e)).collect();
        for (first, last) in within {
            self.ends.remove(&first);
            if first < from {
                self.ends.insert(first, from);
            }
            if end < last {
                self.ends.insert(end, last);
            }
        }
        while self.ends.len() > RANGES_MAX {
            self.ends.pop_last();
        }
    }

    /// Whether any of these clusters is lost.
    pub(crate) fn any_in(&self, from: u64, end: u64) -> bool {
        self.ends.range(..end).next_back().is_some_and(|(_, last)| *last > from)
    }

    /// In bytes: from, length.
    pub(crate) fn in_bytes(&self) -> Vec<(u64, u64)> {
        self.ends.iter().map(|(from, end)| (from * CLUSTER_BYTES, (end - from) * CLUSTER_BYTES)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LostRanges, RANGES_MAX};
    use alloc::vec::Vec;

    fn clusters(lost: &LostRanges) -> Vec<u64> {
        lost.ends.iter().flat_map(|(from, end)| *from..*end).collect()
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut lost = LostRanges::default();
        for (from, end) in [(8, 10), (2, 4), (4, 6), (9, 12), (20, 21)] {
            lost.add(from, end);
        }
        assert_eq!(lost.in_bytes(), [(2 << 12, 4 << 12), (8 << 12, 4 << 12), (20 << 12, 1 << 12)]);
        lost.add(0, 30);
        assert_eq!(lost.in_bytes(), [(0, 30 << 12)]);
    }

    #[test]
    fn what_is_there_again_is_not_lost() {
        let mut lost = LostRanges::default();
        lost.add(0, 10);
        lost.remove(4, 6);
        assert_eq!(clusters(&lost), [0, 1, 2, 3, 6, 7, 8, 9]);
        let any: Vec<bool> =
            [(4, 6), (3, 5), (5, 7), (10, 12), (0, 10)].map(|(a, b)| lost.any_in(a, b)).into();
        assert_eq!(any, [false, true, true, false, true]);
        lost.remove(3, 8);
        lost.remove(10, 20);
        assert_eq!(clusters(&lost), [0, 1, 2, 8, 9]);
        lost.remove(0, 10);
        assert_eq!(lost, LostRanges::default());
    }

    #[test]
    fn they_are_bounded() {
        let mut lost = LostRanges::default();
        (0..1000).for_each(|number| lost.add(number * 10, number * 10 + 8));
        lost.remove(2, 4);
        assert_eq!(lost.in_bytes().len(), RANGES_MAX);
        lost.add(1, 5);
        assert_eq!(lost.in_bytes()[0], (0, 8 << 12), "what touches another is always noted");
    }
}

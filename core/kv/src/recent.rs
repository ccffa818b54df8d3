//! Which keys the last commands changed, for those who watch. Memory of this member alone: it begins anew with every
//! start and every state that another member gives, and says how far it reaches back.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::limits::{MAX_RECENT_BYTES, MAX_RECENT_CHANGES};

/// Changes in order of their commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recent {
    /// All changes of commands behind this one are here.
    reaches: u64,
    changes: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Recent {
    /// Nothing before the command of this index is known.
    pub(crate) fn begin(index: u64) -> Self {
        Recent { reaches: index, ..Recent::default() }
    }

    /// The command of this index changed a key.
    pub(crate) fn record(&mut self, index: u64, key: &[u8]) {
        self.bytes += key.len();
        self.changes.push_back((index, key.to_vec()));
        while self.changes.len() > MAX_RECENT_CHANGES || self.bytes > MAX_RECENT_BYTES {
            let Some((index, key)) = self.changes.pop_front() else { break };
            self.bytes -= key.len();
            self.reaches = index;
        }
    }

    /// The changes of commands behind this one; none where not all are known.
    pub(crate) fn behind(&self, index: u64) -> Option<impl Iterator<Item = (u64, &[u8])>> {
        let first = self.changes.partition_point(|(of, _)| *of <= index);
        let changes = self.changes.range(first..).map(|(index, key)| (*index, key.as_slice()));
        (index >= self.reaches).then_some(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_reaches_back() {
        let mut recent = Recent::begin(5);
        assert!(recent.behind(4).is_none());
        assert_eq!(recent.behind(5).expect("known").count(), 0);
        let changes = MAX_RECENT_CHANGES as u64 + 2;
        (0..changes).for_each(|change| recent.record(6 + change / 2, b"k"));
        assert!(recent.behind(5).is_none(), "the first command was forgotten");
        assert_eq!(recent.behind(6).expect("known").count() as u64, changes - 2);
        assert_eq!(recent.behind(5 + changes / 2).expect("known").count(), 2 * usize::from(changes % 2 == 1));
        let long = alloc::vec![0; 1 << 10];
        (0..MAX_RECENT_BYTES >> 10).for_each(|_| recent.record(1 << 40, &long));
        assert!(recent.behind((1 << 40) - 1).is_some());
        recent.record(1 << 40, &long);
        assert!(recent.behind((1 << 40) - 1).is_none(), "a command that is known in part is not known");
        assert!(recent.bytes <= MAX_RECENT_BYTES);
    }
}

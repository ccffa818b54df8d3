//! Who was a member after which entry.

use alloc::collections::BTreeMap;

use crate::{LogIndex, Membership, SnapshotMark};

/// The memberships since the oldest entry of which a snapshot may still be taken, by the entry that began each.
pub(super) struct Memberships {
    since: BTreeMap<LogIndex, Membership>,
}

impl Memberships {
    pub(super) fn new(mark: &SnapshotMark) -> Memberships {
        Memberships { since: BTreeMap::from([(mark.index, mark.membership.clone())]) }
    }

    pub(super) fn current(&self) -> &Membership {
        self.since.last_key_value().map(|(_, membership)| membership).expect("one is always in force")
    }

    /// The one in force after an entry; none where that was forgotten.
    pub(super) fn at(&self, index: LogIndex) -> Option<&Membership> {
        self.since.range(..=index).next_back().map(|(_, membership)| membership)
    }

    pub(super) fn enter(&mut self, index: LogIndex, membership: Membership) {
        self.since.insert(index, membership);
    }

    /// Forgets those that ended before an entry.
    pub(super) fn forget_before(&mut self, index: LogIndex) {
        if let Some((&begin, _)) = self.since.range(..=index).next_back() {
            self.since = self.since.split_off(&begin);
        }
    }
}

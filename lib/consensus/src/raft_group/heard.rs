//! From whom was heard, and when.

use alloc::collections::BTreeMap;

use crate::{Member, Membership, Quorum};

/// Ticks since each member was last heard from.
pub(super) struct Heard {
    ticks: u64,
    last: BTreeMap<Member, u64>,
    patience: u64,
}

impl Heard {
    pub(super) fn new(election_ticks: u32) -> Heard {
        Heard { ticks: 0, last: BTreeMap::new(), patience: u64::from(election_ticks) }
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Notes a message. Who is not a member is not noted: the map stays as small as the group.
    pub(super) fn note(&mut self, from: Member, membership: &Membership) {
        if membership.contains(from) {
            self.last.insert(from, self.ticks);
            self.last.retain(|member, _| membership.contains(*member));
        }
    }

    fn is_active(&self, member: Member) -> bool {
        self.last.get(&member).is_some_and(|at| self.ticks - at < self.patience)
    }

    /// Which voters of a membership are heard from.
    pub(super) fn quorum(&self, me: Member, membership: &Membership) -> Quorum {
        let voters = membership.voters.iter().copied();
        let silent: alloc::vec::Vec<_> =
            voters.filter(|voter| *voter != me && !self.is_active(*voter)).collect();
        Quorum { needed: membership.quorum(), active: membership.voters.len() - silent.len(), silent }
    }
}

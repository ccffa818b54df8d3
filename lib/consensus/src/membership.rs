//! Who belongs to a group.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Member;

/// Who belongs to a group. Changes go one member at a time, so majorities of two successive memberships always
/// overlap and no joint state is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Those who elect and commit.
    pub voters: BTreeSet<Member>,
    /// Those who receive the log without a vote: newcomers that catch up, or readers.
    pub learners: BTreeSet<Member>,
}

/// A change of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    /// A newcomer, which first catches up without a vote.
    AddLearner(Member),
    /// A learner gets a vote.
    Promote(Member),
    /// A voter or learner leaves. It may be switched off once the statuses of a majority of the remaining voters show
    /// it gone, with `is_membership_durable`; before, its vote might be needed after crashes.
    Remove(Member),
}

impl Membership {
    /// More voters make nothing safer and every commit slower.
    pub const VOTERS_MAX: usize = 9;

    /// Learners beyond are refused: a leader talks to each.
    pub const LEARNERS_MAX: usize = 32;

    /// A group of these voters.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = Member>) -> Membership {
        Membership { voters: voters.into_iter().collect(), learners: BTreeSet::new() }
    }

    /// Whether a group can run with it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let ids = || self.voters.iter().chain(&self.learners);
        !self.voters.is_empty()
            && self.voters.len() <= Self::VOTERS_MAX
            && self.learners.len() <= Self::LEARNERS_MAX
            && self.voters.is_disjoint(&self.learners)
            && ids().all(|member| member.0 != 0)
    }

    /// Whether it is a voter or a learner.
    #[must_use]
    pub fn contains(&self, member: Member) -> bool {
        self.voters.contains(&member) || self.learners.contains(&member)
    }

    /// Whether it is the only voter.
    #[must_use]
    pub fn is_led_by_none_but(&self, member: Member) -> bool {
        self.voters.len() == 1 && self.voters.contains(&member)
    }

    /// How many voters decide.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// The membership after a change; none where the change is impossible.
    #[must_use]
    pub fn after(&self, change: MembershipChange) -> Option<Membership> {
        let mut after = self.clone();
        let is_changed = match change {
            MembershipChange::AddLearner(member) => {
                !after.voters.contains(&member) && after.learners.insert(member)
            }
            MembershipChange::Promote(member) => {
                after.learners.remove(&member) && after.voters.insert(member)
            }
            MembershipChange::Remove(member) => {
                after.voters.remove(&member) || after.learners.remove(&member)
            }
        };
        (is_changed && after.is_valid()).then_some(after)
    }
}

impl MembershipChange {
    /// Whom it concerns.
    #[must_use]
    pub fn member(self) -> Member {
        match self {
            MembershipChange::AddLearner(member)
            | MembershipChange::Promote(member)
            | MembershipChange::Remove(member) => member,
        }
    }
}

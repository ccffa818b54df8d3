//! Groups beside the root group follow it: the leader of each brings its membership after that of the root group, one change
//! at a time.
//!
//! A server that the root group removed need not hear of that: nobody sends it the root group's log any more. Where it leads
//! a group, a member of the root group asks it to hand over.

use alloc::collections::BTreeMap;
use consensus::{LogIndex, Member, Membership, MembershipChange, Status};
use formats::message::member::MemberBody;
use formats::message::standing::DiskRoom;
use formats::{Effect, kv_level};
use glossary::{GroupId, NodeId};
use step::{Effects, Function};

use crate::group::Group;
use crate::hosted::Hosted;
use crate::serving::Serving;
use crate::sleep::Liveness;

/// A leader that should not lead is asked to hand over so often, in ticks: every second.
const ASK_TICKS: u32 = 20;

/// What is known of the root group, of other servers and of the disk, for all groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// The members of the root group.
    pub(crate) root: &'a Membership,
    /// How far its log is applied here.
    pub(crate) applied: LogIndex,
    pub(crate) liveness: &'a Liveness,
    /// What the disk here can take.
    pub(crate) room: DiskRoom,
    /// The group's level.
    pub(crate) level: u32,
    /// What members have written that they know, those that have left among them.
    pub(crate) levels: &'a BTreeMap<Member, u32>,
}

impl Told<'_> {
    /// Whether a message may be said to a member: the group has its level, and so has that one, which may have left before the
    /// group had.
    fn may_say(&self, body: &MemberBody, to: Member) -> bool {
        let known = self.levels.get(&to).copied().unwrap_or_default();
        kv_level::of_message(body) <= self.level.min(known)
    }
}

impl<F: Function, C: Group> Serving<F, C> {
    /// A member of a group wants to lead it. Whether to believe it: it knows more of the root group, or this member knows
    /// itself that it has left.
    pub(crate) fn on_wants_lead(&mut self, group: GroupId, from: NodeId, root: LogIndex) {
        let own = &self.root().replica;
        let is_behind = own.applied() < root || !own.is_member();
        self.with(group, |hosted, _| {
            if let Some(member) = hosted.replica.member_at(from).filter(|_| is_behind) {
                // It is refused where this member doesn't lead, and to who can't.
                let _ = hosted.replica.group.transfer_leader(member);
            }
        });
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// A tick is over. What is refused now is tried again with the next tick.
    pub(crate) fn follow(&mut self, told: Told<'_>, effects: &mut Effects<Effect>) {
        let status = self.replica.status();
        match status.leadership.leader {
            Some(leader) if leader == status.me => self.lead_after(told.root, &status),
            Some(leader) if !told.root.contains(leader) => self.want_lead(leader, told, &status, effects),
            _ => self.wanting = 0,
        }
    }

    fn lead_after(&mut self, root: &Membership, status: &Status) {
        if !root.contains(status.me) {
            return self.hand_on(root, status);
        }
        if let Some(change) = nearer(&status.membership, root)
            && !self.is_too_soon(change, &status.membership)
        {
            let _ = self.replica.group.propose_membership(change);
        }
    }

    /// This member has left the root group, and leads. One goes on that stays, and has most.
    fn hand_on(&mut self, root: &Membership, status: &Status) {
        let stays =
            |member: &Member| root.voters.contains(member) && status.membership.voters.contains(member);
        let others = status.progress.iter().filter(|(member, _)| stays(member));
        let best = others.max_by_key(|(_, progress)| progress.matched).map(|(member, _)| *member);
        if let Some(best) = best.filter(|_| status.handing_over_to.is_none()) {
            let _ = self.replica.group.transfer_leader(best);
        }
    }

    fn want_lead(&mut self, leader: Member, told: Told<'_>, status: &Status, effects: &mut Effects<Effect>) {
        let may_lead = |members: &Membership| members.voters.contains(&status.me);
        if !may_lead(told.root) || !may_lead(&status.membership) {
            return;
        }
        self.wanting = (self.wanting + 1) % ASK_TICKS;
        let wants = MemberBody::WantsLead { root: told.applied };
        if self.wanting == 0 && told.may_say(&wants, leader) {
            self.replica.send(leader, wants, effects);
        }
    }

    /// Whether a group without the member that leaves could stand still, as another has nothing of the log yet.
    fn is_too_soon(&self, change: MembershipChange, members: &Membership) -> bool {
        match change {
            MembershipChange::Remove(member) => self.lacking_without(member, members).is_some(),
            MembershipChange::AddLearner(_) | MembershipChange::Promote(_) => false,
        }
    }
}

/// The first change on the way from one membership to another: who comes comes before who goes, so that none is lost
/// meanwhile.
fn nearer(own: &Membership, root: &Membership) -> Option<MembershipChange> {
    let mut all = root.voters.iter().chain(&root.learners);
    if let Some(missing) = all.find(|member| !own.contains(**member)) {
        return Some(MembershipChange::AddLearner(*missing));
    }
    if let Some(promoted) = root.voters.iter().find(|member| !own.voters.contains(*member)) {
        return Some(MembershipChange::Promote(*promoted));
    }
    let mut own = own.voters.iter().chain(&own.learners);
    own.find(|member| !root.contains(**member)).map(|gone| MembershipChange::Remove(*gone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_membership_follows_step_by_step() {
        let of = |voters: &[u64], learners: &[u64]| Membership {
            voters: voters.iter().copied().map(Member).collect(),
            learners: learners.iter().copied().map(Member).collect(),
        };
        let (mut own, root) = (of(&[1, 2, 3], &[]), of(&[2, 4], &[5]));
        let mut changes = Vec::new();
        while let Some(change) = nearer(&own, &root) {
            own = own.after(change).expect("it is possible");
            assert!(own.voters.contains(&Member(2)));
            changes.push(change);
        }
        assert_eq!((own, changes.len()), (root, 5));
    }
}

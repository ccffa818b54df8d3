//! Which member of the KV's group an asker speaks to: the one that leads, as far as it knows.
//!
//! Both askers keep one ([`crate::kv_client`], and the volume driver's table of questions). It moves when the member
//! that is asked names another, when that member says that it knows of none, and when nothing is heard of it. It never
//! makes a storm: members that send an asker around in a circle, or of whom none leads, are asked at intervals that
//! grow to [`LONGEST_PAUSE`].

use alloc::vec::Vec;
use consensus::Member;
use core::time::Duration;
use glossary::NodeId;
use step::Timestamp;

use crate::message::member::server_of;

/// How long is waited where nobody leads before the next member is asked; the wait grows with those that know of none.
pub const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest such wait.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An election is over after about half a second: so many members are asked with waits that are doubled no more than so
/// often. Who waits twice as long each time hears of the new leader late.
const SOON_HOPS: u32 = 16;
const SOON_DOUBLINGS: u32 = 1;

/// A leader that was named is asked at once, unless so many were named since the last answer.
const HOPS_AT_ONCE: u32 = 2;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvRoute {
    group: Vec<NodeId>,
    target: NodeId,
    /// When something was last heard from the target.
    heard: Timestamp,
    /// How often the target was changed by what members said, since one answered.
    hops: u32,
}

impl KvRoute {
    /// Begins with the first of a group.
    ///
    /// # Panics
    /// Where the group is empty: there would be nobody to ask.
    pub fn new(group: Vec<NodeId>) -> Self {
        let target = *group.first().expect("a group has members");
        KvRoute { group, target, heard: Timestamp(0), hops: 0 }
    }

    /// Whom to ask.
    pub fn target(&self) -> NodeId {
        self.target
    }

    /// Whether a node is one that may answer: of the group, or the leader that one of them named.
    pub fn knows(&self, node: NodeId) -> bool {
        node == self.target || self.group.contains(&node)
    }

    /// A member answered what it was asked.
    pub fn on_answer(&mut self, from: NodeId, now: Timestamp) {
        if from == self.target {
            (self.heard, self.hops) = (now, 0);
        }
    }

    /// A member said that it can't answer now; it is there.
    pub fn on_not_now(&mut self, from: NodeId, now: Timestamp) {
        if from == self.target {
            self.heard = now;
        }
    }

    /// A member said that it doesn't lead, and who does. Returns when to ask the new target; none where that is already
    /// known, from an earlier reply.
    pub fn on_not_leader(
        &mut self,
        from: NodeId,
        leader: Option<Member>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if from != self.target {
            return None;
        }
        let named = leader.map(|leader| NodeId::kv_of(server_of(leader))).filter(|node| *node != from);
        self.target = named.unwrap_or_else(|| self.next());
        self.heard = now;
        self.hops = self.hops.saturating_add(1);
        let at_once = named.is_some() && self.hops <= HOPS_AT_ONCE;
        Some(if at_once { now } else { now.after(self.pause()) })
    }

    /// A request that went to `to` at `sent` got no answer in its time: the next member is asked, unless the target
    /// was heard since.
    pub fn on_silence(&mut self, to: NodeId, sent: Timestamp, now: Timestamp) {
        if to == self.target && self.heard <= sent {
            self.target = self.next();
            self.heard = now;
        }
    }

    /// The member after the target; the first, where that was named from outside the group.
    fn next(&self) -> NodeId {
        let place = self.group.iter().position(|node| *node == self.target);
        self.group[place.map_or(0, |place| (place + 1) % self.group.len())]
    }

    fn pause(&self) -> Duration {
        let soon = self.hops.saturating_sub(1).min(SOON_DOUBLINGS);
        let later = self.hops.saturating_sub(SOON_HOPS).min(8);
        (FIRST_PAUSE * (1 << (soon + later))).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use glossary::ServerId;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn kv(server: u16) -> NodeId {
        NodeId::kv_of(ServerId(server))
    }

    #[test]
    fn a_leader_that_is_named_is_asked_at_once_and_also_outside_the_group() {
        let mut route = KvRoute::new(vec![kv(1), kv(2)]);
        assert_eq!(route.on_not_leader(kv(2), Some(Member(1)), NOW), None, "it was not asked");
        assert_eq!(route.on_not_leader(kv(1), Some(Member(0x3_0007)), NOW), Some(NOW));
        assert_eq!(route.target(), kv(7), "whose server lost three disks");
        assert!(route.knows(kv(7)) && route.knows(kv(2)) && !route.knows(kv(8)));
        assert!(route.on_not_leader(kv(7), None, NOW) > Some(NOW));
        assert_eq!(route.target(), kv(1));
    }

    #[test]
    fn members_that_name_each_other_are_asked_ever_more_slowly() {
        let mut route = KvRoute::new(vec![kv(1), kv(2)]);
        let (mut now, mut waits) = (NOW, vec![]);
        for _ in 0..80 {
            let other = if route.target() == kv(1) { Member(2) } else { Member(1) };
            let at = route.on_not_leader(route.target(), Some(other), now).expect("it moves");
            waits.push(at.since(now));
            now = at;
        }
        assert_eq!(waits[..2], [Duration::ZERO; 2]);
        assert!(waits[2..].is_sorted() && waits[2] > FIRST_PAUSE && waits[79] == LONGEST_PAUSE);
        route.on_answer(route.target(), now);
        let other = if route.target() == kv(1) { Member(2) } else { Member(1) };
        assert_eq!(route.on_not_leader(route.target(), Some(other), now), Some(now), "forgiven");
    }

    #[test]
    fn a_member_that_is_silent_is_left_and_one_that_is_slow_is_not() {
        let mut route = KvRoute::new(vec![kv(1), kv(2), kv(3)]);
        route.on_answer(kv(1), NOW.after(FIRST_PAUSE));
        route.on_silence(kv(1), NOW, NOW.after(LONGEST_PAUSE));
        assert_eq!(route.target(), kv(1), "it was heard since");
        let later = NOW.after(LONGEST_PAUSE);
        route.on_silence(kv(1), later, later.after(LONGEST_PAUSE));
        assert_eq!(route.target(), kv(2));
        route.on_silence(kv(1), later, later.after(LONGEST_PAUSE));
        assert_eq!(route.target(), kv(2), "that one was left already");
    }

    #[test]
    fn a_group_of_one_is_asked_whatever_it_says() {
        let mut route = KvRoute::new(vec![NodeId(1)]);
        assert!(route.on_not_leader(NodeId(1), None, NOW) > Some(NOW));
        route.on_silence(NodeId(1), NOW, NOW.after(LONGEST_PAUSE));
        assert_eq!(route.target(), NodeId(1));
    }
}

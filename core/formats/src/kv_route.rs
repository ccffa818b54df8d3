//! Which member of the KV's group an asker speaks to: the one that leads, as far as it knows.
//!
//! Both askers keep one ([`crate::kv_client`], and the volume driver's table of questions). It moves when the member
//! that is asked names another, when that member says that it knows of none, and when nothing is heard of it. It never
//! makes a storm: members that send an asker around in a circle, or of whom none leads, are asked at intervals that
//! grow to [`LONGEST_PAUSE`].
//!
//! It begins with the members that a configuration names. Whoever asks reads who has members ([`crate::kv_members`]) where
//! there may be others ([`KvRoute::has_others`]), and tells it ([`KvRoute::learn`]). Those are asked from then on. Where none of
//! them answers, the configured are asked as well, in turn with them: what was learned may be old.

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

/// How often an asker reads who has members, while it runs.
pub const LEARN_EVERY: Duration = Duration::from_secs(3);

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvRoute {
    configured: Vec<NodeId>,
    /// Whoever may be asked: first the members, as far as is known, then those that only the configuration names.
    known: Vec<NodeId>,
    /// How many of those are members.
    members: usize,
    target: NodeId,
    /// The place among the known of the last that was asked because its turn came.
    turn: usize,
    /// Turns since the target answered.
    turns: usize,
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
        let (known, members) = (group.clone(), group.len());
        let configured = group;
        KvRoute { configured, known, members, target, turn: 0, turns: 0, heard: Timestamp(0), hops: 0 }
    }

    /// These nodes have the members now. Who is asked goes on being asked, member or not, until it sends the asker to another
    /// or is silent. Nothing is learned from an empty list.
    pub fn learn(&mut self, members: &[NodeId]) {
        if members.is_empty() || self.known[..self.members] == *members {
            return;
        }
        let others = self.configured.iter().filter(|node| !members.contains(node));
        self.known = members.iter().chain(others).copied().collect();
        self.members = members.len();
        let place = self.known.iter().position(|node| *node == self.target);
        // The next turn is the first's where the target is none of them.
        self.turn = place.unwrap_or(self.known.len() - 1);
    }

    /// Whether there are others than the one that it began with: somebody named them.
    pub fn has_others(&self) -> bool {
        self.known.len() > 1 || self.target != self.known[0]
    }

    /// Whom to ask.
    pub fn target(&self) -> NodeId {
        self.target
    }

    /// Whether a node is one that may answer: a member, configured, or the leader that one of them named.
    pub fn knows(&self, node: NodeId) -> bool {
        node == self.target || self.known.contains(&node)
    }

    /// A member answered what it was asked.
    pub fn on_answer(&mut self, from: NodeId, now: Timestamp) {
        if from == self.target {
            (self.heard, self.hops, self.turns) = (now, 0, 0);
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
        match named {
            Some(named) => self.target = named,
            None => self.take_turn(),
        }
        self.heard = now;
        self.hops = self.hops.saturating_add(1);
        let at_once = named.is_some() && self.hops <= HOPS_AT_ONCE;
        Some(if at_once { now } else { now.after(self.pause()) })
    }

    /// A request that went to `to` at `sent` got no answer in its time: the next member is asked, unless the target
    /// was heard since.
    pub fn on_silence(&mut self, to: NodeId, sent: Timestamp, now: Timestamp) {
        if to == self.target && self.heard <= sent {
            self.take_turn();
            self.heard = now;
        }
    }

    /// Asks whose turn it is: the members, and after one round of them in vain all that are known. A leader that is named in
    /// between takes nobody's turn, so that all are asked though one of them names who is gone.
    fn take_turn(&mut self) {
        let left = self.target;
        for _ in 0..2 {
            let among = if self.turns < self.members { self.members } else { self.known.len() };
            self.turn = if self.turn + 1 < among { self.turn + 1 } else { 0 };
            self.turns = self.turns.saturating_add(1);
            self.target = self.known[self.turn];
            if self.target != left {
                return;
            }
        }
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
    use proptest::prelude::*;

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
        assert_eq!(route.target(), kv(2), "the first had its turn");
    }

    /// Silence of the target: who is asked next.
    fn leave(route: &mut KvRoute) -> NodeId {
        route.on_silence(route.target(), Timestamp(u64::MAX), NOW);
        route.target()
    }

    #[test]
    fn who_is_learned_is_asked_and_the_configured_are_once_those_are_silent() {
        let mut route = KvRoute::new(vec![kv(1), kv(2), kv(3)]);
        route.learn(&[kv(3), kv(4), kv(5)]);
        assert_eq!(route.target(), kv(1), "it is left when it is silent");
        assert!((1..=5).all(|server| route.knows(kv(server))) && !route.knows(kv(6)));
        assert_eq!([(); 3].map(|()| leave(&mut route)), [3, 4, 5].map(kv));
        assert_eq!([(); 5].map(|()| leave(&mut route)), [1, 2, 3, 4, 5].map(kv));
        assert_eq!(leave(&mut route), kv(1));
        route.on_answer(kv(1), NOW);
        assert_eq!(leave(&mut route), kv(3), "it is no member");
        route.on_answer(kv(3), NOW);
        route.learn(&[kv(3), kv(6)]);
        assert_eq!(route.target(), kv(3));
        route.learn(&[]);
        assert_eq!(
            (leave(&mut route), route.knows(kv(4))),
            (kv(6), false),
            "only what was learned last counts"
        );
    }

    #[test]
    fn a_member_that_names_one_who_is_gone_is_not_asked_for_ever() {
        let mut route = KvRoute::new(vec![kv(1), kv(2), kv(3)]);
        route.on_not_leader(kv(1), Some(Member(3)), NOW);
        assert_eq!(leave(&mut route), kv(2));
        route.on_not_leader(kv(2), Some(Member(3)), NOW);
        assert_eq!(leave(&mut route), kv(1), "the third was asked just now");
    }

    #[test]
    fn one_alone_has_others_once_somebody_named_them() {
        let alone = KvRoute::new(vec![kv(1)]);
        assert!(!alone.has_others() && KvRoute::new(vec![kv(1), kv(2)]).has_others());
        let mut named = alone.clone();
        named.on_not_leader(kv(1), Some(Member(2)), NOW);
        assert!(named.has_others());
        let mut same = alone.clone();
        same.learn(&[kv(1)]);
        assert_eq!(same, alone);
        let mut learned = alone;
        learned.learn(&[kv(2)]);
        assert!(learned.has_others());
    }

    #[derive(Clone, Debug)]
    enum Said {
        Learn(Vec<u16>),
        Named(Option<u16>),
        Answer,
        Silence,
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            proptest::collection::btree_set(0..8u16, 0..5)
                .prop_map(|servers| Said::Learn(servers.into_iter().collect())),
            proptest::option::of(0..9u16).prop_map(Said::Named),
            Just(Said::Answer),
            Just(Said::Silence),
        ]
    }

    proptest! {
        /// Whatever it heard: where nobody answers any more, and whoever is asked may name one who is gone, all that are
        /// configured and all that it learned last are asked.
        #[test]
        fn everybody_gets_a_turn(
            configured in proptest::collection::btree_set(0..8u16, 1..5),
            heard in proptest::collection::vec(said(), 0..40),
            gone in proptest::option::of(0..9u16),
        ) {
            let nodes = |servers: &[u16]| servers.iter().copied().map(kv).collect::<Vec<_>>();
            let configured: Vec<u16> = configured.into_iter().collect();
            let mut route = KvRoute::new(nodes(&configured));
            let mut all = nodes(&configured);
            for said in heard {
                let target = route.target();
                match said {
                    Said::Learn(servers) => {
                        route.learn(&nodes(&servers));
                        if !servers.is_empty() {
                            all = nodes(&[configured.clone(), servers].concat());
                        }
                    }
                    Said::Named(server) => {
                        route.on_not_leader(target, server.map(|server| Member(server.into())), NOW);
                    }
                    Said::Answer => route.on_answer(target, NOW),
                    Said::Silence => {
                        leave(&mut route);
                    }
                }
            }
            let mut asked = vec![route.target()];
            for _ in 0..3 * all.len() {
                if let Some(gone) = gone {
                    route.on_not_leader(route.target(), Some(Member(gone.into())), NOW);
                    asked.push(route.target());
                }
                asked.push(leave(&mut route));
            }
            prop_assert!(all.iter().all(|node| asked.contains(node)), "{all:?} of {asked:?}");
            prop_assert!(asked.iter().all(|node| route.knows(*node) || asked[0] == *node || gone.map(kv) == Some(*node)));
        }
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

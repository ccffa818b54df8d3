//! Groups that have nothing to do sleep: no time passes for them, and nobody says anything in them. So hundreds of them cost
//! what one costs.
//!
//! A leader all of whose members have everything says so, and its group sleeps at those who agree. A message of a member that has
//! something to say wakes it, and so does anything that its leader is asked; a read that must see all asks a majority as ever, so sleep
//! endangers none. What heartbeats told is told for all groups at once: servers say now and then that they live
//! ([`Liveness`]), where the root group's heartbeats don't say so. A follower of one that is not heard wakes up and stands for election in time; a leader that hears no
//! majority wakes up, and steps down as it would have.

use alloc::collections::BTreeMap;
use consensus::{LogIndex, Member, Membership, MessageBody, Role, Status, Term};
use formats::Effect;
use formats::message::member::MemberBody;
use glossary::NodeId;
use step::{Bug, Effects, Function};

use crate::group::{ELECTION_TICKS, Group};
use crate::hosted::Hosted;

/// A leader that had nothing to do for so many ticks, 1 s, lets its group sleep: sooner, it would wake up again at once where
/// somebody asks now and then.
const SLEEP_AFTER: u32 = 20;

/// A server says so often, in ticks, that it lives: as often as a leader would.
const SAY_EVERY: u32 = 2;

/// Who is heard.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    /// Ticks since a node was heard last.
    silent: BTreeMap<NodeId, u32>,
    /// Ticks since this server said that it lives.
    ticks: u32,
}

impl Liveness {
    /// A member of any group at a node said something.
    pub(crate) fn hear(&mut self, node: NodeId) {
        if let Some(ticks) = self.silent.get_mut(&node) {
            *ticks = 0;
        }
    }

    /// A tick is over; these are the nodes of the others. Whether it is time to say that this server lives.
    pub(crate) fn on_tick(&mut self, others: impl Iterator<Item = NodeId>) -> bool {
        let before = core::mem::take(&mut self.silent);
        let silent = |node| (node, before.get(&node).map_or(0, |ticks| ticks.saturating_add(1)));
        self.silent = others.map(silent).collect();
        self.ticks = (self.ticks + 1) % SAY_EVERY;
        self.ticks == 0
    }

    /// Whether a node was heard in the time after which a leader is replaced.
    pub(crate) fn hears(&self, node: NodeId) -> bool {
        self.silent.get(&node).is_some_and(|ticks| *ticks < ELECTION_TICKS)
    }
}

/// Whether a message means that there is something to do. What a leader says all the time, and is answered, was on its way
/// when it fell asleep.
pub(crate) fn wakes(body: &MemberBody) -> bool {
    match body {
        MemberBody::Sleep { .. } | MemberBody::Alive | MemberBody::Standing(_) => false,
        MemberBody::Consensus(message) | MemberBody::Addressed { message, .. } => {
            !matches!(message.body, MessageBody::Heartbeat { .. } | MessageBody::HeartbeatAnswer { .. })
        }
        _ => true,
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Whether no time passes for it.
    pub(crate) fn is_asleep(&self) -> bool {
        self.is_asleep
    }

    /// There is something to do.
    pub(crate) fn wake_up(&mut self) {
        (self.is_asleep, self.idle) = (false, 0);
    }

    /// Whether it must wake up: whoever leads is not heard, or, where this member does, no majority is.
    pub(crate) fn is_disturbed(&self, liveness: &Liveness) -> bool {
        if !self.is_asleep {
            return false;
        }
        let leads_on = self.leadership().role == Role::Leader && self.replica.has(Bug::KvSleeperAnswers);
        let is_fine = match self.leadership().leader {
            _ if leads_on => true,
            Some(leader) if leader != self.replica.me() => liveness.hears(self.replica.node_of(leader)),
            _ => self.hears_majority(&self.replica.membership, liveness),
        };
        !is_fine
    }

    fn hears_majority(&self, members: &Membership, liveness: &Liveness) -> bool {
        let me = self.replica.me();
        let is_heard = |member: &&Member| **member == me || liveness.hears(self.replica.node_of(**member));
        members.voters.iter().filter(is_heard).count() >= members.quorum()
    }

    /// A tick is over: a leader lets its group sleep that had nothing to do for a while.
    pub(crate) fn fall_asleep(
        &mut self,
        root: &Membership,
        liveness: &Liveness,
        effects: &mut Effects<Effect>,
    ) {
        let status = self.replica.status();
        if !self.may_sleep(&status) || status.membership != *root || !self.hears_majority(root, liveness) {
            self.idle = 0;
            return;
        }
        self.idle += 1;
        if self.idle < SLEEP_AFTER {
            return;
        }
        self.is_asleep = true;
        self.forget_rooms();
        let body = MemberBody::Sleep { term: status.leadership.term, last: status.last };
        for member in status.progress.keys().filter(|member| **member != status.me) {
            self.replica.send(*member, body.clone(), effects);
        }
    }

    /// Whether this member leads, and all have all that there is.
    fn may_sleep(&self, status: &Status) -> bool {
        let is_idle = self.queue.is_empty() && self.proposals.count() == (0, 0) && self.changes.are_settled();
        status.leadership.role == Role::Leader
            && is_idle
            && self.has_all(status)
            && status.handing_over_to.is_none()
            && status.progress.values().all(|progress| progress.matched == status.last)
    }

    fn has_all(&self, status: &Status) -> bool {
        let has_applied = self.replica.applied() == status.last && status.durable == status.last;
        let is_whole = self.healing.is_none() && !self.installed;
        has_applied && is_whole && self.transfer.is_none() && self.frozen.is_none()
    }

    /// The leader says that its group sleeps: so it does here, where this member has the same.
    pub(crate) fn on_sleep(&mut self, from: Member, term: Term, last: LogIndex) {
        let status = self.replica.status();
        let follows = status.leadership.leader == Some(from) && status.leadership.role != Role::Leader;
        let is_same = status.leadership.term == term && status.last == last;
        self.is_asleep = follows && is_same && self.has_all(&status) && self.has_announced();
        if self.is_asleep {
            self.forget_rooms();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_for_an_election_is_not_heard() {
        let mut liveness = Liveness::default();
        let nodes = [NodeId(1), NodeId(2)];
        assert!(!liveness.hears(nodes[0]), "nobody knows of it");
        for _ in 0..ELECTION_TICKS {
            liveness.on_tick(nodes.into_iter());
            liveness.hear(nodes[1]);
            assert!(nodes.iter().all(|node| liveness.hears(*node)));
        }
        liveness.on_tick(nodes.into_iter());
        assert_eq!(nodes.map(|node| liveness.hears(node)), [false, true]);
        liveness.hear(nodes[0]);
        assert!(liveness.hears(nodes[0]));
        let said = (0..10).filter(|_| liveness.on_tick(nodes[..1].iter().copied())).count();
        assert_eq!((said as u32, liveness.hears(nodes[1])), (10 / SAY_EVERY, false));
    }
}

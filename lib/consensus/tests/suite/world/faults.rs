//! What fails, and what operators do meanwhile.

use consensus::{Consensus, Member, MembershipChange, Recovered};

use super::checker::Violation;
use super::network::Network;
use super::rng::Rng;
use super::{Event, World};

/// More members than this are never made in one run.
const MEMBERS_MAX: u64 = 10;

/// What a seed makes of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) voters: u64,
    pub(super) network: Network,
    pub(super) sync_ms: u64,
    pub(super) is_skewed: bool,
    pub(super) snapshot_loss_percent: u64,
    crashes: u64,
    cuts: u64,
    pauses: u64,
    changes: u64,
    compactions: u64,
    /// Crashes with a start at once, and several candidates at once.
    elections: u64,
    fault_ms: u64,
}

impl Plan {
    pub(super) fn draw(rng: &mut Rng) -> Plan {
        let mut network = Network::default();
        network.loss_percent = rng.pick(&[0, 1, 5, 15]).expect("not empty");
        network.double_percent = rng.pick(&[0, 5, 20]).expect("not empty");
        network.late_percent = rng.pick(&[0, 3, 10]).expect("not empty");
        let is_stormy = rng.percent(25);
        let syncs: &[u64] = if is_stormy { &[30, 100] } else { &[1, 5, 30] };
        let faults: &[u64] = if is_stormy { &[15, 40] } else { &[40, 120, 300] };
        Plan {
            voters: rng.pick(if is_stormy { &[1, 3] } else { &[1, 3, 3, 5] }).expect("not empty"),
            network,
            sync_ms: rng.pick(syncs).expect("not empty"),
            is_skewed: rng.percent(40),
            snapshot_loss_percent: 20,
            crashes: rng.below(10),
            cuts: rng.below(10),
            pauses: rng.below(5),
            changes: rng.below(10),
            compactions: rng.below(10),
            elections: if is_stormy { 20 } else { rng.below(3) },
            fault_ms: rng.pick(faults).expect("not empty"),
        }
    }
}

impl World {
    pub(super) fn on_fault(&mut self) -> Result<(), Violation> {
        if self.is_calm {
            return Ok(());
        }
        let delay = 1 + self.rng.below(2 * self.plan.fault_ms);
        self.schedule(delay, Event::Fault);
        let Plan { crashes, cuts, pauses, changes, compactions, elections, .. } = self.plan;
        let weights = [crashes, 10, cuts, 8, pauses, changes, compactions, elections, 2];
        let mut drawn = self.rng.below(weights.iter().sum());
        let chosen = weights.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        let members = self.members();
        let Some(member) = self.rng.pick(&members) else { return Ok(()) };
        let target = if self.rng.percent(40) { self.leader().unwrap_or(member) } else { member };
        match chosen {
            Some(0) => self.crash(target),
            Some(1) => return self.restart_one(),
            Some(2) if self.rng.percent(50) => self.network.cut(&mut self.rng, &members),
            Some(2) => self.network.isolate(&mut self.rng, target, &members),
            Some(3) => self.network.heal(),
            Some(4) => self.pause(target),
            Some(5) => return self.change_membership(),
            Some(6) => return self.take_snapshot(target),
            Some(7) if self.rng.percent(40) => return self.bounce(&[target]),
            Some(7) if self.rng.percent(50) => return self.bounce(&members),
            Some(7) => return self.candidates(),
            _ => return self.hand_over(target),
        }
        Ok(())
    }

    fn crash(&mut self, member: Member) {
        let bug = self.bug;
        let Some(node) = self.nodes.get_mut(&member).filter(|node| node.life.is_some()) else { return };
        node.life = None;
        node.disk.crash(&mut self.rng, bug);
    }

    /// Some or all lose power, and start at once.
    fn bounce(&mut self, members: &[Member]) -> Result<(), Violation> {
        for member in members {
            self.crash(*member);
        }
        members.iter().try_for_each(|member| self.start(*member))
    }

    /// Several stand for election at once.
    fn candidates(&mut self) -> Result<(), Violation> {
        for member in self.members() {
            let is_one = self.rng.percent(50);
            if let Some(life) = self.living(member).filter(|_| is_one) {
                life.group.campaign();
            }
            self.settle(member)?;
        }
        Ok(())
    }

    fn restart_one(&mut self) -> Result<(), Violation> {
        let down: Vec<Member> =
            self.nodes.values().filter(|node| node.life.is_none()).map(|node| node.member).collect();
        match self.rng.pick(&down) {
            Some(member) => self.start(member),
            None => Ok(()),
        }
    }

    fn pause(&mut self, member: Member) {
        let until = self.now + self.rng.between(50, 600);
        if let Some(node) = self.nodes.get_mut(&member) {
            node.paused_until = until;
        }
    }

    fn hand_over(&mut self, to: Member) -> Result<(), Violation> {
        let members = self.members();
        let other = self.rng.pick(&members).unwrap_or(to);
        let Some(leader) = self.leader() else { return Ok(()) };
        if let Some(life) = self.living(leader) {
            // It may not lead any more, or the other may be a learner: then nothing happens.
            let _ = life.group.transfer_leader(other);
        }
        self.settle(leader)
    }

    /// What an operator does: adds, promotes, removes; what is removed is switched off and its disk erased.
    fn change_membership(&mut self) -> Result<(), Violation> {
        let Some(leader) = self.leader() else { return Ok(()) };
        let status = self.nodes[&leader].status().expect("it leads");
        let gone: Vec<Member> = self.members().into_iter().filter(|member| self.is_gone(*member)).collect();
        if let Some(gone) = self.rng.pick(&gone).filter(|_| self.rng.percent(50)) {
            self.gone.extend(self.nodes.remove_entry(&gone));
        }
        let learners: Vec<Member> = status.membership.learners.iter().copied().collect();
        let everyone: Vec<Member> =
            status.membership.voters.iter().copied().chain(learners.iter().copied()).collect();
        let change = match self.rng.below(3) {
            0 if self.members_begun < MEMBERS_MAX && everyone.len() < 6 => {
                self.members_begun += 1;
                let member = Member(self.members_begun);
                self.add_node(member, Recovered::joining());
                self.start(member)?;
                Some(MembershipChange::AddLearner(member))
            }
            1 => self.rng.pick(&learners).map(MembershipChange::Promote),
            2 if everyone.len() > 1 => self.rng.pick(&everyone).map(MembershipChange::Remove),
            _ => None,
        };
        if let (Some(change), Some(life)) = (change, self.living(leader)) {
            // Refused when it is too early or would endanger the majority.
            let _ = life.group.propose_membership(change);
        }
        self.settle(leader)
    }

    /// Whether a member was removed, and a majority of those that remain knows for ever.
    fn is_gone(&self, member: Member) -> bool {
        let Some(removed_at) = self.checker.removed_at(member) else { return false };
        let remaining = self.checker.membership();
        let statuses = self.nodes.values().filter_map(super::Node::status);
        let knows = |status: &consensus::Status| {
            remaining.voters.contains(&status.me)
                && status.handed_out >= removed_at
                && status.is_membership_durable
        };
        statuses.filter(knows).count() >= remaining.quorum()
    }

    /// Everything works again. Members that are still wanted are up.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.is_calm = true;
        self.network = Network::default();
        for member in self.members() {
            let node = self.nodes.get_mut(&member).expect("it exists");
            node.paused_until = self.now;
            node.sync_ms = 2;
            if node.life.is_none() {
                self.start(member)?;
            }
        }
        Ok(())
    }
}

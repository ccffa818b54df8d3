//! A world by seed: members, disks, a network, time, and all that fails. The same seed gives the same run.

mod bugs;
mod checker;
mod clients;
mod disk;
mod faults;
mod machine;
mod network;
mod node;
mod registers;
mod rng;

use std::collections::BTreeMap;

use consensus::{
    Consensus, Entry, LogIndex, Member, Membership, Message, Outgoing, Persist, Position, Ready, Recovered,
    SnapshotMark, SnapshotOffer,
};

pub(crate) use bugs::Bug;
use checker::{Checker, Violation};
use faults::Plan;
use network::Network;
use node::{Life, Node};
use registers::History;
use rng::{Rng, mix};

/// How long things fail, in milliseconds of the world.
const STORM_MS: u64 = 5_000;

/// How long a healed world may take until all is well: elections (up to 20 ticks of up to 20 ms, some of which may
/// fail), catching up, snapshots.
const CALM_MS: u64 = 6_000;

/// What is to happen.
#[derive(Clone, Debug)]
enum Event {
    Tick { to: Member, life: u64 },
    Deliver { from: Member, to: Member, message: Message },
    Synced { to: Member, life: u64 },
    SnapshotArrives { to: Member, life: u64, offer: SnapshotOffer },
    Client,
    Fault,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) digest: u64,
    pub(crate) committed: usize,
    pub(crate) reads: usize,
    pub(crate) installs: usize,
    /// Whether it was found out that the history is linearizable.
    pub(crate) is_decided: bool,
}

/// The world.
pub(crate) struct World {
    seed: u64,
    now: u64,
    rng: Rng,
    plan: Plan,
    nodes: BTreeMap<Member, Node>,
    /// Members that were removed and switched off. A leader that does not know yet may count what they had: with or
    /// without them, what it decides overlaps with every majority of those that remain.
    gone: BTreeMap<Member, Node>,
    network: Network,
    checker: Checker,
    history: History,
    events: BTreeMap<(u64, u64), Event>,
    events_begun: u64,
    commands_begun: u64,
    /// Numbers are never given twice, as the crate demands.
    members_begun: u64,
    bug: Option<Bug>,
    outcome: Outcome,
    /// Commands by the place that was promised to them, while healed.
    awaited: Vec<Position>,
    is_calm: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> World {
        let mut rng = Rng::new(mix(seed));
        let plan = Plan::draw(&mut rng);
        let members: Vec<Member> = (1..=plan.voters).map(Member).collect();
        let genesis = Membership::of_voters(members.iter().copied());
        let mut world = World {
            seed,
            now: 0,
            network: plan.network.clone(),
            plan,
            nodes: BTreeMap::new(),
            gone: BTreeMap::new(),
            checker: Checker::new(&genesis),
            history: History::new(),
            events: BTreeMap::new(),
            events_begun: 0,
            commands_begun: 0,
            members_begun: genesis.voters.len() as u64,
            bug,
            outcome: Outcome { digest: 0, committed: 0, reads: 0, installs: 0, is_decided: false },
            awaited: Vec::new(),
            is_calm: false,
            rng,
        };
        for member in members {
            world.add_node(member, Recovered::genesis(genesis.clone()));
        }
        world.schedule(30, Event::Client);
        world.schedule(100, Event::Fault);
        world
    }

    /// Runs through a storm and the calm after it.
    pub(crate) fn run(mut self) -> Result<Outcome, Violation> {
        for member in self.members() {
            self.start(member)?;
        }
        self.run_until(STORM_MS)?;
        self.heal()?;
        self.run_until(STORM_MS + CALM_MS)?;
        self.check_calm()?;
        let decided = registers::check_history(&self.history);
        self.outcome.is_decided = decided.map_err(|what| format!("seed {}: {what}", self.seed))?;
        self.outcome.committed = self.checker.committed_count();
        Ok(self.outcome)
    }

    fn run_until(&mut self, end: u64) -> Result<(), Violation> {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.handle(event).map_err(|what| format!("seed {} at {} ms: {what}", self.seed, self.now))?;
        }
        self.now = end;
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), Violation> {
        if let Some(member) = event.member()
            && let Some(node) = self.nodes.get(&member)
            && node.paused_until > self.now
        {
            let delay = node.paused_until - self.now;
            self.schedule(delay, event);
            return Ok(());
        }
        match event {
            Event::Tick { to, life } => self.on_tick(to, life),
            Event::Deliver { from, to, message } => self.on_deliver(from, to, message),
            Event::Synced { to, life } => self.on_synced(to, life),
            Event::SnapshotArrives { to, life, offer } => self.on_snapshot(to, life, &offer),
            Event::Client => self.on_client(),
            Event::Fault => self.on_fault(),
        }
    }

    fn on_tick(&mut self, to: Member, life: u64) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&to).filter(|node| node.lives == life) else { return Ok(()) };
        let tick_ms = node.tick_ms;
        let Some(living) = &mut node.life else { return Ok(()) };
        living.group.tick();
        self.schedule(tick_ms, Event::Tick { to, life });
        self.settle(to)
    }

    fn on_deliver(&mut self, from: Member, to: Member, message: Message) -> Result<(), Violation> {
        let Some(life) = self.nodes.get_mut(&to).and_then(|node| node.life.as_mut()) else { return Ok(()) };
        // What it refuses, it refuses: the checkers see what comes of it.
        let _ = life.group.receive(from, message);
        self.settle(to)
    }

    fn on_synced(&mut self, to: Member, life: u64) -> Result<(), Violation> {
        let bug = self.bug;
        let Some(node) = self.nodes.get_mut(&to).filter(|node| node.lives == life) else { return Ok(()) };
        let Some(living) = &mut node.life else { return Ok(()) };
        if let Some((records, number)) = living.syncing.take() {
            for (before, entry) in node.disk.sync(records, bug) {
                self.checker.on_durable(before, &entry)?;
            }
            living.group.persisted(number);
        }
        self.settle(to)
    }

    fn on_snapshot(&mut self, to: Member, life: u64, offer: &SnapshotOffer) -> Result<(), Violation> {
        let is_lost = self.rng.percent(self.plan.snapshot_loss_percent) && !self.is_calm;
        let source = self.nodes.get(&offer.from).filter(|node| node.life.is_some() && !is_lost);
        let machine = source.and_then(|node| node.disk.snapshot(&offer.mark));
        let Some(node) = self.nodes.get_mut(&to).filter(|node| node.lives == life) else { return Ok(()) };
        let Some(living) = &mut node.life else { return Ok(()) };
        match machine {
            Some(machine) => {
                node.disk.save(offer.mark.clone(), machine);
                living.group.snapshot_arrived(&offer.mark);
            }
            None => living.group.snapshot_failed(&offer.mark),
        }
        self.settle(to)
    }

    /// Does what a member wants done, until it wants nothing.
    fn settle(&mut self, member: Member) -> Result<(), Violation> {
        self.check_decisions(member)?;
        while let Some(ready) = self.take_ready(member) {
            self.check_decisions(member)?;
            self.do_ready(member, ready)?;
        }
        self.begin_sync(member);
        let Some(node) = self.nodes.get(&member) else { return Ok(()) };
        let Some(status) = node.status() else { return Ok(()) };
        self.checker.on_status(&status, |index| node.disk.term_at(index))?;
        self.checker.on_membership(&status)?;
        let parts = [self.now, member.0, status.last.0, status.handed_out.0, status.leadership.term.0];
        self.outcome.digest = parts.into_iter().fold(self.outcome.digest, |digest, part| mix(digest ^ part));
        Ok(())
    }

    fn take_ready(&mut self, member: Member) -> Option<Ready> {
        self.nodes.get_mut(&member)?.life.as_mut()?.group.take_ready()
    }

    fn do_ready(&mut self, member: Member, ready: Ready) -> Result<(), Violation> {
        if let Some(persist) = ready.persist {
            self.write(member, persist)?;
        }
        for outgoing in ready.send {
            self.send(member, outgoing);
        }
        self.apply(member, &ready.committed)?;
        self.answer_reads(member);
        for answer in ready.reads {
            self.on_answer(member, answer)?;
        }
        if ready.snapshot_needed {
            self.take_snapshot(member)?;
        }
        if let Some(offer) = ready.snapshot_offered {
            let delay = self.rng.between(5, 60);
            let life = self.nodes[&member].lives;
            self.schedule(delay, Event::SnapshotArrives { to: member, life, offer });
        }
        Ok(())
    }

    fn write(&mut self, member: Member, persist: Persist) -> Result<(), Violation> {
        let bug = self.bug;
        let node = self.nodes.get_mut(&member).expect("it is alive");
        let life = node.life.as_mut().expect("it is alive");
        if let Some(mark) = &persist.install {
            life.machine = node.disk.snapshot(mark).expect("it arrived");
            life.lagging = life.machine.clone();
            self.outcome.installs += 1;
            self.checker.on_installed(member, &life.machine)?;
        }
        let (number, must_sync, is_log) = (persist.number, persist.must_sync, persist.append.is_some());
        node.disk.write(persist, bug);
        if must_sync {
            life.wants_sync = Some(number);
        }
        let is_early = match bug {
            Some(Bug::VoteBeforeSync) => !is_log,
            Some(Bug::AckBeforeSync) => is_log,
            _ => false,
        };
        if is_early && must_sync {
            life.group.persisted(number);
        }
        Ok(())
    }

    /// One sync for all that was written since the last began.
    fn begin_sync(&mut self, member: Member) {
        let Some(node) = self.nodes.get_mut(&member) else { return };
        let Some(life) = node.life.as_mut().filter(|life| life.syncing.is_none()) else { return };
        let Some(number) = life.wants_sync.take() else { return };
        life.syncing = Some((node.disk.written(), number));
        let (delay, life) = (1 + self.rng.below(node.sync_ms), node.lives);
        self.schedule(delay, Event::Synced { to: member, life });
    }

    fn send(&mut self, from: Member, outgoing: Outgoing) {
        let Outgoing { to, message } = outgoing;
        let delays = self.network.delays(&mut self.rng, from, to);
        if delays.is_empty() && self.rng.percent(20) {
            let life = self.nodes.get_mut(&from).and_then(|node| node.life.as_mut());
            life.expect("it speaks").group.report_unreachable(to);
        }
        for delay in delays {
            self.schedule(delay, Event::Deliver { from, to, message: message.clone() });
        }
    }

    fn apply(&mut self, member: Member, committed: &[Entry]) -> Result<(), Violation> {
        if let Some(life) = self.nodes.get_mut(&member).and_then(|node| node.life.as_mut()) {
            life.lagging = life.machine.clone();
        }
        for entry in committed {
            let life = self.nodes.get_mut(&member).and_then(|node| node.life.as_mut()).expect("it is alive");
            if entry.index != life.machine.applied.next() {
                return Err(format!("{member} was handed {} after {}", entry.index, life.machine.applied));
            }
            let answer = life.machine.apply(entry);
            // Another entry at the promised place: the command never happens.
            let asked = life.asked.remove(&entry.index).filter(|asked| asked.term == entry.term);
            if let (Some(asked), Some(answer)) = (asked, answer) {
                self.history.end(asked.call, answer);
            }
            self.checker.on_applied(member, entry, life.machine.hash)?;
        }
        Ok(())
    }

    /// Looks at a decision before anything hangs on it.
    fn check_decisions(&mut self, member: Member) -> Result<(), Violation> {
        let Some(node) = self.nodes.get(&member) else { return Ok(()) };
        let Some(status) = node.status() else { return Ok(()) };
        let disk_of = |voter: Member| self.nodes.get(&voter).or(self.gone.get(&voter)).map(|node| &node.disk);
        let is_durable_at = |voter: Member, at| disk_of(voter).is_some_and(|disk| disk.has_durable(at));
        self.checker.on_commit(&status, |index| node.disk.term_at(index), is_durable_at)
    }

    fn members(&self) -> Vec<Member> {
        self.nodes.keys().copied().collect()
    }

    fn living(&mut self, member: Member) -> Option<&mut Life> {
        self.nodes.get_mut(&member)?.life.as_mut()
    }

    /// The member that leads the newest term, if one believes so.
    fn leader(&self) -> Option<Member> {
        let statuses = self.nodes.values().filter_map(Node::status);
        let leaders = statuses.filter(|status| status.leadership.role == consensus::Role::Leader);
        leaders.max_by_key(|status| status.leadership.term).map(|status| status.me)
    }

    fn add_node(&mut self, member: Member, first: Recovered) {
        let tick_ms = if self.plan.is_skewed { self.rng.between(6, 16) } else { 10 };
        let sync_ms = 1 + self.rng.below(self.plan.sync_ms);
        self.nodes.insert(member, Node::new(member, first, tick_ms, sync_ms));
    }

    fn start(&mut self, member: Member) -> Result<(), Violation> {
        let seed = self.rng.next();
        let node = self.nodes.get_mut(&member).expect("it exists");
        node.start(seed, self.bug)?;
        let (life, delay) = (node.lives, node.tick_ms);
        self.schedule(delay, Event::Tick { to: member, life });
        self.settle(member)
    }

    fn take_snapshot(&mut self, member: Member) -> Result<(), Violation> {
        let is_ahead = self.bug == Some(Bug::MarkAhead);
        let keep = self.rng.below(10);
        let Some(node) = self.nodes.get_mut(&member) else { return Ok(()) };
        let Some(life) = &mut node.life else { return Ok(()) };
        let Some(mark): Option<SnapshotMark> = life.group.mark(life.machine.applied) else { return Ok(()) };
        let state = if is_ahead { life.lagging.clone() } else { life.machine.clone() };
        let state = machine::Machine { applied: mark.index, ..state };
        node.disk.take(mark.clone(), state);
        let keep_after = LogIndex(mark.index.0.saturating_sub(keep));
        life.group
            .compact(&mark, keep_after)
            .map_err(|refused| format!("{member} cannot compact: {refused}"))?;
        self.settle(member)
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.events_begun += 1;
        self.events.insert((self.now + delay, self.events_begun), event);
    }
}

impl Event {
    /// Whom it happens to.
    fn member(&self) -> Option<Member> {
        match self {
            Event::Tick { to, .. }
            | Event::Deliver { to, .. }
            | Event::Synced { to, .. }
            | Event::SnapshotArrives { to, .. } => Some(*to),
            Event::Client | Event::Fault => None,
        }
    }
}

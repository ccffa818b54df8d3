//! One run: a cluster, its guests, its troubles, and whoever operates it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formats::Message;
use glossary::NodeId;

use super::aims::Aims;
use super::alarm::Alarm;
use super::changes::{self, Changes};
use super::farewell::Farewell;
use super::groups::Groups;
use crate::checkers::{Promise, Violation};
use crate::cluster::{Cluster, Part};
use crate::engine::{ASKERS, Engine, Happening, OUTSIDE};
use crate::faults::Plan;
use crate::kv::{Asker, KvHistory, Whose};
use crate::workload::{Growth, Guest, Profile, Task};
use crate::{Moment, Random, Trace};

/// Everything of a run.
pub(super) struct Run<C: Cluster> {
    pub(super) engine: Engine<C>,
    pub(super) guests: Vec<Guest>,
    /// Who asks the KV beside the roles, and what came of it.
    pub(super) askers: Vec<Asker>,
    /// By group: the root group's first, then those that the operator makes.
    pub(super) asked: Vec<KvHistory>,
    pub(super) next_value: u32,
    /// Of the KV's group.
    pub(super) members: usize,
    pub(super) plan: Plan,
    /// Faults of the plan that have come.
    pub(super) struck: usize,
    pub(super) random: Random,
    pub(super) violations: Vec<Violation>,
    /// From when until when a node's disk had trouble that it may answer for with an error or a halt.
    pub(super) hard_times: Vec<(NodeId, Moment, Moment)>,
    /// When something died in the storm.
    pub(super) crashes: BTreeSet<Moment>,
    /// Whether a disk was full at any time.
    pub(super) was_full: bool,
    /// Nodes that stay dead.
    pub(super) retired: BTreeSet<NodeId>,
    pub(super) halts: BTreeMap<NodeId, u32>,
    pub(super) downs: BTreeMap<NodeId, Duration>,
    /// vDisks that are to be pushed to the ASDs, by the number of the operator's request.
    pub(super) pushes: BTreeMap<u64, usize>,
    pub(super) farewell: Farewell,
    pub(super) changes: Changes,
    pub(super) groups: Groups,
    pub(super) aims: Aims,
    /// What is to be asked before all else, the first last.
    pub(super) prologue: Vec<(NodeId, Message)>,
    pub(super) requests: u64,
    deadlines: u32,
    /// From then on what is read back rests on the ASDs alone.
    pub(super) disaster: Moment,
    /// From then on nothing more is demanded than that no byte is wrong.
    pub(super) last_injury: Moment,
}

/// Steps that a run may take, some thirty times the usual: a role that spins without end is found by it.
const STEPS_MAX: u64 = 2_000_000;

impl<C: Cluster> Run<C> {
    /// Draws a run.
    pub(super) fn new(
        cluster: C,
        seed: u64,
        operations: u64,
        profile: Option<Profile>,
        trace: Trace,
    ) -> Self {
        let layout = cluster.layout();
        let plan = Plan::draw(layout, operations, seed);
        let guests = layout.guests.iter().enumerate().map(|(index, spec)| {
            let mut random = Random::stream(seed, &format!("guest {index}"));
            let profile = profile.unwrap_or_else(|| *random.pick(&Profile::ALL));
            let growth = Growth::draw(layout.can_sync, Random::stream(seed, &format!("growth {index}")));
            Guest::new(NodeId(OUTSIDE.0 + index as u32), spec.clone(), profile, growth, random)
        });
        let guests = guests.collect();
        let groups = Groups::draw(layout, Random::stream(seed, "groups of the KV"));
        let (of_root, kv) = layout.askers.clone();
        let askers = (0..of_root + groups.askers()).map(|index| {
            let random = Random::stream(seed, &format!("asker {index}"));
            // One that never waits for a change sees most of a leader that is cut off.
            let only_reads = index == 0 || groups.is_first(index, of_root);
            Asker::new(NodeId(ASKERS.0 + index as u32), kv.clone(), only_reads, random)
        });
        let mut askers: Vec<Asker> = askers.collect();
        askers[of_root..].iter_mut().for_each(|asker| asker.whose = Whose::Nobody);
        let asked = vec![KvHistory::new(); 1 + groups.count()];
        let members = layout.of(Part::Kv).len();
        let changes = Changes::draw(layout, layout.voters, Random::stream(seed, "changes"));
        let aims = Aims::draw(layout, &plan, Random::stream(seed, "aims"));
        let prologue = layout.prologue.iter().rev().cloned().collect();
        let mut engine = Engine::new(cluster, seed, plan.weather);
        engine.trace = trace;
        Run {
            engine,
            guests,
            askers,
            asked,
            next_value: 0,
            members,
            plan,
            struck: 0,
            random: Random::stream(seed, "operator"),
            violations: Vec::new(),
            hard_times: Vec::new(),
            crashes: BTreeSet::new(),
            was_full: false,
            retired: BTreeSet::new(),
            halts: BTreeMap::new(),
            downs: BTreeMap::new(),
            pushes: BTreeMap::new(),
            farewell: Farewell::default(),
            changes,
            groups,
            aims,
            prologue,
            requests: 0,
            deadlines: 0,
            disaster: Moment::NEVER,
            last_injury: Moment::NEVER,
        }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<C> {
        (0..self.engine.cluster.layout().nodes.len() as u32).map(NodeId)
    }

    pub(super) fn part(&self, node: NodeId) -> Part {
        self.engine.cluster.layout().node(node).part
    }

    pub(super) fn alarm(&mut self, after: Duration, alarm: Alarm) {
        self.engine.alarm(after, alarm.number());
    }

    /// Starts the nodes of the prologue and the KV, and has its requests made.
    pub(super) fn begin(&mut self) {
        let mut nodes: BTreeSet<NodeId> = self.prologue.iter().map(|(node, _)| *node).collect();
        nodes.extend(self.engine.cluster.layout().of(Part::Kv));
        nodes.into_iter().for_each(|node| self.engine.start(node));
        self.alarm(Duration::from_micros(1), Alarm::Ask);
    }

    /// Whether the prologue is over.
    pub(super) fn has_begun(&self) -> bool {
        self.prologue.is_empty()
    }

    /// Lets guests begin.
    pub(super) fn wake_guests(&mut self) {
        for index in 0..self.guests.len() {
            self.alarm(Duration::from_micros(10), Alarm::Guest(index));
        }
        for index in 0..self.askers.len() {
            self.alarm(Duration::from_micros(10), Alarm::Asker(index));
        }
        self.alarm(changes::FIRST, Alarm::Change);
        if self.groups.count() > 0 {
            self.alarm(changes::FIRST, Alarm::Group);
        }
        if !self.aims.is_done() {
            self.alarm(changes::FIRST, Alarm::Aim);
        }
    }

    /// Gives every asker so many calls.
    pub(super) fn task_askers(&mut self, calls: u32) {
        self.askers.iter_mut().for_each(|asker| asker.task(calls));
    }

    /// Whether guests, askers and the operator have nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.changes.is_done()
            && self.groups.is_done()
            && self.aims.is_done()
            && self.guests.iter().all(Guest::is_idle)
            && self.askers.iter().all(Asker::is_idle)
    }

    /// Gives every guest a task.
    pub(super) fn task(&mut self, task: impl Fn(usize) -> Task) {
        self.guests.iter_mut().enumerate().for_each(|(index, guest)| guest.task = task(index));
    }

    /// Runs until something is so; false when it isn't in time.
    pub(super) fn run_until(&mut self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        self.deadlines += 1;
        let deadline = Alarm::Deadline(self.deadlines);
        self.alarm(limit, deadline);
        loop {
            if is_so(self) {
                return true;
            }
            // Whatever follows from what is wrong already is no news, and may take long.
            if self.is_broken() {
                return false;
            }
            if self.engine.steps() > STEPS_MAX {
                self.complain(Promise::P9, format!("{STEPS_MAX} steps and no end"));
                return false;
            }
            let happening = self.engine.next().expect("guests set alarms for ever");
            if happening == Happening::Alarm(deadline.number()) {
                return is_so(self);
            }
            self.on_happening(happening);
            self.strike_what_is_due();
        }
    }

    pub(super) fn is_injured(&self) -> bool {
        self.last_injury < Moment::NEVER
    }

    /// Whether a promise was seen broken, as far as that is seen before guests are asked.
    fn is_broken(&self) -> bool {
        !self.violations.is_empty() || !self.engine.complaints().is_empty()
    }

    pub(super) fn complain(&mut self, promise: Promise, what: String) {
        if self.is_broken() {
            return;
        }
        let at = self.engine.now();
        self.violations.push(Violation { promise, at, range: 0..0, what });
    }
}

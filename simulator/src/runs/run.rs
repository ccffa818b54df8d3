//! One run: a cluster, its guests, its troubles, and whoever operates it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use formats::message::kv::KvAnswer;
use glossary::NodeId;

use super::changes::{self, Changes};
use super::farewell::Farewell;
use super::groups::Groups;
use crate::checkers::{Promise, Violation};
use crate::cluster::{Cluster, Part};
use crate::disk::Crash;
use crate::engine::{ASKERS, Engine, Happening, OUTSIDE};
use crate::faults::{CRASHES_MIN, Fault, Plan};
use crate::kv::{Asker, KvHistory, Whose};
use crate::workload::{Growth, Guest, Profile, Task};
use crate::{Moment, Random, Trace};

/// The operator, who has disks replaced, machines restarted and vDisks pushed to the ASDs.
pub(super) const OPERATOR: NodeId = NodeId(OUTSIDE.0 + 900);

/// What an alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Guest(usize),
    Asker(usize),
    Start(NodeId),
    /// The operator looks after a node whose disk had trouble.
    Mend(NodeId),
    /// The operator asks again.
    Ask,
    /// The operator changes the KV's group.
    Change,
    /// The operator makes and drops groups beside it.
    Group,
    Deadline(u32),
}

impl Alarm {
    fn number(self) -> u64 {
        let (tag, value) = match self {
            Alarm::Guest(index) => (0, index as u32),
            Alarm::Start(node) => (1, node.0),
            Alarm::Mend(node) => (2, node.0),
            Alarm::Ask => (3, 0),
            Alarm::Deadline(count) => (4, count),
            Alarm::Asker(index) => (5, index as u32),
            Alarm::Change => (6, 0),
            Alarm::Group => (7, 0),
        };
        tag << 32 | u64::from(value)
    }

    fn from_number(number: u64) -> Self {
        let value = number as u32;
        match number >> 32 {
            0 => Alarm::Guest(value as usize),
            1 => Alarm::Start(NodeId(value)),
            2 => Alarm::Mend(NodeId(value)),
            3 => Alarm::Ask,
            4 => Alarm::Deadline(value),
            5 => Alarm::Asker(value as usize),
            6 => Alarm::Change,
            _ => Alarm::Group,
        }
    }
}

/// Everything of a run.
pub(super) struct Run<C: Cluster> {
    pub(super) engine: Engine<C>,
    pub(super) guests: Vec<Guest>,
    /// Who asks the KV beside the roles, and what came of it.
    pub(super) askers: Vec<Asker>,
    /// By group: the root group's first, then those that the operator makes.
    pub(super) asked: Vec<KvHistory>,
    next_value: u32,
    /// Of the KV's group.
    members: usize,
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
    halts: BTreeMap<NodeId, u32>,
    pub(super) downs: BTreeMap<NodeId, Duration>,
    /// vDisks that are to be pushed to the ASDs, by the number of the operator's request.
    pushes: BTreeMap<u64, usize>,
    pub(super) farewell: Farewell,
    pub(super) changes: Changes,
    pub(super) groups: Groups,
    /// What is to be asked before all else, the first last.
    prologue: Vec<(NodeId, Message)>,
    requests: u64,
    deadlines: u32,
    /// From then on what is read back rests on the ASDs alone.
    pub(super) disaster: Moment,
    /// From then on nothing more is demanded than that no byte is wrong.
    pub(super) last_injury: Moment,
}

/// Halts after which a node whose disk is damaged is left alone.
const HALTS_MAX: u32 = 5;

/// Steps that a run may take, some thirty times the usual: a role that spins without end is found by it.
const STEPS_MAX: u64 = 1_000_000;

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
        let plan =
            Plan::draw(layout, operations, Random::stream(seed, "plan"), Random::stream(seed, "table rot"));
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

    /// Starts every node that is dead and not retired, in any order.
    pub(super) fn start_all(&mut self) {
        let mut dead: Vec<_> = self.nodes().filter(|&node| !self.engine.is_alive(node)).collect();
        dead.retain(|node| !self.retired.contains(node));
        self.random.shuffle(&mut dead);
        for node in dead {
            let after = self.random.microseconds(1, 20_000);
            self.alarm(after, Alarm::Start(node));
        }
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
    }

    /// Gives every asker so many calls.
    pub(super) fn task_askers(&mut self, calls: u32) {
        self.askers.iter_mut().for_each(|asker| asker.task(calls));
    }

    /// Whether guests, askers and the operator have nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.changes.is_done()
            && self.groups.is_done()
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

    pub(super) fn complain(&mut self, promise: Promise, what: String) {
        let at = self.engine.now();
        self.violations.push(Violation { promise, at, range: 0..0, what });
    }

    /// Has every vDisk pushed to the ASDs.
    pub(super) fn push_all(&mut self) {
        for index in 0..self.guests.len() {
            let request = self.next_request();
            self.pushes.insert(request, index);
        }
        self.ask_soon();
    }

    /// The number of the operator's next request.
    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The operator asks for what is to be asked.
    pub(super) fn ask_soon(&mut self) {
        self.alarm(Duration::from_micros(1), Alarm::Ask);
    }

    /// Whether every push was answered.
    pub(super) fn is_pushed(&self) -> bool {
        self.pushes.is_empty()
    }

    fn on_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Mail { to, message, .. } if to == OPERATOR => self.on_operator_mail(message),
            Happening::Mail { to, from, message } if to >= ASKERS => self.on_asker_mail(to, from, message),
            Happening::Mail { to, message, .. } => self.on_guest_mail(to, message),
            Happening::Alarm(number) => self.on_alarm(Alarm::from_number(number)),
            Happening::Died { node, how } => self.on_died(node, how),
            Happening::LostPower { node } => self.remember_crash(node, Crash::Power),
            Happening::Halted { node, how, reason } => self.on_halted(node, how, reason),
        }
    }

    fn on_alarm(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Guest(index) => {
                let edge_lives = self.engine.is_alive(self.guests[index].spec.edge);
                let now = self.engine.now();
                self.guests[index].on_alarm(now, edge_lives);
                self.post(index);
                let rests = self.guests[index].rests();
                self.alarm(rests, Alarm::Guest(index));
            }
            Alarm::Asker(index) => {
                let now = self.engine.now();
                let history = self.history_of(index);
                self.askers[index].on_alarm(now, &mut self.asked[history], &mut self.next_value);
                self.post_asker(index);
                let rests = self.askers[index].rests();
                self.alarm(rests, Alarm::Asker(index));
            }
            Alarm::Start(node) => self.start(node),
            Alarm::Mend(node) => self.mend(node),
            Alarm::Ask => self.ask(),
            Alarm::Change => self.change(),
            Alarm::Group => self.change_groups(),
            Alarm::Deadline(_) => {} // of a wait that ended well
        }
    }

    fn start(&mut self, node: NodeId) {
        if self.engine.is_alive(node) || self.retired.contains(&node) {
            return;
        }
        self.engine.start(node);
        // Starting is when most is at stake: some starts end in another crash.
        let faults_left = self.struck < self.plan.faults.len();
        if faults_left && self.random.chance(1_000) {
            let how = *self.random.pick(&[Crash::Process, Crash::Power]);
            let effects = self.random.below(40) as u32;
            self.engine.doom(node, effects, Duration::from_millis(20), how, Vec::new());
        } else if faults_left && self.members > 1 && self.part(node) == Part::Kv && self.random.chance(2_000)
        {
            // Or in the election that it meets or causes. It comes back while that is still going on.
            let (effects, back) = (self.random.below(120) as u32, self.random.microseconds(1_000, 30_000));
            self.downs.insert(node, back);
            self.engine.doom(node, effects, Duration::from_secs(2), Crash::Power, Vec::new());
        }
    }

    fn on_guest_mail(&mut self, to: NodeId, message: Message) {
        let index = (to.0 - OUTSIDE.0) as usize;
        let now = self.engine.now();
        self.guests[index].on_message(now, message);
        self.post(index);
    }

    fn on_asker_mail(&mut self, to: NodeId, from: NodeId, message: Message) {
        let (index, now) = ((to.0 - ASKERS.0) as usize, self.engine.now());
        let from = self.engine.cluster.address_of(from);
        if let Message::KvReply(reply) = message {
            let history = self.history_of(index);
            let wrong = self.askers[index].on_reply(now, from, reply, &mut self.asked[history]);
            wrong.into_iter().for_each(|wrong| self.complain(Promise::P6, wrong));
            self.post_asker(index);
        }
    }

    fn post_asker(&mut self, index: usize) {
        let id = self.askers[index].id;
        for (to, message) in self.askers[index].take_outbox() {
            if self.engine.trace.is_on() {
                self.engine
                    .say(|name| format!("{} asks: {}", name(id), crate::trace::message_text(&message)));
            }
            self.engine.send(id, to, message);
        }
    }

    fn post(&mut self, index: usize) {
        let id = self.guests[index].id;
        for (to, message) in self.guests[index].take_outbox() {
            if self.engine.trace.is_on() {
                self.engine
                    .say(|name| format!("{} asks: {}", name(id), crate::trace::message_text(&message)));
            }
            self.engine.send(id, to, message);
        }
    }

    fn on_died(&mut self, node: NodeId, how: Crash) {
        let kind = match how {
            Crash::Process => crate::Kind::ProcessCrash,
            Crash::Power => crate::Kind::PowerLoss,
        };
        self.engine.count(kind);
        if self.disaster == Moment::NEVER {
            self.crashes.insert(self.engine.now());
        }
        self.remember_death(node, how);
        let usual = self.random.microseconds(5_000, 300_000);
        let down = self.downs.remove(&node).unwrap_or(usual);
        self.alarm(down, Alarm::Start(node));
    }

    fn remember_crash(&mut self, node: NodeId, how: Crash) {
        let now = self.engine.now();
        for guest in &mut self.guests {
            guest.history.crashed(now, node == guest.spec.volume_driver, how);
        }
    }

    fn remember_death(&mut self, node: NodeId, how: Crash) {
        self.remember_crash(node, how);
        let now = self.engine.now();
        for guest in self.guests.iter_mut().filter(|guest| node == guest.spec.edge) {
            guest.on_edge_died(now);
        }
    }

    fn on_halted(&mut self, node: NodeId, how: Crash, reason: String) {
        let name = self.engine.name(node);
        self.engine.say(|_| format!("=== {name} halts: {reason}"));
        self.remember_death(node, how);
        let halts = self.halts.entry(node).or_default();
        *halts += 1;
        let is_excused = self.is_injured() || self.hard_times.iter().any(|(troubled, ..)| *troubled == node);
        if !is_excused {
            self.complain(Promise::P10, format!("{name} halts without a reason of ours: {reason}"));
        }
        if self.halts[&node] >= HALTS_MAX && (self.is_injured() || self.plan.damageable.contains(&node)) {
            self.retired.insert(node);
        } else if self.halts[&node] > 4 * HALTS_MAX {
            self.complain(Promise::P10, format!("{name} halts again and again: {reason}"));
            self.retired.insert(node);
        } else {
            let down = self.random.microseconds(50_000, 500_000);
            self.alarm(down, Alarm::Start(node));
        }
    }

    fn ask(&mut self) {
        if let Some((to, message)) = self.prologue.last().cloned() {
            // The member that leads the KV's group takes what is for the KV.
            let members = self.engine.cluster.layout().of(Part::Kv);
            let to = if members.contains(&to) { *self.random.pick(&members) } else { to };
            self.engine.send(OPERATOR, to, message);
            return self.alarm(Duration::from_secs(1), Alarm::Ask);
        }
        let pushes: Vec<(u64, usize)> =
            self.pushes.iter().map(|(&request, &index)| (request, index)).collect();
        for (request, index) in &pushes {
            let spec = &self.guests[*index].spec;
            let body = AdminBody::SyncVdisk { name: spec.vdisk.clone() };
            let message = Message::Admin(AdminRequest { request: *request, body });
            self.engine.send(OPERATOR, spec.volume_driver, message);
        }
        let farewells = self.farewell.requests(self);
        let is_all = pushes.is_empty() && farewells.is_empty();
        farewells.into_iter().for_each(|(to, message)| self.engine.send(OPERATOR, to, message));
        if !is_all {
            self.alarm(Duration::from_secs(2), Alarm::Ask);
        }
    }

    fn on_operator_mail(&mut self, message: Message) {
        match message {
            Message::AdminReply(reply) => {
                if reply.body == AdminAnswer::Done {
                    self.pushes.remove(&reply.request);
                }
                self.farewell.on_reply(&reply);
                self.on_change(&reply);
                self.on_groups(&reply);
            }
            Message::KvReply(reply) if matches!(reply.body, KvAnswer::Done(_)) => {
                self.prologue.pop();
                self.alarm(Duration::from_micros(1), Alarm::Ask);
            }
            _ => {}
        }
    }

    /// Brings the faults whose number of operations has been reached.
    fn strike_what_is_due(&mut self) {
        let operations: usize = self.guests.iter().map(Guest::operations).sum();
        while let Some((after, fault)) = self.plan.faults.get(self.struck) {
            if *after > operations as u64 {
                return;
            }
            let fault: Fault = fault.clone();
            self.struck += 1;
            self.strike(fault);
        }
        self.make_up_for_crashes();
    }

    /// Whether every fault of the plan has come, and as many crashes as every run has.
    pub(super) fn is_struck(&self) -> bool {
        self.struck == self.plan.faults.len() && self.crashes.len() as u64 >= CRASHES_MIN
    }

    /// A crash of the plan that was to hit who was dead already was none: another comes for it.
    fn make_up_for_crashes(&mut self) {
        if self.is_struck() || self.struck < self.plan.faults.len() {
            return;
        }
        let node = self.engine.cluster.layout().of(Part::VolumeDriver)[0];
        if !self.engine.is_alive(node) || self.nodes().any(|node| self.engine.is_doomed(node)) {
            return;
        }
        let effects = self.random.below(60) as u32;
        let down = self.random.microseconds(1_000, 500_000);
        self.strike(Fault::Crash { node, how: Crash::Process, with: Vec::new(), effects, down });
    }
}

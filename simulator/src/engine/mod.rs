//! The second executor: one queue of events, one thread, one seed.
//!
//! A node takes what waits for it in turns: some or all of its inbox, then `TurnEnd`. Effects are carried out
//! one by one; a crash may come between any two of them.
// `next` may end in between like an iterator, but borrows; guards on match arms would hide what is dropped.
#![allow(clippy::collapsible_match, clippy::should_implement_trait)]

mod clock;
mod effects;
mod node;
mod queue;

pub use clock::{Clock, RATE_PPM_MAX};

use core::time::Duration;
use std::collections::VecDeque;

use formats::work::{Done, Work};
use formats::{Effect, Event, Message};
use glossary::NodeId;
use step::{Effects, JobId, Machine, TimerId};

use crate::checkers::Promise;
use crate::cluster::{Cluster, View};
use crate::disk::{Crash, Folder};
use crate::kv::GroupCheckers;
use crate::network::{Network, Weather};
use crate::trace::{self, Trace};
use crate::{Digest, Kind, Moment, Random, Tally};
use node::{Doom, Node};
use queue::Queue;

/// The first number of nodes that are no machines of the cluster: guests.
pub const OUTSIDE: NodeId = NodeId(1000);

/// The first number of askers of the KV. They are outside, but the network is between them and the KV.
pub const ASKERS: NodeId = NodeId(2000);

/// A bound was broken, or work was to be done that makes no sense: what a running engine itself can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// When.
    pub at: Moment,
    /// The promise that is broken.
    pub promise: Promise,
    /// What.
    pub what: String,
}

/// Something that whoever drives the engine has to know or to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A message came for a guest.
    Mail {
        /// The guest.
        to: NodeId,
        /// Who sent it.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// A time that was asked for has come.
    Alarm(u64),
    /// A node died.
    Died {
        /// Which.
        node: NodeId,
        /// How.
        how: Crash,
    },
    /// The machine of a node that was dead already lost its power.
    LostPower {
        /// Which.
        node: NodeId,
    },
    /// A node stopped for good, by its own word. It is dead.
    Halted {
        /// Which.
        node: NodeId,
        /// How its disk took it: as a crash of the process, or of the machine where a sync had failed.
        how: Crash,
        /// What it said.
        reason: String,
    },
}

/// What will happen.
#[derive(Clone, Debug)]
enum Item {
    Deliver { from: NodeId, to: NodeId, message: Message },
    Turn { node: NodeId, life: u64 },
    DiskEnds { node: NodeId, life: u64, ticket: u64 },
    WorkEnds { node: NodeId, life: u64, job: JobId, work: Work },
    TimerRings { node: NodeId, life: u64, timer: TimerId, setting: u64 },
    DoomComes { node: NodeId, life: u64 },
    Alarm(u64),
}

/// Nodes, network, disks, clocks, and the queue that drives them.
pub struct Engine<C: Cluster> {
    /// The cluster that is run.
    pub cluster: C,
    /// The network.
    pub network: Network,
    /// The account of the run.
    pub trace: Trace,
    /// What is known of the members of the KV's groups.
    pub groups: GroupCheckers,
    now: Moment,
    queue: Queue<Item>,
    nodes: Vec<Node<C::Node>>,
    happenings: VecDeque<Happening>,
    outbox: Effects<Effect>,
    random: Random,
    digest: Digest,
    tally: Tally,
    steps: u64,
    complaints: Vec<Complaint>,
}

/// How often gauges are read: every so many turns of a node.
const GAUGE_TURNS: u64 = 16;

impl<C: Cluster> Engine<C> {
    /// A cluster whose nodes have not started.
    pub fn new(cluster: C, seed: u64, weather: Weather) -> Self {
        let mut random = Random::stream(seed, "engine");
        let specs = &cluster.layout().nodes;
        let nodes = specs.iter().enumerate().map(|(index, spec)| {
            let disk = Random::stream(seed, &format!("disk {index}"));
            Node::new(Folder::new(&spec.files, spec.capacity, disk), &mut random)
        });
        let nodes = nodes.collect();
        Engine {
            network: Network::new(weather, OUTSIDE..ASKERS, Random::stream(seed, "network")),
            trace: Trace::default(),
            groups: GroupCheckers::default(),
            now: Moment::BEGIN,
            queue: Queue::new(),
            nodes,
            happenings: VecDeque::new(),
            outbox: Effects::new(),
            random,
            digest: Digest::default(),
            tally: Tally::default(),
            steps: 0,
            complaints: Vec::new(),
            cluster,
        }
    }

    /// The time.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The digest of all events and effects so far.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// How many events nodes took.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What happened so far, disks and network included.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.merge(self.network.tally());
        tally.merge(&self.groups.tally());
        self.nodes.iter().for_each(|node| tally.merge(node.folder.tally()));
        tally
    }

    /// Counts something that whoever drives the engine did.
    pub fn count(&mut self, kind: Kind) {
        self.tally.add(kind);
    }

    /// What the engine has to complain about.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// Whether a node lives.
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.node(node).machine.is_some()
    }

    /// Whether a node's death has been decided on.
    pub fn is_doomed(&self, node: NodeId) -> bool {
        self.node(node).doom.is_some()
    }

    /// A node's disk.
    pub fn folder(&self, node: NodeId) -> &Folder {
        &self.node(node).folder
    }

    /// A dead node gets an empty disk.
    pub fn replace_disk(&mut self, node: NodeId) {
        assert!(!self.is_alive(node), "a disk is replaced while nobody uses it");
        let spec = self.cluster.layout().node(node).clone();
        let disk = Random::stream(self.random.word(), "replaced disk");
        let gone = core::mem::replace(
            &mut self.node_mut(node).folder,
            Folder::new(&spec.files, spec.capacity, disk),
        );
        self.tally.merge(gone.tally());
        self.cluster.lose_disk(node);
        self.groups.forget(node);
        self.say(|name| format!("=== {} gets an empty disk", name(node)));
    }

    /// A node's disk, to do something to it.
    pub fn folder_mut(&mut self, node: NodeId) -> &mut Folder {
        &mut self.node_mut(node).folder
    }

    /// Everything, for a look from outside.
    pub fn view(&self) -> View<'_, C::Node> {
        View { nodes: self.nodes.iter().map(|node| (node.machine.as_ref(), &node.folder)).collect() }
    }

    /// A node's name in traces.
    pub fn name(&self, node: NodeId) -> String {
        name_of(&self.cluster, node)
    }

    /// Runs until something happens that is not the engine's own business. `None`: nothing will ever happen.
    pub fn next(&mut self) -> Option<Happening> {
        loop {
            if let Some(happening) = self.happenings.pop_front() {
                return Some(happening);
            }
            let (at, item) = self.queue.pop()?;
            self.now = at;
            self.happen(item);
        }
    }

    /// Rings after a while.
    pub fn alarm(&mut self, after: Duration, alarm: u64) {
        let at = self.now.after(after);
        self.push(at, Item::Alarm(alarm));
    }

    /// Sends a message, also for a guest; one that is for nobody is lost.
    pub fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let Some(to) = self.cluster.node_at(to) else { return };
        let arrivals = self.network.route(self.now, from, to);
        if let Some(at) = arrivals.second {
            self.push(at, Item::Deliver { from, to, message: message.clone() });
        }
        if let Some(at) = arrivals.first {
            self.push(at, Item::Deliver { from, to, message });
        }
    }

    /// Starts a new life of a dead node.
    pub fn start(&mut self, node: NodeId) {
        assert!(!self.is_alive(node), "a node lives one life at a time");
        let machine = self.cluster.build(node);
        let seed = self.random.seed();
        self.node_mut(node).machine = Some(machine);
        self.say(|name| format!("=== {} starts", name(node)));
        self.enqueue(node, Event::Start { seed });
    }

    /// Decides a node's death: after so many more effects, or when the time has come without them. Others
    /// die at the same instant.
    pub fn doom(&mut self, node: NodeId, effects: u32, at_most: Duration, how: Crash, with: Vec<NodeId>) {
        if self.is_alive(node) {
            let life = self.node(node).life;
            self.node_mut(node).doom = Some(Doom { effects, how, with });
            let at = self.now.after(at_most);
            self.push(at, Item::DoomComes { node, life });
        }
    }

    /// Ends a node's life, here and now.
    pub fn kill(&mut self, node: NodeId, how: Crash) {
        let was_alive = self.is_alive(node);
        let how = self.node_mut(node).die(how);
        if was_alive {
            self.say(|name| format!("=== {} dies: {how:?}", name(node)));
            self.happenings.push_back(Happening::Died { node, how });
        } else if how == Crash::Power {
            self.say(|name| format!("=== {} was dead and loses its power", name(node)));
            self.happenings.push_back(Happening::LostPower { node });
        }
    }

    /// Stops a node for a while; its clock goes on.
    pub fn pause(&mut self, node: NodeId, duration: Duration) {
        let until = self.now.after(duration);
        self.say(|name| format!("=== {} stands still until {until}", name(node)));
        self.node_mut(node).paused_until = until;
    }

    /// Adds a line to the account; it gets a function that names nodes.
    pub fn say(&mut self, line: impl FnOnce(&dyn Fn(NodeId) -> String) -> String) {
        let cluster = &self.cluster;
        self.trace.say(self.now, || line(&|node| name_of(cluster, node)));
    }

    fn node(&self, node: NodeId) -> &Node<C::Node> {
        &self.nodes[node.0 as usize]
    }

    fn node_mut(&mut self, node: NodeId) -> &mut Node<C::Node> {
        &mut self.nodes[node.0 as usize]
    }

    fn push(&mut self, at: Moment, item: Item) {
        let tie = self.random.word() as u32;
        self.queue.push(at, tie, item);
    }

    fn lives(&self, node: NodeId, life: u64) -> bool {
        self.is_alive(node) && self.node(node).life == life
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Alarm(alarm) => self.happenings.push_back(Happening::Alarm(alarm)),
            Item::Deliver { from, to, message } if to >= OUTSIDE => {
                self.happenings.push_back(Happening::Mail { to, from, message });
            }
            Item::Deliver { from, to, message } => {
                if self.is_alive(to) {
                    match self.cluster.relay(message) {
                        Ok(message) => {
                            let from = self.cluster.address_of(from);
                            self.enqueue(to, Event::Message { from, message });
                        }
                        Err(why) => {
                            let what = format!("{} to {}: {why}", self.name(from), self.name(to));
                            self.complain(Promise::P6, what);
                        }
                    }
                }
            }
            Item::DiskEnds { node, life, ticket } if self.lives(node, life) => {
                let now = self.now;
                let (operation, result) = self.node_mut(node).folder.finish(now, ticket);
                self.enqueue(node, Event::Disk { operation, result });
            }
            Item::WorkEnds { node, life, job, work } if self.lives(node, life) => {
                self.work_ends(node, job, work)
            }
            Item::TimerRings { node, life, timer, setting } if self.lives(node, life) => {
                if self.node(node).timers.get(&timer) == Some(&setting) {
                    self.node_mut(node).timers.remove(&timer);
                    self.enqueue(node, Event::Timer(timer));
                }
            }
            Item::Turn { node, life } if self.lives(node, life) => self.turn(node),
            Item::DoomComes { node, life } if self.lives(node, life) => self.meet_doom(node),
            _ => {} // of an earlier life
        }
    }

    fn work_ends(&mut self, node: NodeId, job: JobId, work: Work) {
        let result = self.cluster.perform(work);
        if result == Done::Impossible {
            let what = format!("{} asked for work that makes no sense", self.name(node));
            self.complain(Promise::P9, what);
        }
        self.enqueue(node, Event::Worked { job, result });
    }

    pub(super) fn complain(&mut self, promise: Promise, what: String) {
        // One complaint of a kind tells enough.
        if self.complaints.len() < 8 {
            self.complaints.push(Complaint { at: self.now, promise, what });
        }
    }

    fn enqueue(&mut self, node: NodeId, event: Event) {
        self.node_mut(node).inbox.push_back(event);
        self.schedule_turn(node);
    }

    fn schedule_turn(&mut self, node: NodeId) {
        if self.node(node).turn_comes {
            return;
        }
        let at = self.now.after(self.random.microseconds(1, 15)).max(self.node(node).paused_until);
        let life = self.node(node).life;
        self.node_mut(node).turn_comes = true;
        self.push(at, Item::Turn { node, life });
    }

    /// Delivers some or all of what waits, then `TurnEnd`.
    fn turn(&mut self, node: NodeId) {
        self.node_mut(node).turn_comes = false;
        if self.now < self.node(node).paused_until {
            return self.schedule_turn(node);
        }
        let waiting = self.node(node).inbox.len() as u64;
        let count = if self.random.chance(2_500) { self.random.between(1, waiting.max(1)) } else { waiting };
        let life = self.node(node).life;
        for _ in 0..count {
            let Some(event) = self.node_mut(node).inbox.pop_front() else { break };
            self.step(node, event);
            if !self.lives(node, life) {
                return;
            }
        }
        self.step(node, Event::TurnEnd);
        if self.lives(node, life) {
            self.node_mut(node).turns += 1;
            self.read_gauges(node);
            if !self.node(node).inbox.is_empty() {
                self.schedule_turn(node);
            }
        }
    }

    fn step(&mut self, node: NodeId, event: Event) {
        let now = self.now;
        self.steps += 1;
        self.digest.word(now.0 ^ u64::from(node.0) << 56);
        self.digest.event(&event);
        if event != Event::TurnEnd {
            let from =
                if let Event::Message { from, .. } = &event { self.cluster.node_at(*from) } else { None };
            self.say(|name| {
                let from = from.map(|from| format!("{}: ", name(from))).unwrap_or_default();
                format!("{} > {from}{}", name(node), trace::event(&event))
            });
        }
        let mut outbox = core::mem::take(&mut self.outbox);
        let index = node.0 as usize;
        let reading = self.nodes[index].clock.reading(now);
        let machine = self.nodes[index].machine.as_mut().expect("only the living step");
        machine.step(reading, event, &mut outbox);
        let looks = self.cluster.looks(machine);
        self.carry_out(node, &mut outbox);
        self.outbox = outbox;
        for (group, look) in looks {
            let wrong = self.groups.look(group, node, look);
            wrong.into_iter().for_each(|wrong| self.complain(Promise::P5, wrong));
        }
    }

    fn read_gauges(&mut self, node: NodeId) {
        if !self.node(node).turns.is_multiple_of(GAUGE_TURNS) {
            return;
        }
        let machine = self.nodes[node.0 as usize].machine.as_ref().expect("only the living have turns");
        let over: Vec<_> =
            self.cluster.gauges(node, machine).into_iter().filter(|g| g.value > g.bound).collect();
        for gauge in over {
            let what =
                format!("{}: {} is {}, above {}", self.name(node), gauge.name, gauge.value, gauge.bound);
            self.complain(Promise::P9, what);
        }
    }
}

fn name_of<C: Cluster>(cluster: &C, node: NodeId) -> String {
    match cluster.layout().nodes.get(node.0 as usize) {
        Some(spec) => spec.name.clone(),
        None if node >= ASKERS => format!("asker-{}", node.0 - ASKERS.0),
        None => format!("guest-{}", node.0.saturating_sub(OUTSIDE.0)),
    }
}

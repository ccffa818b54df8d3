//! The second executor: one queue of events, one thread, one seed.
//!
//! A node takes what waits for it in turns: some or all of its inbox, then `TurnEnd`. Effects are carried out
//! one by one; a crash may come between any two of them.
// `next` may end in between like an iterator, but borrows; guards on match arms would hide what is dropped.
#![allow(clippy::collapsible_match, clippy::should_implement_trait)]

mod clock;
mod effects;
mod happening;
mod lives;
mod node;
mod queue;
mod turns;

pub use clock::{Clock, RATE_PPM_MAX};
pub use happening::{Complaint, Happening};

use core::time::Duration;
use std::collections::VecDeque;

use formats::work::{Done, Work};
use formats::{Effect, Event, Message};
use glossary::NodeId;
use step::{Effects, JobId, TimerId};

use crate::checkers::Promise;
use crate::cluster::{Cluster, View};
use crate::disk::Folder;
use crate::kv::GroupCheckers;
use crate::network::{Network, Weather};
use crate::trace::Trace;
use crate::{Digest, Kind, Moment, Random, Tally};
use node::Node;
use queue::Queue;

/// The first number of nodes that are no machines of the cluster: guests.
pub const OUTSIDE: NodeId = NodeId(1000);

/// The first number of askers of the KV. They are outside, but the network is between them and the KV.
pub const ASKERS: NodeId = NodeId(2000);

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

    /// A node's disk.
    pub fn folder(&self, node: NodeId) -> &Folder {
        &self.node(node).folder
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
                if self.node(node).timers.get(&timer).is_some_and(|(counts, _)| *counts == setting) {
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
}

fn name_of<C: Cluster>(cluster: &C, node: NodeId) -> String {
    match cluster.layout().nodes.get(node.0 as usize) {
        Some(spec) => spec.name.clone(),
        None if node >= ASKERS => format!("asker-{}", node.0 - ASKERS.0),
        None => format!("guest-{}", node.0.saturating_sub(OUTSIDE.0)),
    }
}

//! A world in which nothing goes wrong and everything comes in the order it was sent: roles, disks, one guest.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formats::message::kv::KvAnswer;
use formats::work::Work;
use formats::{Effect, Event, Message};
use glossary::NodeId;
use roles::Role;
use simulator::Moment;
use simulator::disk::Folder;
use step::{DiskOperation, Effects, JobId, Machine, OperationId, TimerId, Timestamp};

/// Whoever asks: guest and operator in one.
pub(crate) const GUEST: NodeId = NodeId(1000);

/// Something that reaches a node, or the guest.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    Event(Event),
    /// An operation that its disk carries out, and then tells the node.
    Disk(OperationId, DiskOperation),
    /// Work that is done beside the node, which is then told.
    Work(JobId, Work),
}

/// A hop: what reached whom.
pub(crate) type Hop = (NodeId, Arrival);

/// Roles, their disks, and what is on its way. Node `NodeId(n)` is the n-th role.
pub(crate) struct World {
    roles: Vec<Role>,
    folders: Vec<Folder>,
    queue: VecDeque<Hop>,
    timers: BTreeMap<(NodeId, TimerId), Moment>,
    now: Moment,
    requests: u64,
    /// Nodes that nothing reaches.
    pub(crate) dead: BTreeSet<NodeId>,
    /// What nodes said that halted.
    pub(crate) halts: Vec<(NodeId, String)>,
}

impl World {
    /// Roles that have not started, on these disks.
    pub(crate) fn new(roles: Vec<Role>, folders: Vec<Folder>) -> Self {
        World {
            roles,
            folders,
            queue: VecDeque::new(),
            timers: BTreeMap::new(),
            now: Moment::BEGIN,
            requests: 0,
            dead: BTreeSet::new(),
            halts: Vec::new(),
        }
    }

    /// Starts a node, in a life with this number: no two lives of a node may share one.
    pub(crate) fn start(&mut self, node: NodeId, life: u8) {
        let mut seed = [life; 32];
        seed[0] = node.0 as u8;
        self.queue.push_back((node, Arrival::Event(Event::Start { seed })));
    }

    /// Asks a KV for a command until it is done.
    pub(crate) fn command(&mut self, kv: NodeId, message: &Message) {
        while !matches!(self.ask(kv, message.clone()).0, Message::KvReply(reply) if is_done(&reply.body)) {}
    }

    /// A node's disk.
    pub(crate) fn folder(&self, node: NodeId) -> &Folder {
        &self.folders[node.0 as usize]
    }

    /// How long it has been going on.
    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// The number of the next request of the guest.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The guest asks, and all that follows happens until it has its answer and nothing is left to do: the answer,
    /// and the hops.
    pub(crate) fn ask(&mut self, to: NodeId, message: Message) -> (Message, Vec<Hop>) {
        self.queue.push_back((to, Arrival::Event(Event::Message { from: GUEST, message })));
        let (mut answer, mut hops) = (None, Vec::new());
        loop {
            match self.queue.pop_front() {
                None if answer.is_some() => return (answer.expect("there is one"), hops),
                None => self.ring(),
                Some((node, arrival)) => {
                    hops.push((node, arrival.clone()));
                    match arrival {
                        Arrival::Event(Event::Message { message, .. }) if node == GUEST => {
                            answer = Some(message)
                        }
                        arrival => self.arrive(node, arrival),
                    }
                }
            }
        }
    }

    /// Time goes by until what roles do after their start is done: they answer one another's first questions.
    pub(crate) fn rest(&mut self) {
        let until = self.now.after(Duration::from_secs(10));
        while self.now < until || !self.queue.is_empty() {
            match self.queue.pop_front() {
                Some((node, arrival)) => self.arrive(node, arrival),
                None => self.ring(),
            }
        }
    }

    /// Nothing more happens by itself: the next timer rings.
    fn ring(&mut self) {
        let (&(node, timer), &at) =
            self.timers.iter().min_by_key(|(_, at)| **at).expect("somebody waits for something");
        self.timers.remove(&(node, timer));
        self.now = self.now.max(at);
        self.queue.push_back((node, Arrival::Event(Event::Timer(timer))));
    }

    fn arrive(&mut self, node: NodeId, arrival: Arrival) {
        if self.dead.contains(&node) {
            return;
        }
        match arrival {
            Arrival::Event(event) => {
                self.step(node, event);
                self.step(node, Event::TurnEnd);
            }
            Arrival::Disk(operation, what) => {
                let folder = &mut self.folders[node.0 as usize];
                let (ticket, takes) = folder.begin(self.now, operation, what);
                self.now = self.now.after(takes);
                let (operation, result) = folder.finish(self.now, ticket);
                self.queue.push_back((node, Arrival::Event(Event::Disk { operation, result })));
            }
            Arrival::Work(job, work) => {
                let result = roles::perform(work);
                self.queue.push_back((node, Arrival::Event(Event::Worked { job, result })));
            }
        }
    }

    fn step(&mut self, node: NodeId, event: Event) {
        let mut effects: Effects<Effect> = Effects::new();
        self.roles[node.0 as usize].step(Timestamp(self.now.0), event, &mut effects);
        for effect in effects.drain() {
            self.carry_out(node, effect);
        }
    }

    fn carry_out(&mut self, node: NodeId, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                self.queue.push_back((to, Arrival::Event(Event::Message { from: node, message })));
            }
            Effect::Disk { operation, what } => self.queue.push_back((node, Arrival::Disk(operation, what))),
            Effect::Work { job, work } => self.queue.push_back((node, Arrival::Work(job, work))),
            Effect::SetTimer { timer, after } => {
                self.timers.insert((node, timer), self.now.after(after));
            }
            Effect::ClearTimer(timer) => {
                self.timers.remove(&(node, timer));
            }
            Effect::Halt { reason } => self.halts.push((node, reason)),
        }
    }
}

fn is_done(answer: &KvAnswer) -> bool {
    matches!(answer, KvAnswer::Done(_))
}

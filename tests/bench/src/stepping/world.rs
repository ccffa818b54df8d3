//! Who passes events between the two machines and the world.

use std::time::{Duration, Instant};

use bytes::Bytes;
use edge::Edge;
use formats::message::guest::{GuestAnswer, GuestBody, GuestRequest};
use formats::work::{Done, Work};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, ClientId, NodeId, VdiskId, VdiskName};
use step::{Effects, Entropy, Machine, TimerId, Timestamp};
use volume::VolumeDriver;

use super::disk::Disk;
use super::registry::{self, Registry};

const CLUSTER: u64 = 4096;
/// Clusters of the vDisk.
const SIZE: u64 = 1 << 18;
const DRIVER: NodeId = NodeId(1);
const KV: NodeId = NodeId(2);
const OBJECTS: NodeId = NodeId(3);
const EDGE: NodeId = NodeId(4);
const GATEWAY: NodeId = NodeId(5);

pub(super) struct World {
    random: Entropy,
    now: Timestamp,
    edge: Edge,
    driver: VolumeDriver,
    disk: Disk,
    registry: Registry,
    to_edge: Vec<Event>,
    to_driver: Vec<Event>,
    timers: Vec<(Timestamp, NodeId, TimerId)>,
    answers: u64,
    requests: u64,
    vdisk: Option<VdiskId>,
    data: Bytes,
    pub(super) edge_took: Duration,
    pub(super) driver_took: Duration,
}

impl World {
    /// A vDisk of 1 GiB, attached.
    pub(super) fn new() -> Self {
        let name = VdiskName::new("disk1").expect("a name");
        let mut disk = Disk::default();
        disk.put("identity", registry::buffer_identity_file());
        let (sco_size, buffer) = (ByteCount(16 << 20), ByteCount(2 << 30));
        let mut world = World {
            random: Entropy::new([7; 32]),
            now: Timestamp(0),
            edge: Edge::new(edge::Config::new(ClientId(7), DRIVER)),
            driver: VolumeDriver::new(volume::Config::new(DRIVER, vec![KV], OBJECTS)),
            disk,
            registry: Registry::new(&name, ByteCount(SIZE * CLUSTER), sco_size, buffer),
            to_edge: vec![Event::Start { seed: [1; 32] }],
            to_driver: vec![Event::Start { seed: [2; 32] }],
            timers: Vec::new(),
            answers: 0,
            requests: 0,
            vdisk: None,
            data: vec![7; CLUSTER as usize].into(),
            edge_took: Duration::ZERO,
            driver_took: Duration::ZERO,
        };
        world.ask(GuestBody::Attach { name });
        world.settle();
        (world.edge_took, world.driver_took) = (Duration::ZERO, Duration::ZERO);
        world
    }

    /// So many writes arrive at once; goes on until all are answered.
    pub(super) fn write(&mut self, count: u64) {
        let vdisk = self.vdisk.expect("attached");
        for _ in 0..count {
            let offset = self.random.below(SIZE) * CLUSTER;
            let payload = Payload::entering(self.data.clone());
            self.ask(GuestBody::Write { vdisk, offset, fua: false, payload });
        }
        self.settle();
    }

    fn ask(&mut self, body: GuestBody) {
        self.requests += 1;
        let message = Message::Guest(GuestRequest { request: self.requests, body });
        self.to_edge.push(Event::Message { from: GATEWAY, message });
    }

    /// Goes on until every request is answered and nothing is under way; time passes only when it must.
    fn settle(&mut self) {
        loop {
            if !self.to_edge.is_empty() {
                self.turn(EDGE);
            } else if !self.to_driver.is_empty() {
                self.turn(DRIVER);
            } else if self.answers == self.requests {
                return;
            } else {
                let first = (0..self.timers.len()).min_by_key(|index| self.timers[*index].0);
                let (at, node, timer) = self.timers.swap_remove(first.expect("what is asked is answered"));
                self.now = self.now.max(at);
                self.events_of(node).push(Event::Timer(timer));
            }
        }
    }

    fn events_of(&mut self, node: NodeId) -> &mut Vec<Event> {
        if node == EDGE { &mut self.to_edge } else { &mut self.to_driver }
    }

    fn turn(&mut self, node: NodeId) {
        let mut events = std::mem::take(self.events_of(node));
        events.push(Event::TurnEnd);
        let (mut effects, begin) = (Effects::new(), Instant::now());
        if node == EDGE {
            stepping_counted(&mut self.edge, self.now, events, &mut effects);
            self.edge_took += begin.elapsed();
        } else {
            stepping_counted(&mut self.driver, self.now, events, &mut effects);
            self.driver_took += begin.elapsed();
        }
        effects.drain().for_each(|effect| self.effect(node, effect));
    }

    fn effect(&mut self, node: NodeId, effect: Effect) {
        match effect {
            Effect::Send { to: GATEWAY, message: Message::GuestReply(reply) } => self.answer(reply.body),
            Effect::Send { to: to @ (EDGE | DRIVER), message } => {
                self.events_of(to).push(Event::Message { from: node, message });
            }
            Effect::Send { message, .. } => {
                let message = self.registry.answer(message);
                let from = if matches!(message, Message::KvReply(_)) { KV } else { OBJECTS };
                self.to_driver.push(Event::Message { from, message });
            }
            Effect::Disk { operation, what } => {
                let result = self.disk.perform(what);
                self.to_driver.push(Event::Disk { operation, result });
            }
            Effect::SetTimer { timer, after } => {
                self.timers.retain(|(_, owner, set)| (*owner, *set) != (node, timer));
                self.timers.push((self.now.after(after), node, timer));
            }
            Effect::ClearTimer(timer) => {
                self.timers.retain(|(_, owner, set)| (*owner, *set) != (node, timer));
            }
            Effect::Halt { reason } => panic!("halted: {reason}"),
            Effect::Work { job, work: Work::Check(data) } => {
                let result = if data.verify() { Done::Checked } else { Done::Damaged };
                self.to_driver.push(Event::Worked { job, result });
            }
            Effect::Work { .. } => unreachable!("neither has other work"),
        }
    }

    fn answer(&mut self, answer: GuestAnswer) {
        self.answers += 1;
        match answer {
            GuestAnswer::Attached { vdisk, .. } => self.vdisk = Some(vdisk),
            answer => assert_eq!(answer, GuestAnswer::Done, "a write is done"),
        }
    }
}

/// What is measured. It has a name of its own in the binary, so that callgrind can count what is below it.
#[inline(never)]
fn stepping_counted<N: Machine>(
    node: &mut N,
    now: Timestamp,
    events: Vec<N::Event>,
    effects: &mut Effects<N::Effect>,
) {
    events.into_iter().for_each(|event| node.step(now, event, effects));
}

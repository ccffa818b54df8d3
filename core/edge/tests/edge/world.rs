//! An Edge, two gateways, and a volume driver behind a network that loses, doubles and reorders, while the
//! driver dies and power fails. What guests see is checked against what they were promised.

use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use edge::{Config, Edge};
use formats::message::admin::RoleStatus;
use formats::message::edge::{EdgeReply, EdgeRequest};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestReply, GuestRequest};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, CLUSTER_BYTES, ClientId, NodeId, VdiskId, VdiskName};
use proptest::prelude::*;
use step::{Bug, Effects, Entropy, Machine, TimerId, Timestamp};

use crate::driver::{CLUSTERS, Driver, cluster, tag_of};
use crate::transcript::DRIVER;

const CLIENT: ClientId = ClientId(7);

const VDISK: VdiskId = VdiskId(7);
const REMEMBER_MAX: u64 = 12 * (CLUSTER_BYTES + 256);
const STEPS: usize = 600;

/// What a guest asked for, and when.
struct Pending {
    body: GuestBody,
    tag: u64,
    began: u64,
    /// For a flush: the tags of all writes that were acknowledged before.
    promised: Vec<u64>,
}

/// A write of a cluster. `ended` is when its guest was told how it ended.
#[derive(Clone, Copy)]
struct Write {
    tag: u64,
    began: u64,
    ended: Option<u64>,
    acknowledged: bool,
}

enum Packet {
    Request(EdgeRequest),
    Reply(EdgeReply),
}

struct World {
    random: Entropy,
    edge: Edge,
    driver: Driver,
    driver_down_until: u64,
    now: Timestamp,
    timer: Option<Timestamp>,
    network: Vec<Packet>,
    /// How many packets of a hundred are lost, and doubled.
    faults: (u64, u64),
    /// Guests use so many clusters: the fewer, the more they meet.
    clusters: u64,
    clock: u64,
    next_request: u64,
    pending: BTreeMap<(u32, u64), Pending>,
    attached: bool,
    writes: Vec<Vec<Write>>,
    /// By cluster: when a write was seen, and which.
    seen: Vec<Vec<(u64, Write)>>,
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            remember_max: ByteCount(REMEMBER_MAX),
            silence: Duration::from_secs(4),
            bug,
            ..Config::new(CLIENT, DRIVER)
        };
        let zeros = Write { tag: 0, began: 0, ended: Some(0), acknowledged: true };
        let mut random = Entropy::new(bytes);
        let mut world = World {
            faults: (random.below(25), random.below(25)),
            clusters: 1 + random.below(CLUSTERS),
            random,
            edge: Edge::new(config),
            driver: Driver::new(),
            driver_down_until: 0,
            now: Timestamp(0),
            timer: None,
            network: Vec::new(),
            clock: 1,
            next_request: 1,
            pending: BTreeMap::new(),
            attached: false,
            writes: vec![vec![zeros]; CLUSTERS as usize],
            seen: vec![Vec::new(); CLUSTERS as usize],
        };
        let seed = world.random.next_bytes();
        world.step(Event::Start { seed });
        world
    }

    /// A life: trouble, then peace in which everything must end.
    fn run(mut self) -> Driver {
        for node in [8, 9] {
            self.ask(node, GuestBody::Attach { name: VdiskName::new("disk1").expect("a name") }, 0);
        }
        for _ in 0..STEPS {
            self.a_moment();
        }
        self.faults = (0, 0);
        self.settle();
        for node in [8, 9] {
            self.ask(node, GuestBody::Flush { vdisk: VDISK }, 0);
            self.settle();
            self.ask(node, GuestBody::Read { vdisk: VDISK, offset: 0, length: CLUSTERS * CLUSTER_BYTES }, 0);
            self.settle();
        }
        let RoleStatus::Edge { remembered, .. } = self.edge.status() else { panic!("an Edge") };
        assert_eq!(remembered, ByteCount(0), "everything is stable, so nothing is remembered");
        self.driver
    }

    fn settle(&mut self) {
        for _ in 0..4000 {
            if self.pending.is_empty() && self.network.is_empty() && self.timer.is_none() {
                return;
            }
            if self.network.is_empty() { self.pass_time(1000) } else { self.deliver() }
        }
        panic!("{} requests are never answered", self.pending.len());
    }

    fn a_moment(&mut self) {
        match self.random.below(100) {
            0..30 if self.attached && self.pending.len() < 16 => self.guest(),
            0..85 if !self.network.is_empty() => self.deliver(),
            0..98 => {
                let time = self.random.below(300);
                self.pass_time(time);
            }
            _ => {
                let power_cut = self.random.below(3) > 0;
                self.driver.restart(power_cut, &mut self.random);
                self.driver_down_until = self.clock + self.random.below(30);
            }
        }
    }

    fn guest(&mut self) {
        let count = 1 + self.random.below(3.min(self.clusters));
        let offset = self.random.below(self.clusters - count + 1) * CLUSTER_BYTES;
        let (vdisk, length) = (VDISK, count * CLUSTER_BYTES);
        let fua = self.random.below(10) == 0;
        let tag = self.clock;
        let node = 8 + self.random.below(2) as u32;
        let body = match self.random.below(20) {
            0..10 => {
                let bytes: Vec<u8> = cluster(tag).repeat(count as usize);
                GuestBody::Write { vdisk, offset, fua, payload: Payload::entering(Bytes::from(bytes)) }
            }
            10 => return self.ask(node, GuestBody::Discard { vdisk, offset, length, fua }, 0),
            11..18 => GuestBody::Read { vdisk, offset, length },
            _ => GuestBody::Flush { vdisk },
        };
        self.ask(node, body, tag);
    }

    fn ask(&mut self, node: u32, body: GuestBody, tag: u64) {
        self.clock += 1;
        let request = self.next_request;
        self.next_request += 1;
        let (began, mut promised) = (self.clock, Vec::new());
        if let Some(range) = changed(&body) {
            let write = Write { tag, began, ended: None, acknowledged: false };
            self.writes[range].iter_mut().for_each(|writes| writes.push(write));
        }
        if matches!(body, GuestBody::Flush { .. }) {
            let all = self.writes.iter().flatten().filter(|write| write.acknowledged && write.tag > 0);
            promised = all.map(|write| write.tag).collect();
        }
        self.pending.insert((node, request), Pending { body: body.clone(), tag, began, promised });
        self.step_from(node, Message::Guest(GuestRequest { request, body }));
    }

    fn deliver(&mut self) {
        self.clock += 1;
        let packet = self.random.below(self.network.len() as u64) as usize;
        let doubled = self.random.below(100) < self.faults.1;
        let packet = if doubled { copy(&self.network[packet]) } else { self.network.swap_remove(packet) };
        if self.random.below(100) < self.faults.0 {
            return;
        }
        match packet {
            Packet::Request(_) if self.clock < self.driver_down_until => {}
            Packet::Request(request) => {
                let replies = self.driver.receive(request, &mut self.random);
                self.network.extend(replies.into_iter().map(Packet::Reply));
            }
            Packet::Reply(reply) => self.step_from(DRIVER.0, Message::EdgeReply(reply)),
        }
    }

    fn pass_time(&mut self, milliseconds: u64) {
        self.clock += 1;
        self.now = self.now.after(Duration::from_millis(milliseconds));
        if self.timer.is_some_and(|due| due <= self.now) {
            self.timer = None;
            self.step(Event::Timer(TimerId(1)));
        }
    }

    fn step_from(&mut self, from: u32, message: Message) {
        self.step(Event::Message { from: NodeId(from), message });
    }

    fn step(&mut self, event: Event) {
        let mut effects = Effects::new();
        self.edge.step(self.now, event, &mut effects);
        self.edge.step(self.now, Event::TurnEnd, &mut effects);
        let RoleStatus::Edge { remembered, .. } = self.edge.status() else { panic!("an Edge") };
        assert!(remembered.0 <= REMEMBER_MAX, "{remembered} are remembered");
        for effect in effects.drain().collect::<Vec<_>>() {
            match effect {
                Effect::SetTimer { after, .. } => self.timer = Some(self.now.after(after)),
                Effect::Send { message: Message::Edge(request), .. } => {
                    self.network.push(Packet::Request(request))
                }
                Effect::Send { to, message: Message::GuestReply(reply) } => self.answered(to, reply),
                other => panic!("{other:?}"),
            }
        }
    }

    fn answered(&mut self, to: NodeId, GuestReply { request, body }: GuestReply) {
        self.clock += 1;
        let pending = self.pending.remove(&(to.0, request)).expect("one answer for each request");
        match (&pending.body, body) {
            (GuestBody::Attach { .. }, GuestAnswer::Attached { vdisk: VDISK, .. }) => self.attached = true,
            (GuestBody::Write { fua, .. } | GuestBody::Discard { fua, .. }, GuestAnswer::Done) => {
                let stable = &self.driver.log[..self.driver.synced];
                let is_stable = stable.iter().any(|entry| entry.tag == pending.tag);
                assert!(is_stable || !fua || pending.tag == 0, "P2: write {} has FUA", pending.tag);
                self.ended(&pending, true);
            }
            (
                GuestBody::Write { .. } | GuestBody::Discard { .. },
                GuestAnswer::Failed(GuestError::NoSpace),
            ) => {
                self.ended(&pending, false);
            }
            (GuestBody::Read { offset, length, .. }, GuestAnswer::Data(data)) => {
                assert_eq!(data.len() as u64, *length);
                for (at, bytes) in
                    (offset / CLUSTER_BYTES..).zip(data.contiguous().chunks(CLUSTER_BYTES as usize))
                {
                    self.check_read(
                        at as usize,
                        tag_of(bytes).expect("a cluster as it was written"),
                        pending.began,
                    );
                }
            }
            // Three damaged answers in a row.
            (GuestBody::Read { .. }, GuestAnswer::Failed(GuestError::Io(_))) => {}
            (GuestBody::Flush { .. }, GuestAnswer::Done) => {
                let stable = &self.driver.log[..self.driver.synced];
                for tag in &pending.promised {
                    assert!(stable.iter().any(|entry| entry.tag == *tag), "P2: write {tag} was flushed");
                }
            }
            (asked, answer) => panic!("{asked:?} was answered with {answer:?}"),
        }
    }

    fn ended(&mut self, pending: &Pending, acknowledged: bool) {
        let range = changed(&pending.body).expect("a change");
        let is_it = |write: &&mut Write| (write.tag, write.began) == (pending.tag, pending.began);
        for write in self.writes[range].iter_mut().flatten().filter(is_it) {
            (write.ended, write.acknowledged) = (Some(self.clock), acknowledged);
        }
    }

    /// P5: neither an acknowledged write nor one that was seen disappears behind an older one.
    fn check_read(&mut self, at: usize, tag: u64, began: u64) {
        let overwritten = |old: &Write, new: &Write| old.ended.is_some_and(|ended| ended < new.began);
        let possible = |old: &&Write| {
            let acknowledged = |new: &Write| new.acknowledged && new.ended.is_some_and(|ended| ended < began);
            let superseded = self.writes[at].iter().any(|new| acknowledged(new) && overwritten(old, new));
            let unseen = self.seen[at].iter().any(|(when, new)| *when < began && overwritten(old, new));
            old.tag == tag && !superseded && !unseen
        };
        let found = self.writes[at].iter().find(possible).copied();
        let write = found.unwrap_or_else(|| panic!("P5: cluster {at} reads as {tag}"));
        if tag > 0 {
            self.seen[at].push((self.clock, write));
        }
    }
}

/// The clusters that a request changes.
fn changed(body: &GuestBody) -> Option<std::ops::Range<usize>> {
    let (offset, length) = match body {
        GuestBody::Write { offset, payload, .. } => (*offset, payload.len() as u64),
        GuestBody::Discard { offset, length, .. } => (*offset, *length),
        _ => return None,
    };
    Some((offset / CLUSTER_BYTES) as usize..((offset + length) / CLUSTER_BYTES) as usize)
}

fn copy(packet: &Packet) -> Packet {
    match packet {
        Packet::Request(request) => Packet::Request(request.clone()),
        Packet::Reply(reply) => Packet::Reply(reply.clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn guests_get_what_they_were_promised(seed in any::<u64>()) {
        World::new(seed, None).run();
    }
}

#[test]
fn the_trouble_is_real() {
    let drivers: Vec<Driver> = (0..20).map(|seed| World::new(seed, None).run()).collect();
    assert!(drivers.iter().map(|driver| driver.restarts).sum::<u32>() > 100);
    assert!(drivers.iter().map(|driver| driver.refusals).sum::<u32>() > 50);
    assert!(drivers.iter().map(|driver| driver.log.len()).sum::<usize>() > 500);
    assert!(drivers.iter().filter(|driver| driver.tags().iter().any(|tag| *tag > 0)).count() > 10);
}

#[test]
fn planted_bugs_are_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let found = [Bug::EdgeForgetsEarly, Bug::ReplyMixedUp, Bug::CrcUnchecked].map(|bug| {
        (0..200).any(|seed| catch_unwind(AssertUnwindSafe(|| World::new(seed, Some(bug)).run())).is_err())
    });
    drop(std::panic::take_hook());
    assert_eq!(found, [true; 3]);
}

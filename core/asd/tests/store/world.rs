//! An ASD on a disk, and whoever asks it.

use core::time::Duration;
use std::collections::BTreeMap;

use asd::{Asd, Config, new_file};
use bytes::Bytes;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus};
use formats::message::asd::{AsdAnswer, AsdAssert, AsdBody, AsdRequest, AsdUpdate, Purpose};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, NodeId, OsdIdentity};
use step::{DiskOperation, Effects, Machine, OperationId, TimerId, Timestamp};

use crate::disk::Disk;

pub(crate) const IDENTITY: OsdIdentity = OsdIdentity([7; 16]);
pub(crate) const ASKER: NodeId = NodeId(9);

pub(crate) fn config() -> Config {
    Config {
        identity: IDENTITY,
        capacity: ByteCount(4 << 20),
        segment_bytes: 64 << 10,
        checkpoint_every: 128 << 10,
        bug: None,
    }
}

/// All of it.
pub(crate) struct World {
    pub(crate) asd: Asd,
    pub(crate) config: Config,
    pub(crate) disk: Disk,
    /// Operations in flight, in the order they were asked for.
    pub(crate) pending: Vec<(OperationId, DiskOperation)>,
    pub(crate) timers: BTreeMap<TimerId, Duration>,
    /// Answers that weren't looked at yet.
    pub(crate) answers: Vec<(u64, AsdAnswer)>,
    pub(crate) status: Option<RoleStatus>,
    last_request: u64,
}

impl World {
    /// An ASD on a disk as it was made, not started.
    pub(crate) fn new(config: Config) -> Self {
        let disk = Disk::new(new_file());
        Self::on(config, disk)
    }

    pub(crate) fn on(config: Config, disk: Disk) -> Self {
        World {
            asd: Asd::new(config.clone()),
            config,
            disk,
            pending: Vec::new(),
            timers: BTreeMap::new(),
            answers: Vec::new(),
            status: None,
            last_request: 0,
        }
    }

    /// One that serves.
    pub(crate) fn serving(config: Config) -> Self {
        let mut world = Self::new(config);
        world.start();
        assert_eq!(world.trouble(), None);
        world
    }

    pub(crate) fn start(&mut self) {
        self.turn(Event::Start { seed: [0; 32] });
        self.settle();
    }

    /// Starts anew on the same disk; nothing was in flight.
    pub(crate) fn restart(&mut self) {
        assert!(self.pending.is_empty(), "a clean stop waits for the disk");
        self.reborn();
        self.start();
    }

    /// A new life, not started.
    pub(crate) fn reborn(&mut self) {
        self.asd = Asd::new(self.config.clone());
        self.pending.clear();
        self.timers.clear();
        self.answers.clear();
    }

    /// Delivers one event and takes in its effects.
    pub(crate) fn event(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Effects::new();
        self.asd.step(Timestamp(0), event, &mut effects);
        let effects: Vec<Effect> = effects.drain().collect();
        effects.iter().for_each(|effect| self.take(effect.clone()));
        effects
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Disk { operation, what } => self.pending.push((operation, what)),
            Effect::SetTimer { timer, after } => {
                self.timers.insert(timer, after);
            }
            Effect::ClearTimer(timer) => {
                self.timers.remove(&timer);
            }
            Effect::Send { to, message: Message::AsdReply(reply) } => {
                assert_eq!(to, ASKER);
                assert!(reply.body.payload_is_right(), "payloads carry right checksums");
                self.answers.push((reply.request, reply.body));
            }
            Effect::Send { message: Message::AdminReply(reply), .. } => match reply.body {
                AdminAnswer::Status(status) => self.status = Some(status),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// One event, and the end of its turn.
    pub(crate) fn turn(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = self.event(event);
        effects.extend(self.event(Event::TurnEnd));
        effects
    }

    /// Executes the operation in flight at this place and tells the ASD; the turn is not ended.
    pub(crate) fn complete(&mut self, place: usize) {
        let (operation, what) = self.pending.remove(place);
        let result = self.disk.execute(&what);
        self.event(Event::Disk { operation, result });
    }

    /// Completes what is in flight, in order, until nothing is.
    pub(crate) fn settle(&mut self) {
        while !self.pending.is_empty() {
            self.complete(0);
            self.event(Event::TurnEnd);
        }
    }

    /// Lets a timer fire that is set.
    pub(crate) fn fire(&mut self, timer: TimerId) {
        self.timers.remove(&timer).expect("the timer is set");
        self.turn(Event::Timer(timer));
    }

    /// Lets time pass until nothing is left to do.
    pub(crate) fn rest(&mut self) {
        self.event(Event::TurnEnd);
        for _ in 0..10_000 {
            self.settle();
            let Some(timer) = self.timers.keys().next().copied() else { return };
            self.fire(timer);
        }
        panic!("it never comes to rest");
    }

    /// Sends a request; the turn is not ended.
    pub(crate) fn send(&mut self, body: AsdBody) -> u64 {
        self.last_request += 1;
        let request = AsdRequest { request: self.last_request, osd: IDENTITY, body };
        self.event(Event::Message { from: ASKER, message: Message::Asd(request) });
        self.last_request
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn ask(&mut self, body: AsdBody) -> AsdAnswer {
        let request = self.send(body);
        self.event(Event::TurnEnd);
        self.settle();
        self.take_answer(request).expect("an answer")
    }

    pub(crate) fn take_answer(&mut self, request: u64) -> Option<AsdAnswer> {
        let place = self.answers.iter().position(|(number, _)| *number == request)?;
        Some(self.answers.remove(place).1)
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> AsdAnswer {
        self.ask(apply(Purpose::Guest, &[], &[(key, Some(value))]))
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> AsdAnswer {
        self.ask(apply(Purpose::Guest, &[], &[(key, None)]))
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> AsdAnswer {
        self.ask(AsdBody::Get { key: key.to_vec() })
    }

    pub(crate) fn keys(&mut self) -> Vec<Vec<u8>> {
        match self.ask(AsdBody::List { prefix: Vec::new(), from: Vec::new(), limit: 1000 }) {
            AsdAnswer::Keys { keys, more: false } => keys,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&mut self) -> RoleStatus {
        let request = AdminRequest { request: 1, body: AdminBody::Status };
        self.event(Event::Message { from: ASKER, message: Message::Admin(request) });
        self.status.take().expect("a status")
    }

    pub(crate) fn trouble(&mut self) -> Option<String> {
        match self.status() {
            RoleStatus::Asd { serves, .. } => serves.why_not().map(str::to_owned),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn counter(&mut self, name: &str) -> u64 {
        let place = asd::COUNTERS.iter().position(|(counter, _)| *counter == name).expect("a counter");
        match self.status() {
            RoleStatus::Asd { counters, .. } => counters[place],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn used_and_dead(&mut self) -> (u64, u64) {
        match self.status() {
            RoleStatus::Asd { used, dead, .. } => (used.0, dead.0),
            other => panic!("{other:?}"),
        }
    }
}

/// An Apply.
pub(crate) fn apply(purpose: Purpose, asserts: &[AsdAssert], updates: &[(&[u8], Option<&[u8]>)]) -> AsdBody {
    let mut bytes = Vec::new();
    let mut list = Vec::new();
    for (key, value) in updates {
        match value {
            Some(value) => {
                bytes.extend_from_slice(value);
                list.push(AsdUpdate::Put { key: key.to_vec(), length: value.len() as u32 });
            }
            None => list.push(AsdUpdate::Delete { key: key.to_vec() }),
        }
    }
    let payload = Payload::entering(Bytes::from(bytes));
    AsdBody::Apply { purpose, asserts: asserts.to_vec(), updates: list, payload }
}

/// The bytes of a value.
pub(crate) fn value_of(answer: &AsdAnswer) -> Option<Bytes> {
    match answer {
        AsdAnswer::Value(payload) => Some(payload.contiguous()),
        _ => None,
    }
}

trait Checked {
    fn payload_is_right(&self) -> bool;
}

impl Checked for AsdAnswer {
    fn payload_is_right(&self) -> bool {
        match self {
            AsdAnswer::Value(payload) | AsdAnswer::Blocks { payload, .. } => payload.verify(),
            _ => true,
        }
    }
}

//! A KV, its disk, askers, and a network that loses, doubles and reorders.

use super::disk::Disk;
use super::tally::Tally;
use super::{Chance, tally};
use consensus::RaftGroup;
use formats::kv_client::KvClient;
use formats::message::kv::{FunctionId, KvAnswer, KvCommand, KvError, KvQuery, KvReply, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use std::collections::BTreeMap;
use step::{Bug, DiskOperation, Effects, Machine, OperationId, TimerId, Timestamp};

pub(crate) const TALLY: FunctionId = FunctionId(9);
const KV: NodeId = NodeId(0);

/// What went wrong, in words.
pub(crate) type Violation = String;

/// What an asker waits for.
enum Awaited {
    /// A command for the tally, which was to be listed as it is, and how many were listed for certain before.
    Tally { id: usize, floor: u64 },
    /// A step of the asker's own counter.
    Step,
    /// How many the tally lists, and how many it listed for certain when the question was asked.
    Count { floor: u64 },
}

struct Asker {
    client: KvClient,
    awaited: BTreeMap<u64, Awaited>,
    steps: u8,
}

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) disk: Disk,
    kv: Option<Kv<Tally, RaftGroup>>,
    config: Config<Tally>,
    now: Timestamp,
    turn_open: bool,
    operations: Vec<(OperationId, DiskOperation)>,
    timers: BTreeMap<TimerId, Timestamp>,
    network: Vec<(NodeId, Message)>,
    askers: Vec<Asker>,
    /// Commands for the tally: what, and the number that was answered.
    issued: Vec<(Vec<u8>, Option<u64>)>,
    /// The tally listed at least so many.
    floor: u64,
    crash_soon: bool,
    pub(crate) halted: Option<String>,
    /// So often it may halt and be started again.
    pub(crate) halts: usize,
    pub(crate) crashes: usize,
    pub(crate) full: usize,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let functions = [(TALLY, Tally)].into();
        let mut config = Config::new(ClusterIdentity([7; 16]), functions);
        config.checkpoint_log_bytes = 60_000;
        config.checkpoint_rows = 1;
        config.room_kept = 8 << 10;
        config.log_ahead_bytes = [0, 65_536][seed as usize % 2];
        config.bug = bug;
        let askers = (0..3).map(|number| Asker {
            client: KvClient::new(seed.wrapping_mul(31) + number, vec![KV]),
            awaited: BTreeMap::new(),
            steps: 0,
        });
        let mut world = World {
            chance: Chance(seed),
            disk: Disk::default(),
            kv: None,
            config,
            now: Timestamp(1),
            turn_open: false,
            operations: Vec::new(),
            timers: BTreeMap::new(),
            network: Vec::new(),
            askers: askers.collect(),
            issued: Vec::new(),
            floor: 0,
            crash_soon: false,
            halted: None,
            halts: 0,
            crashes: 0,
            full: 0,
        };
        world.start();
        world
    }

    /// Something happens.
    pub(crate) fn happen(&mut self) -> Result<(), Violation> {
        match self.chance.below(22) {
            0..4 => self.deliver()?,
            4..13 => self.complete(),
            13..16 if self.askers.iter().any(|asker| asker.awaited.len() < 8) => self.ask(),
            16..18 => self.end_turn(),
            18 => self.tick(),
            19 if self.chance.one_in(12) => self.crash_soon = true,
            20 if self.chance.one_in(40) && self.disk.room.is_none() => {
                self.full += 1;
                // So little that the log meets it, or so much that it is seen before.
                let left = if self.chance.one_in(2) { 9_000 } else { 250_000 };
                self.disk.room = Some(self.disk.used() + self.chance.below(left));
            }
            21 if self.chance.one_in(4) => self.disk.room = None,
            _ => {}
        }
        self.after_halt()
    }

    /// A KV that halted is started again where that is part of the run.
    fn after_halt(&mut self) -> Result<(), Violation> {
        match self.halted.take() {
            Some(reason) if self.halts == 0 => {
                self.halted = Some(reason.clone());
                Err(reason)
            }
            Some(_) => {
                self.halts -= 1;
                let power = self.chance.one_in(2);
                self.crash(power);
                self.start();
                self.after_halt()
            }
            None => Ok(()),
        }
    }

    /// Waits until nothing happens any more by itself.
    pub(crate) fn rest(&mut self) {
        while self.turn_open || !self.operations.is_empty() || !self.timers.is_empty() {
            self.complete();
            self.end_turn();
            if self.operations.is_empty() {
                self.tick();
            }
        }
    }

    /// Runs without faults until everything is answered, then compares.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.disk.room = None;
        self.crash_soon = false;
        for _ in 0..20_000 {
            self.after_halt()?;
            let idle = self.operations.is_empty() && self.network.is_empty();
            if idle && !self.turn_open && self.askers.iter().all(|asker| asker.awaited.is_empty()) {
                return self.compare();
            }
            self.deliver()?;
            self.complete();
            self.end_turn();
            if idle {
                self.tick();
            }
        }
        Err("something is never answered".to_string())
    }

    pub(crate) fn start(&mut self) {
        self.halted = None;
        self.kv = Some(Kv::new(self.config.clone()));
        self.step(Event::Start { seed: [0; 32] });
    }

    /// The process dies; with `power`, the machine does.
    pub(crate) fn crash(&mut self, power: bool) {
        self.crashes += 1;
        self.kv = None;
        self.turn_open = false;
        self.crash_soon = false;
        self.timers.clear();
        self.network.retain(|(to, _)| *to != KV);
        for (_, what) in std::mem::take(&mut self.operations) {
            self.disk.interrupt(what, &mut self.chance);
        }
        if power {
            self.disk.cut_power(&mut self.chance);
        }
    }

    fn step(&mut self, event: Event) {
        let Some(kv) = &mut self.kv else { return };
        self.turn_open = event != Event::TurnEnd;
        let mut effects = Effects::new();
        kv.step(self.now, event, &mut effects);
        let mut carried_out = usize::MAX;
        if self.crash_soon && !effects.is_empty() {
            carried_out = self.chance.below(effects.as_slice().len() + 1);
        }
        for effect in effects.drain().take(carried_out) {
            match effect {
                Effect::Send { to, message } => self.network.push((to, message)),
                Effect::Disk { operation, what } => self.operations.push((operation, what)),
                Effect::SetTimer { timer, after } => drop(self.timers.insert(timer, self.now.after(after))),
                Effect::ClearTimer(timer) => drop(self.timers.remove(&timer)),
                Effect::Halt { reason } => self.halted = Some(reason),
                Effect::Work { .. } => panic!("the KV asks for no work"),
            }
        }
        if carried_out != usize::MAX {
            let power = self.chance.one_in(2);
            self.crash(power);
            self.start();
        }
    }

    fn complete(&mut self) {
        if !self.operations.is_empty() {
            let chosen = self.chance.below(self.operations.len());
            let (operation, what) = self.operations.swap_remove(chosen);
            let result = self.disk.run(what);
            self.step(Event::Disk { operation, result });
        }
    }

    fn end_turn(&mut self) {
        if self.turn_open {
            self.step(Event::TurnEnd);
        }
    }

    /// Time goes on, to the next timer or the next time an asker asks again.
    fn tick(&mut self) {
        let asks = self.askers.iter().filter_map(|asker| asker.client.next_due());
        let Some(next) = self.timers.values().copied().chain(asks).min() else { return };
        self.now = self.now.max(next);
        let due = self.timers.iter().find(|(_, at)| **at <= self.now).map(|(timer, _)| *timer);
        if let Some(timer) = due {
            self.timers.remove(&timer);
            self.step(Event::Timer(timer));
        }
        for index in 0..self.askers.len() {
            let requests = self.askers[index].client.resend_due(self.now);
            requests
                .into_iter()
                .for_each(|(_, request)| self.network.push((KV, Message::Kv(wrap(index, request)))));
        }
    }

    fn ask(&mut self) {
        let index = self.chance.below(self.askers.len());
        let (kind, id) = (self.chance.below(10), self.issued.len());
        let stepping = self.askers[index].awaited.values().any(|awaited| matches!(awaited, Awaited::Step));
        let asker = &mut self.askers[index];
        let ((_, request), awaited) = match kind {
            0..5 => {
                let mark = if kind == 0 { "!" } else { "" };
                let filler = "x".repeat(self.chance.below(8) * 700);
                let command = format!("{mark}{id} {filler}").into_bytes();
                let awaited = Awaited::Tally { id, floor: self.floor };
                self.issued.push((command.clone(), None));
                (asker.client.command(self.now, KvCommand::Function { function: TALLY, command }), awaited)
            }
            5..7 if !stepping => {
                let key = vec![index as u8];
                let value = (asker.steps > 0).then(|| vec![asker.steps]);
                let next = vec![asker.steps + 1];
                let steps =
                    vec![KvStep::Assert { key: key.clone(), value }, KvStep::Set { key, value: next }];
                (asker.client.command(self.now, KvCommand::Sequence(steps)), Awaited::Step)
            }
            _ => {
                let query = KvQuery::Function { function: TALLY, query: Vec::new() };
                (asker.client.query(self.now, query), Awaited::Count { floor: self.floor })
            }
        };
        asker.awaited.insert(request.request, awaited);
        self.network.push((KV, Message::Kv(wrap(index, request))));
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        if self.network.is_empty() {
            return Ok(());
        }
        let chosen = self.chance.below(self.network.len());
        let (to, message) = self.network[chosen].clone();
        if !self.chance.one_in(10) {
            self.network.swap_remove(chosen);
        }
        match message {
            _ if self.chance.one_in(20) => Ok(()),
            Message::Kv(mut request) => {
                // The asker's number travels in the request's number: a node has but one address here.
                let from = NodeId(1 + (request.request >> 32) as u32);
                request.request &= u64::from(u32::MAX);
                self.step(Event::Message { from, message: Message::Kv(request) });
                Ok(())
            }
            Message::KvReply(reply) => self.on_reply(to.0 as usize - 1, reply),
            other => Err(format!("an odd message: {other:?}")),
        }
    }

    fn on_reply(&mut self, index: usize, reply: KvReply) -> Result<(), Violation> {
        let asker = &mut self.askers[index];
        let Some((request, answer)) = asker.client.on_reply(self.now, KV, reply) else { return Ok(()) };
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
        match (asker.awaited.remove(&request).expect("it was asked"), answer) {
            (Awaited::Tally { id, floor }, KvAnswer::Done(bytes)) if number(&bytes) >= floor => {
                self.floor = self.floor.max(number(&bytes) + 1);
                self.issued[id].1 = Some(number(&bytes));
            }
            (Awaited::Tally { id, .. }, KvAnswer::Failed(KvError::Refused(_)))
                if self.issued[id].0.starts_with(b"!") => {}
            (Awaited::Step, KvAnswer::Done(_)) => asker.steps += 1,
            (Awaited::Count { floor }, KvAnswer::Done(bytes))
                if (floor..=self.issued.len() as u64).contains(&number(&bytes)) =>
            {
                self.floor = self.floor.max(number(&bytes));
            }
            (_, answer) => return Err(format!("answered {answer:?}")),
        }
        Ok(())
    }

    /// Everything is answered: the tally must list what was issued, once, where it was answered to be.
    fn compare(&mut self) -> Result<(), Violation> {
        let listed = self.list()?;
        let taken: Vec<_> = self.issued.iter().filter(|(command, _)| !command.starts_with(b"!")).collect();
        if listed.len() != taken.len() {
            return Err(format!("{} commands are listed, {} were answered", listed.len(), taken.len()));
        }
        for (command, number) in taken {
            let number = number.ok_or("a command was not answered")?;
            if listed.get(number as usize) != Some(command) {
                return Err(format!("command {number} is not what it was"));
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Vec<u8>>, Violation> {
        let (mut listed, prefix) = (Vec::new(), b"t/".to_vec());
        loop {
            let from = tally::key(listed.len() as u64);
            let query = KvQuery::Range { prefix: prefix.clone(), from, limit: 7 };
            let request = KvRequest { request: 1, body: formats::message::kv::KvBody::Query(query) };
            self.step(Event::Message { from: NodeId(99), message: Message::Kv(request) });
            let Some((_, Message::KvReply(reply))) = self.network.pop() else {
                return Err("an idle KV answers no question".to_string());
            };
            let KvAnswer::Range { pairs, more } = reply.body else {
                return Err(format!("a range gives {:?}", reply.body));
            };
            listed.extend(pairs.into_iter().map(|(_, value)| value));
            if !more {
                return Ok(listed);
            }
        }
    }
}

fn wrap(asker: usize, mut request: KvRequest) -> KvRequest {
    request.request |= (asker as u64) << 32;
    request
}

//! Random lives: Applies, reads, compaction and checkpoints in any order of events, ended by a kill or a power
//! cut at any of them, against a model. What was answered as applied is there, what wasn't is there whole
//! or not at all, what was deleted stays deleted, and no byte is ever wrong.

use std::collections::BTreeMap;

use asd::Config;
use formats::Event;
use formats::message::asd::{AsdAnswer, AsdAssert, AsdBody, AsdError, Purpose};
use glossary::ByteCount;
use step::{Bug, DiskOperation, Entropy};

use crate::disk::Fault;
use crate::model::{Change, Map};
use crate::replay::{is_mentioned, log_alone};
use crate::world::{World, apply, config, value_of};

/// What a run may do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) bug: Option<Bug>,
    /// Whether writes and syncs fail now and then.
    pub(crate) faults: bool,
    /// Whether bits rot.
    pub(crate) rot: bool,
    /// Whether the disk is so small that it is often full.
    pub(crate) small: bool,
}

/// What happened in runs, so that a test knows that it tested something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) counters: BTreeMap<&'static str, u64>,
    pub(crate) not_serving: u64,
    pub(crate) damaged: u64,
    pub(crate) lost: u64,
}

/// An Apply that was sent.
struct Sent {
    request: u64,
    change: Change,
    answer: Option<AsdAnswer>,
}

/// A Get that was sent: what it may say.
struct Reading {
    key: Vec<u8>,
    allowed: Vec<Option<Vec<u8>>>,
}

/// A run.
pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) entropy: Entropy,
    plan: Plan,
    /// How many keys there are to play with.
    keys: u64,
    /// All states that the ASD may be in, judged by its answers.
    possible: Vec<Map>,
    /// Applies without a judgement yet, in order.
    sent: Vec<Sent>,
    readings: BTreeMap<u64, Reading>,
    /// The likely state, to choose changes that make sense.
    guess: Map,
    pub(crate) totals: Totals,
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{number}{}", "x".repeat((number as usize % 3) * 20)).into_bytes()
}

fn content(key: &[u8], version: u64) -> Vec<u8> {
    let mut entropy = Entropy::new([key.iter().fold(version as u8, |a, b| a.wrapping_mul(31) ^ b); 32]);
    let length = match entropy.below(4) {
        0 => entropy.below(40),
        1 => 512,
        _ => entropy.below(9_000),
    };
    let words = std::iter::repeat_with(|| entropy.next_u64().to_le_bytes());
    words.flatten().take(length as usize).collect()
}

impl Run {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let mut bytes = [3; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        // Rot below a checkpoint's mark is of another kind than above: have both.
        let checkpoint_every = if plan.rot { 16 << 10 } else { config().checkpoint_every };
        let capacity = if plan.small { ByteCount(8 * config().segment_bytes) } else { config().capacity };
        let config = Config { bug: plan.bug, checkpoint_every, capacity, ..config() };
        Run {
            world: World::new(config),
            entropy: Entropy::new(bytes),
            plan,
            keys: if plan.rot || plan.small { 100 } else { 24 },
            possible: vec![Map::new()],
            sent: Vec::new(),
            readings: BTreeMap::new(),
            guess: Map::new(),
            totals: Totals::default(),
        }
    }

    /// Some lives, each begun on what the one before left.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for _ in 0..6 {
            self.live()?;
            self.collect();
            self.crash();
        }
        if self.begin()? { self.audit() } else { Ok(()) }
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.entropy.below(of) == 0
    }

    fn live(&mut self) -> Result<(), String> {
        if !self.begin()? {
            return Ok(());
        }
        self.audit()?;
        let steps = 20 + self.entropy.below(400);
        for _ in 0..steps {
            self.act()?;
            self.look()?;
            if self.world.trouble().is_some() && !self.recover_in_life()? {
                break;
            }
        }
        Ok(())
    }

    /// Starts; a start may be cut short. Whether it serves.
    pub(crate) fn begin(&mut self) -> Result<bool, String> {
        for _ in 0..self.entropy.below(3) {
            self.world.event(Event::Start { seed: [0; 32] });
            for _ in 0..self.entropy.below(9) {
                if !self.world.pending.is_empty() {
                    self.world.complete(0);
                    self.world.event(Event::TurnEnd);
                }
            }
            self.crash();
        }
        self.world.disk.fault = None;
        self.world.start();
        let trouble = self.world.trouble();
        if let (Some(trouble), false) = (&trouble, self.plan.rot) {
            return Err(format!("it doesn't serve: {trouble}"));
        }
        Ok(trouble.is_none())
    }

    /// One of the things that can happen.
    pub(crate) fn act(&mut self) -> Result<(), String> {
        match self.entropy.below(20) {
            0..4 if self.sent.len() < 6 => self.change(),
            4..6 => self.read(),
            6..16 if !self.world.pending.is_empty() => {
                let place = self.entropy.below(self.world.pending.len() as u64) as usize;
                if self.plan.faults && self.chance(40) {
                    let fault =
                        [Fault::Full, Fault::WriteFails, Fault::SyncFails][self.entropy.below(3) as usize];
                    self.world.disk.fault = Some(fault);
                }
                self.check_delete(place)?;
                self.world.complete(place);
            }
            16 => {
                if let Some(timer) = self.world.timers.keys().next().copied() {
                    self.world.fire(timer);
                }
            }
            17 if self.chance(8) => self.world.settle(),
            18 if self.chance(30) && !self.plan.faults => self.world.rest(),
            _ => {
                self.world.event(Event::TurnEnd);
            }
        }
        Ok(())
    }

    /// A segment goes only when no durable checkpoint mentions it (F10). Planted bugs have to be found without.
    fn check_delete(&self, place: usize) -> Result<(), String> {
        let DiskOperation::Delete { file } = &self.world.pending[place].1 else { return Ok(()) };
        let digits = file.as_str().strip_prefix("segment-").expect("a segment");
        let segment = u64::from_str_radix(digits, 16).expect("hex");
        if self.plan.bug.is_none() && is_mentioned(&self.world.disk, segment) {
            return Err(format!("{file} goes while a checkpoint mentions it"));
        }
        Ok(())
    }

    fn change(&mut self) {
        let count = 1 + self.entropy.below(3);
        let mut updates = Vec::new();
        for _ in 0..count {
            let key = key(self.entropy.below(self.keys));
            let old = self.guess.get(&key);
            let value = match (old, self.entropy.below(10)) {
                (Some(_), 0..6) => None,
                (Some(old), 6..8) => Some(old.clone()),
                _ => Some(content(&key, self.entropy.below(3))),
            };
            updates.push((key, value));
        }
        let mut asserts = Vec::new();
        if self.chance(3) {
            let key = key(self.entropy.below(self.keys));
            let present = self.guess.contains_key(&key) != self.chance(6);
            asserts.push(if present { AsdAssert::Present(key) } else { AsdAssert::Absent(key) });
        }
        let change = Change { asserts, updates };
        self.guess = change.apply(&self.guess).0;
        for (key, value) in &change.updates {
            for reading in self.readings.values_mut().filter(|reading| reading.key == *key) {
                reading.allowed.push(value.clone());
            }
        }
        let list: Vec<_> = change.updates.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        let request = self.world.send(apply(Purpose::Guest, &change.asserts, &list));
        self.sent.push(Sent { request, change, answer: None });
    }

    fn read(&mut self) {
        let key = key(self.entropy.below(self.keys));
        let mut allowed: Vec<_> = self.possible.iter().map(|map| map.get(&key).cloned()).collect();
        for sent in &self.sent {
            let touching = sent.change.updates.iter().filter(|(touched, _)| *touched == key);
            allowed.extend(touching.map(|(_, value)| value.clone()));
        }
        let request = self.world.send(AsdBody::Get { key: key.clone() });
        self.readings.insert(request, Reading { key, allowed });
    }

    /// Judges the answers that came.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        for (request, answer) in core::mem::take(&mut self.world.answers) {
            if let Some(reading) = self.readings.remove(&request) {
                self.judge_read(&reading, &answer)?;
            } else {
                let sent = self.sent.iter_mut().find(|sent| sent.request == request);
                sent.ok_or("an answer to nothing")?.answer = Some(answer);
            }
        }
        while self.sent.first().is_some_and(|sent| sent.answer.is_some()) {
            let Sent { change, answer, .. } = self.sent.remove(0);
            self.judge(&change, answer.as_ref())?;
        }
        Ok(())
    }

    fn judge_read(&mut self, reading: &Reading, answer: &AsdAnswer) -> Result<(), String> {
        let found = match answer {
            AsdAnswer::Failed(AsdError::NotFound) => None,
            AsdAnswer::Failed(AsdError::Unavailable) if self.plan.faults => return Ok(()),
            AsdAnswer::Failed(AsdError::Damaged) if self.plan.rot => return Ok(()),
            other => Some(value_of(other).ok_or(format!("a read came to {other:?}"))?.to_vec()),
        };
        if reading.allowed.contains(&found) {
            return Ok(());
        }
        Err(format!("{} reads as {:?} bytes", String::from_utf8_lossy(&reading.key), found.map(|v| v.len())))
    }

    /// What the possible states become by an answer, or by none ever.
    fn judge(&mut self, change: &Change, answer: Option<&AsdAnswer>) -> Result<(), String> {
        let mut after: Vec<Map> = Vec::new();
        for state in &self.possible {
            let (next, expected) = change.apply(state);
            match answer {
                Some(AsdAnswer::Failed(AsdError::Full)) => after.push(state.clone()),
                None | Some(AsdAnswer::Failed(AsdError::Unavailable)) => {
                    after.push(state.clone());
                    after.push(next);
                }
                Some(answer) if *answer == expected => after.push(next),
                Some(_) => {}
            }
        }
        after.sort();
        after.dedup();
        self.possible = after;
        if self.possible.is_empty() { Err(format!("{answer:?} can't be")) } else { Ok(()) }
    }

    /// Everything is read back: it must be one of the possible states.
    pub(crate) fn audit(&mut self) -> Result<(), String> {
        self.world.event(Event::TurnEnd);
        self.world.settle();
        self.look()?;
        let mut found = Map::new();
        let mut unread = Vec::new();
        for key in self.world.keys() {
            match self.world.get(&key) {
                AsdAnswer::Failed(AsdError::Damaged) if self.plan.rot => unread.push(key),
                answer => {
                    let value = value_of(&answer).ok_or(format!("listed, and read as {answer:?}"))?;
                    found.insert(key, value.to_vec());
                }
            }
        }
        self.totals.damaged += unread.len() as u64;
        for number in 0..self.keys {
            let key = key(number);
            if !found.contains_key(&key) && !unread.contains(&key) {
                let answer = self.world.get(&key);
                if answer != AsdAnswer::Failed(AsdError::NotFound) {
                    return Err(format!("not listed, and read as {answer:?}"));
                }
            }
        }
        let states = core::mem::take(&mut self.possible).into_iter();
        self.possible = states
            .filter(|state| {
                let whole: Map = state
                    .iter()
                    .filter(|(key, _)| !unread.contains(key))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                whole == found && unread.iter().all(|key| state.contains_key(key))
            })
            .collect();
        let state = self.possible.first().ok_or("what is there is none of the possible states")?;
        self.guess = state.clone();
        if !self.plan.faults && !self.plan.rot {
            let alone = log_alone(&self.world.disk);
            let expected: Vec<_> = state.keys().cloned().collect();
            if alone != expected {
                return Err("the segments alone tell another story".into());
            }
        }
        Ok(())
    }

    /// After a fault: either it comes back by itself, or it has to be started anew. Whether it serves.
    fn recover_in_life(&mut self) -> Result<bool, String> {
        for _ in 0..100 {
            self.world.settle();
            self.look()?;
            if self.world.trouble().is_none() {
                self.audit()?;
                return Ok(true);
            }
            let Some(timer) = self.world.timers.keys().next().copied() else { break };
            self.world.fire(timer);
        }
        Ok(false)
    }

    /// The process or the machine dies.
    fn crash(&mut self) {
        let _ = self.look();
        for sent in core::mem::take(&mut self.sent) {
            self.judge(&sent.change, None).expect("nothing said is nothing wrong");
        }
        self.readings.clear();
        let in_flight = core::mem::take(&mut self.world.pending);
        for (_, what) in &in_flight {
            self.world.disk.interrupt(what, &mut self.entropy);
        }
        if self.chance(2) {
            self.world.disk.cut_power(&mut self.entropy);
        }
        self.world.reborn();
    }

    fn collect(&mut self) {
        for (name, _) in asd::COUNTERS {
            *self.totals.counters.entry(name).or_default() += self.world.counter(name);
        }
    }
}

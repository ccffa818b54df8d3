//! Several members under crashes at any effect, full disks, partitions, and a network that loses, doubles and reorders.

mod askers;
mod faults;
mod levels;
mod operator;
mod settle;

use super::Chance;
use super::book::{Awaited, Book};
use super::disk::Disk;
use super::tally::Tally;
use consensus::{Member, Membership, RaftGroup, Role};
use core::time::Duration;
use formats::kv_client::KvClient;
use formats::kv_level::LEVEL;
use formats::message::admin::{AdminAnswer, KvGroupsVerb};
use formats::message::kv::{FunctionId, KvAnswer};
use formats::message::member::{MemberBody, MemberOf, member_of};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, GroupId, NodeId, ServerId};
use kv::{Config, Kv};
use std::collections::{BTreeMap, BTreeSet};
use step::{Bug, DiskOperation, Effects, Machine, OperationId, TimerId, Timestamp};

const TALLY: FunctionId = FunctionId(9);

const OPERATOR: NodeId = NodeId(77);

/// What went wrong.
pub(crate) type Violation = String;

struct Server {
    kv: Option<Kv<Tally, RaftGroup>>,
    disk: Disk,
    operations: Vec<(OperationId, DiskOperation)>,
    timers: BTreeMap<TimerId, Timestamp>,
    lives: u8,
}

struct Asker {
    group: GroupId,
    client: KvClient,
    awaited: BTreeMap<u64, Awaited>,
}

/// What servers did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) events: u64,
    pub(crate) messages: u64,
    pub(crate) disk: u64,
}

pub(crate) struct Members {
    pub(crate) chance: Chance,
    servers: Vec<Server>,
    /// The first servers of these are those with whom the group begins.
    voters: usize,
    /// How often each server lost its disk, as it was told.
    disks_lost: Vec<u32>,
    /// What an operator was answered.
    answers: BTreeMap<u64, AdminAnswer>,
    /// What a KV answered an operator.
    pub(crate) told: BTreeMap<u64, KvAnswer>,
    operations: u64,
    /// Who hears nobody and is heard by nobody.
    cut: BTreeSet<usize>,
    /// Who hears nothing of the root group.
    pub(crate) deaf: BTreeSet<usize>,
    /// Whose disks end nothing that they are told to do.
    pub(crate) hung: BTreeSet<usize>,
    network: Vec<(NodeId, NodeId, Message)>,
    askers: Vec<Asker>,
    books: BTreeMap<GroupId, Book>,
    /// How many messages members of groups said.
    pub(crate) said_of: BTreeMap<GroupId, u64>,
    /// What all servers did: events, messages and operations of disks.
    pub(crate) effort: Effort,
    /// The network neither loses nor doubles anything.
    pub(crate) is_calm: bool,
    /// No state gets from one member to another.
    pub(crate) loses_pages: bool,
    now: Timestamp,
    bug: Option<Bug>,
    log_ahead_bytes: u64,
    crash_soon: Option<usize>,
    pub(crate) crashes: usize,
    pub(crate) installed: u64,
    /// Nobody but the members compares what they have.
    pub(crate) is_blind: bool,
    /// At which level each server is held.
    levels: Vec<u32>,
    /// Rows of states that members give one another come out as no rows.
    pub(crate) spoils_rows: bool,
}

impl Members {
    pub(crate) fn new(seed: u64, count: usize, bug: Option<Bug>) -> Self {
        Members::with_spares(seed, count, count, bug)
    }

    /// So many servers, of which the first ones begin the group.
    pub(crate) fn with_spares(seed: u64, count: usize, voters: usize, bug: Option<Bug>) -> Self {
        let askers = (0..3).map(|number| Asker {
            group: GroupId::ROOT,
            client: KvClient::new(seed.wrapping_mul(31) + number, (0..count).map(node).collect()),
            awaited: BTreeMap::new(),
        });
        let server = || Server {
            kv: None,
            disk: Disk::default(),
            operations: Vec::new(),
            timers: BTreeMap::new(),
            lives: 0,
        };
        let mut members = Members {
            chance: Chance(seed),
            log_ahead_bytes: [65_536, 0][seed as usize % 2],
            servers: (0..count).map(|_| server()).collect(),
            voters,
            disks_lost: vec![0; count],
            answers: BTreeMap::new(),
            told: BTreeMap::new(),
            operations: 0,
            cut: BTreeSet::new(),
            deaf: BTreeSet::new(),
            hung: BTreeSet::new(),
            network: Vec::new(),
            askers: askers.collect(),
            books: BTreeMap::from([(GroupId::ROOT, Book::default())]),
            said_of: BTreeMap::new(),
            effort: Effort::default(),
            is_calm: false,
            loses_pages: false,
            now: Timestamp(1),
            bug,
            crash_soon: None,
            crashes: 0,
            installed: 0,
            is_blind: false,
            levels: vec![LEVEL; count],
            spoils_rows: false,
        };
        (0..count).for_each(|index| members.start(index));
        members
    }

    /// Makes groups, and lets an asker for each ask of it, beside one of the root group.
    pub(crate) fn make_groups(&mut self, names: &[&str]) -> Result<(), Violation> {
        for (name, number) in names.iter().zip(1..) {
            assert_eq!(self.ask_groups(&KvGroupsVerb::Make { name: (*name).into() })?, AdminAnswer::Done);
            self.books.insert(GroupId(number), Book::default());
            self.askers[number as usize].group = GroupId(number);
        }
        Ok(())
    }

    fn config(&self, index: usize) -> Config<Tally> {
        let first = Membership::of_voters((0..self.voters).map(|index| member_of(number(index), 0)));
        let me = self.member(index);
        Config {
            checkpoint_log_bytes: 60_000,
            checkpoint_rows: 2,
            room_kept: 8 << 10,
            log_ahead_bytes: self.log_ahead_bytes,
            kept_entries: 4,
            me,
            first: first.contains(me).then_some(first),
            bug: self.bug,
            level: self.levels[index],
            ..Config::new(ClusterIdentity([7; 16]), [(TALLY, Tally)].into())
        }
    }

    /// The member that a server is.
    pub(crate) fn member(&self, index: usize) -> Member {
        member_of(number(index), self.disks_lost[index])
    }

    /// Lets everything happen that is on its way, and so many ticks.
    pub(crate) fn pass(&mut self, ticks: usize) -> Result<(), Violation> {
        for _ in 0..ticks {
            for _ in 0..200 {
                self.deliver()?;
                (0..self.servers.len()).try_for_each(|index| self.complete(index))?;
            }
            self.tick()?;
        }
        Ok(())
    }

    /// Lets everything happen for so many seconds.
    pub(crate) fn pass_seconds(&mut self, seconds: u64) -> Result<(), Violation> {
        let until = self.now.after(Duration::from_secs(seconds));
        while self.now < until {
            self.pass(1)?;
        }
        Ok(())
    }

    /// Something happens that is no fault.
    pub(crate) fn happen_calmly(&mut self) -> Result<(), Violation> {
        let index = self.chance.below(self.servers.len());
        match self.chance.below(8) {
            0 if self.askers.iter().any(|asker| asker.awaited.len() < 8) => self.ask(),
            0..5 => self.deliver()?,
            5..7 => self.complete(index)?,
            _ => self.tick()?,
        }
        Ok(())
    }

    /// The server that leads and is not cut off.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.leader_of(GroupId::ROOT)
    }

    /// The same of a group.
    pub(crate) fn leader_of(&self, group: GroupId) -> Option<usize> {
        let leads = |index: &usize| {
            let look = self.servers[*index].kv.as_ref().and_then(|kv| kv.look_of(group));
            look.is_some_and(|look| look.leadership.role == Role::Leader) && !self.cut.contains(index)
        };
        (0..self.servers.len()).find(leads)
    }

    /// Something happens.
    pub(crate) fn happen(&mut self) -> Result<(), Violation> {
        let index = self.chance.below(self.servers.len());
        match self.chance.below(40) {
            0..18 => self.deliver()?,
            18..32 => self.complete(index)?,
            32..34 if self.askers.iter().any(|asker| asker.awaited.len() < 8) => self.ask(),
            34..36 => self.tick()?,
            36 if self.chance.one_in(20) => self.crash_soon = Some(index),
            36 if self.chance.one_in(20) => self.black_out(),
            37 if self.chance.one_in(20) => {
                self.cut = (0..self.servers.len()).filter(|_| self.chance.one_in(2)).collect();
            }
            37 if self.chance.one_in(3) => self.cut.clear(),
            38 if self.chance.one_in(60) => {
                let disk = &mut self.servers[index].disk;
                disk.room = Some(disk.used() + self.chance.below(100_000));
            }
            38 if self.chance.one_in(4) => self.servers[index].disk.room = None,
            39 if self.servers[index].kv.is_none() && self.chance.one_in(4) => self.start(index),
            _ => {}
        }
        Ok(())
    }

    /// An event, and the end of its turn.
    fn step(&mut self, index: usize, event: Event) -> Result<(), Violation> {
        self.step_one(index, event)?;
        self.step_one(index, Event::TurnEnd)?;
        self.look_at(index)
    }

    fn step_one(&mut self, index: usize, event: Event) -> Result<(), Violation> {
        self.effort.events += 1;
        let Some(kv) = &mut self.servers[index].kv else { return Ok(()) };
        let mut effects = Effects::new();
        kv.step(self.now, event, &mut effects);
        let mut carried_out = usize::MAX;
        if self.crash_soon == Some(index) && !effects.is_empty() {
            carried_out = self.chance.below(effects.as_slice().len() + 1);
        }
        let server = &mut self.servers[index];
        for effect in effects.drain().take(carried_out) {
            match effect {
                Effect::Send { to, mut message } => {
                    levels::check(&self.levels, to, &message)?;
                    if self.spoils_rows {
                        levels::spoil(&mut message);
                    }
                    if let Message::MemberOf(said) = &message {
                        *self.said_of.entry(said.group).or_default() += 1;
                    }
                    self.effort.messages += 1;
                    self.network.push((node(index), to, message));
                }
                Effect::Disk { operation, what } => {
                    self.effort.disk += 1;
                    server.operations.push((operation, what));
                }
                Effect::SetTimer { timer, after } => drop(server.timers.insert(timer, self.now.after(after))),
                Effect::ClearTimer(timer) => drop(server.timers.remove(&timer)),
                Effect::Halt { reason } => return Err(reason),
                Effect::Work { .. } => panic!("the KV asks for no work"),
            }
        }
        if carried_out != usize::MAX {
            self.crash_soon = None;
            self.crash(index);
        }
        Ok(())
    }

    fn complete(&mut self, index: usize) -> Result<(), Violation> {
        let server = &mut self.servers[index];
        if server.operations.is_empty() || self.hung.contains(&index) {
            return Ok(());
        }
        let chosen = self.chance.below(server.operations.len());
        let (operation, what) = server.operations.swap_remove(chosen);
        let result = server.disk.run(what);
        self.step(index, Event::Disk { operation, result })
    }

    /// Time goes on, to the next timer or the next time an asker asks again.
    fn tick(&mut self) -> Result<(), Violation> {
        let asks = self.askers.iter().filter_map(|asker| asker.client.next_due());
        let timers = self.servers.iter().flat_map(|server| server.timers.values().copied());
        let Some(next) = timers.chain(asks).min() else { return Ok(()) };
        self.now = self.now.max(next);
        for index in 0..self.servers.len() {
            let server = &mut self.servers[index];
            let due = server.timers.iter().find(|(_, at)| **at <= self.now).map(|(timer, _)| *timer);
            if let Some(timer) = due {
                server.timers.remove(&timer);
                self.step(index, Event::Timer(timer))?;
            }
        }
        for index in 0..self.askers.len() {
            self.resend(index);
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        if self.network.is_empty() {
            return Ok(());
        }
        let chosen = self.chance.below(self.network.len());
        let (from, to, message) = self.network[chosen].clone();
        if self.is_calm || !self.chance.one_in(20) {
            self.network.swap_remove(chosen);
        }
        if self.loses_pages && is_page(&message) {
            return Ok(());
        }
        if matches!(message, Message::Member(_)) && server(to).is_some_and(|to| self.deaf.contains(&to)) {
            return Ok(());
        }
        if to == OPERATOR {
            match message {
                Message::AdminReply(reply) => drop(self.answers.insert(reply.request, reply.body)),
                Message::KvReply(reply) => drop(self.told.insert(reply.request, reply.body)),
                _ => {}
            }
            return Ok(());
        }
        let is_cut = |node: NodeId| server(node).is_some_and(|server| self.cut.contains(&server));
        // Sides of a cut hear themselves.
        if (server(from).is_some() && server(to).is_some() && is_cut(from) != is_cut(to))
            || (!self.is_calm && self.chance.one_in(30))
        {
            return Ok(());
        }
        match (server(to), message) {
            (Some(index), message) => self.step(index, Event::Message { from, message }),
            (None, Message::KvReply(reply)) => self.on_reply(to.0 as usize - 1, from, reply),
            (None, other) => Err(format!("an odd message: {other:?}")),
        }
    }
}

fn is_page(message: &Message) -> bool {
    let (Message::Member(said) | Message::MemberOf(MemberOf { message: said, .. })) = message else {
        return false;
    };
    matches!(said.body, MemberBody::Page { .. })
}

/// The node of a member: members are counted from 1, and their nodes are the KVs of servers of these numbers.
fn node(server: usize) -> NodeId {
    NodeId::kv_of(number(server))
}

fn number(server: usize) -> ServerId {
    ServerId(server as u16 + 1)
}

/// Other nodes, which are no server's, are askers.
fn server(node: NodeId) -> Option<usize> {
    usize::from(node.server().0).checked_sub(1)
}

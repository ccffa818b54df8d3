//! Several members under crashes at any effect, full disks, partitions, and a network that loses, doubles and reorders.

use super::Chance;
use super::book::{Awaited, Book};
use super::disk::{Disk, rot_table};
use super::tally::Tally;
use consensus::{Member, Membership, RaftGroup, Role};
use core::time::Duration;
use formats::kv_client::KvClient;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, KvGroupVerb, KvGroupsVerb, RoleStatus};
use formats::message::kv::{
    FunctionId, KvAnswer, KvBody, KvCommand, KvOf, KvQuery, KvReply, KvRequest, KvStep,
};
use formats::message::member::{MemberBody, MemberOf, member_of};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, GroupId, NodeId, ServerId};
use kv::{COUNTERS, Config, Kv};
use std::collections::{BTreeMap, BTreeSet};
use step::{Bug, DiskOperation, Effects, FileName, Machine, OperationId, TimerId, Timestamp};

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
    operations: u64,
    /// Who hears nobody and is heard by nobody.
    cut: BTreeSet<usize>,
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
    crash_soon: Option<usize>,
    pub(crate) crashes: usize,
    pub(crate) installed: u64,
    /// Nobody but the members compares what they have.
    pub(crate) is_blind: bool,
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
            servers: (0..count).map(|_| server()).collect(),
            voters,
            disks_lost: vec![0; count],
            answers: BTreeMap::new(),
            operations: 0,
            cut: BTreeSet::new(),
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
            snapshot_log_bytes: 60_000,
            checkpoint_rows: 2,
            kept_entries: 4,
            me,
            first: first.contains(me).then_some(first),
            bug: self.bug,
            ..Config::new(ClusterIdentity([7; 16]), [(TALLY, Tally)].into())
        }
    }

    /// The member that a server is.
    pub(crate) fn member(&self, index: usize) -> Member {
        member_of(number(index), self.disks_lost[index])
    }

    /// Takes a server's disk away. It comes back as another member, or as the one it was, which is forbidden.
    pub(crate) fn wipe(&mut self, index: usize, is_told: bool) {
        self.crash(index);
        self.servers[index].disk = Disk::default();
        self.disks_lost[index] += u32::from(is_told);
        self.start(index);
    }

    /// Nothing more can be written to a server's disk.
    pub(crate) fn fill(&mut self, index: usize) {
        let disk = &mut self.servers[index].disk;
        disk.room = Some(disk.used());
    }

    /// A server's table rots while it is down: so many pairs, or nothing can be read of it any more.
    pub(crate) fn rot_table(&mut self, index: usize, pairs: Option<usize>) {
        self.crash(index);
        let (disk, chance) = (&mut self.servers[index].disk, &mut self.chance);
        let table = FileName::new(format_args!("table"));
        match pairs {
            Some(pairs) => {
                let table = disk.tables.get_mut(&table).expect("there is a table");
                (0..pairs).for_each(|_| rot_table(table, chance));
            }
            None => drop(disk.damaged.insert(table)),
        }
        self.start(index);
    }

    /// A server dies, and starts again.
    pub(crate) fn restart(&mut self, index: usize) {
        self.crash(index);
        self.start(index);
    }

    /// A server starts again, and finds so little room that it takes only commands that remove.
    pub(crate) fn narrow(&mut self, index: usize) {
        self.crash(index);
        let disk = &mut self.servers[index].disk;
        disk.room = Some(disk.used() + 100_000);
        self.start(index);
    }

    /// Cuts these off from the others.
    pub(crate) fn cut_off(&mut self, servers: &[usize]) {
        self.cut = servers.iter().copied().collect();
    }

    /// Asks a server something; what it is answered is found in [`Members::answer`].
    pub(crate) fn ask_admin(&mut self, index: usize, body: AdminBody) -> Result<u64, Violation> {
        self.operations += 1;
        let request = self.operations;
        let message = Message::Admin(AdminRequest { request, body });
        self.step(index, Event::Message { from: OPERATOR, message })?;
        Ok(request)
    }

    /// Sets a key at the server that leads.
    pub(crate) fn set(&mut self, index: usize, key: &[u8], value: Vec<u8>) -> Result<(), Violation> {
        self.operations += 1;
        let request = self.operations;
        let command = KvCommand::Sequence(vec![KvStep::Set { key: key.to_vec(), value }]);
        let body = KvBody::Command { session: 77, sequence: request, answered_below: request, command };
        let message = Message::Kv(KvRequest { request, body });
        self.step(index, Event::Message { from: OPERATOR, message })
    }

    /// What a server answers at once that is asked what a group holds.
    pub(crate) fn ask_of(&mut self, index: usize, group: GroupId) -> Option<KvAnswer> {
        let body = KvBody::Query(KvQuery::Get { key: b"k".to_vec() });
        let message = Message::KvOf(KvOf { group, request: KvRequest { request: 1, body } });
        self.step_one(index, Event::Message { from: OPERATOR, message }).ok()?;
        match self.network.pop()? {
            (.., Message::KvReply(reply)) => Some(reply.body),
            _ => None,
        }
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

    /// The answer to a request, if it came.
    pub(crate) fn answer(&self, request: u64) -> Option<&AdminAnswer> {
        self.answers.get(&request)
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

    /// Asks whoever leads until the answer is more than "not yet".
    pub(crate) fn ask_group(&mut self, verb: KvGroupVerb) -> Result<AdminAnswer, Violation> {
        self.ask_leader(AdminBody::KvGroup(verb))
    }

    /// The same of one beside the root group.
    pub(crate) fn ask_group_of(&mut self, name: &str, verb: KvGroupVerb) -> Result<AdminAnswer, Violation> {
        let body = AdminBody::KvGroupOf { name: name.into(), verb };
        let request = |world: &mut Self, index| world.ask_admin(index, body.clone());
        for index in (0..self.servers.len()).cycle().take(400) {
            let request = request(self, index)?;
            self.pass(5)?;
            match self.answer(request) {
                None | Some(AdminAnswer::NotYet(_)) => {}
                Some(AdminAnswer::Failed(why)) if why.contains("by its leader") => {}
                Some(answer) => return Ok(answer.clone()),
            }
        }
        Err(format!("{verb:?} is never done"))
    }

    /// The same about groups.
    pub(crate) fn ask_groups(&mut self, verb: &KvGroupsVerb) -> Result<AdminAnswer, Violation> {
        self.ask_leader(AdminBody::KvGroups(verb.clone()))
    }

    fn ask_leader(&mut self, body: AdminBody) -> Result<AdminAnswer, Violation> {
        for _ in 0..400 {
            self.pass(5)?;
            let Some(leader) = self.leader() else { continue };
            let request = self.ask_admin(leader, body.clone())?;
            self.pass(5)?;
            match self.answer(request) {
                None | Some(AdminAnswer::NotYet(_)) => {}
                Some(answer) => return Ok(answer.clone()),
            }
        }
        Err(format!("{body:?} is never done"))
    }

    /// The status of a server's member.
    pub(crate) fn status(&mut self, index: usize) -> Result<RoleStatus, Violation> {
        let request = self.ask_admin(index, AdminBody::Status)?;
        for _ in 0..10_000 {
            self.deliver()?;
            if let Some(AdminAnswer::Status(status)) = self.answer(request) {
                return Ok(status.clone());
            }
        }
        Err("no status".into())
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
            // The room loses power.
            36 if self.chance.one_in(20) => (0..self.servers.len()).for_each(|index| self.crash(index)),
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

    /// Runs without faults until everything is answered and all members are where the leader is, then compares.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.cut.clear();
        self.crash_soon = None;
        for index in 0..self.servers.len() {
            self.servers[index].disk.room = None;
            if self.servers[index].kv.is_none() {
                self.start(index);
            }
        }
        for _ in 0..4_000 {
            while !self.network.is_empty() || self.servers.iter().any(|server| !server.operations.is_empty())
            {
                self.deliver()?;
                (0..self.servers.len()).try_for_each(|index| self.complete(index))?;
            }
            if self.books.keys().all(|group| self.are_level(*group))
                && self.askers.iter().all(|asker| asker.awaited.is_empty())
            {
                return self.compare();
            }
            self.tick()?;
        }
        Err("something is never answered, or a member never catches up".to_string())
    }

    /// Whether all members of a group have applied as much.
    fn are_level(&self, group: GroupId) -> bool {
        let applied = |server: &Server| Some(server.kv.as_ref()?.pairs_of(group)?.0);
        let applied: BTreeSet<_> = self.servers.iter().map(applied).collect();
        applied.len() == 1 && !applied.contains(&None)
    }

    fn start(&mut self, index: usize) {
        let config = self.config(index);
        let server = &mut self.servers[index];
        server.kv = Some(Kv::new(config));
        server.lives += 1;
        let mut seed = [index as u8 + 1; 32];
        seed[0] = server.lives;
        self.step(index, Event::Start { seed }).expect("a start halts nothing");
    }

    fn crash(&mut self, index: usize) {
        self.crashes += 1;
        let power = self.chance.one_in(2);
        let server = &mut self.servers[index];
        server.kv = None;
        server.timers.clear();
        for (_, what) in std::mem::take(&mut server.operations) {
            server.disk.interrupt(what, &mut self.chance);
        }
        if power {
            server.disk.cut_power(&mut self.chance);
        }
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
                Effect::Send { to, message } => {
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

    /// Members that applied as much have the same.
    fn look_at(&mut self, index: usize) -> Result<(), Violation> {
        let Some(kv) = &self.servers[index].kv else { return Ok(()) };
        for (group, book) in &mut self.books {
            if let Some((applied, pairs)) = kv.pairs_of(*group)
                && !book.is_same(applied, pairs)
                && !self.is_blind
            {
                return Err(format!("members of group {group} differ at entry {applied}"));
            }
        }
        Ok(())
    }

    fn complete(&mut self, index: usize) -> Result<(), Violation> {
        let server = &mut self.servers[index];
        if server.operations.is_empty() {
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

    /// Somebody asks something of a group.
    pub(crate) fn ask_for(&mut self, group: GroupId) {
        let index = self.askers.iter().position(|asker| asker.group == group).expect("it has an asker");
        self.ask_as(index);
    }

    fn ask(&mut self) {
        let index = self.chance.below(self.askers.len());
        self.ask_as(index);
    }

    fn ask_as(&mut self, index: usize) {
        let now = self.now;
        let asker = &mut self.askers[index];
        let book = self.books.get_mut(&asker.group).expect("its group was made");
        let (asked, awaited) = if self.chance.below(10) < 6 {
            let filler = "x".repeat(self.chance.below(8) * 700);
            let (command, awaited) = book.issue(&filler);
            let command = KvCommand::Function { function: TALLY, command };
            (asker.client.command(now, command), awaited)
        } else {
            let query = KvQuery::Function { function: TALLY, query: Vec::new() };
            (asker.client.query(now, query), book.count())
        };
        asker.awaited.insert(asked.1.request, awaited);
        self.send(index, asked);
    }

    fn resend(&mut self, asker: usize) {
        for asked in self.askers[asker].client.resend_due(self.now) {
            self.send(asker, asked);
        }
    }

    fn send(&mut self, asker: usize, (to, request): (NodeId, KvRequest)) {
        let message = match self.askers[asker].group {
            GroupId::ROOT => Message::Kv(request),
            group => Message::KvOf(KvOf { group, request }),
        };
        self.network.push((NodeId(1 + asker as u32), to, message));
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
        if to == OPERATOR {
            if let Message::AdminReply(reply) = message {
                self.answers.insert(reply.request, reply.body);
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

    fn on_reply(&mut self, index: usize, from: NodeId, reply: KvReply) -> Result<(), Violation> {
        let taken = self.askers[index].client.on_reply(self.now, from, reply);
        self.resend(index);
        let (asker, Some((request, answer))) = (&mut self.askers[index], taken) else { return Ok(()) };
        let awaited = asker.awaited.remove(&request).expect("it was asked");
        self.books.get_mut(&asker.group).expect("its group was made").on_answer(&awaited, &answer)
    }

    /// Everything is answered: every member lists what was issued, once, where it was answered to be.
    fn compare(&mut self) -> Result<(), Violation> {
        for index in 0..self.servers.len() {
            let kv = self.servers[index].kv.as_ref().ok_or("it does not serve")?;
            for (group, book) in &self.books {
                let (_, pairs) = kv.pairs_of(*group).ok_or("it does not host a group")?;
                book.compare(pairs)?;
            }
            self.installed += self.counter(index, "installed")?;
            if self.counter(index, "differed")? > 0 {
                return Err("a member finds that others differ".to_string());
            }
        }
        Ok(())
    }

    /// A counter of a member's present life.
    pub(crate) fn counter(&mut self, index: usize, name: &str) -> Result<u64, Violation> {
        let message = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
        self.step_one(index, Event::Message { from: NodeId(99), message })?;
        let Some((.., Message::AdminReply(reply))) = self.network.pop() else {
            return Err("no status".into());
        };
        let AdminAnswer::Status(RoleStatus::Kv { counters, .. } | RoleStatus::KvMember { counters, .. }) =
            reply.body
        else {
            return Err(format!("{:?}", reply.body));
        };
        let place = COUNTERS.iter().position(|(counter, _)| *counter == name).expect("a counter");
        Ok(counters[place])
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

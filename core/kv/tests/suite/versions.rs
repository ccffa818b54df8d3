//! Members whose programs differ: a command that one of them can't apply is not logged.

use consensus::{Member, Membership, RaftGroup};
use formats::message::kv::{FunctionId, KvAnswer, KvBody, KvCommand, KvError, KvReply, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use std::collections::{BTreeMap, VecDeque};
use step::{Effects, Function, Machine, OrderedMap, TimerId, Timestamp};

use crate::support::disk::Disk;
use crate::version_2::old;

/// A function of some version, which answers that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Versioned(u32);

impl Function for Versioned {
    fn version(&self) -> u32 {
        self.0
    }

    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        map.set(b"applied", command.to_vec());
        Ok(command.to_vec())
    }

    fn query(&self, _map: &dyn OrderedMap, _query: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

const FUNCTION: FunctionId = FunctionId(9);
const ASKER: NodeId = NodeId(50);

struct Server {
    kv: Kv<Versioned, RaftGroup>,
    disk: Disk,
    timers: BTreeMap<TimerId, Timestamp>,
}

/// A group on a network that loses nothing; time goes on when nothing else happens.
struct Group {
    servers: Vec<Server>,
    events: VecDeque<(usize, Event)>,
    replies: Vec<KvReply>,
    halted: Vec<(usize, String)>,
    now: Timestamp,
    asked: u64,
}

fn config(index: usize, count: usize, version: u32) -> Config<Versioned> {
    let member = |index: usize| Member(index as u64 + 1);
    Config {
        me: member(index),
        first: Some(Membership::of_voters((0..count).map(member))),
        nodes: (0..count).map(|other| (member(other), NodeId(other as u32))).collect(),
        ..Config::new(ClusterIdentity([7; 16]), [(FUNCTION, Versioned(version))].into())
    }
}

impl Group {
    fn new(versions: &[u32]) -> Self {
        let server = |(index, version): (usize, &u32)| Server {
            kv: Kv::new(config(index, versions.len(), *version)),
            disk: Disk::default(),
            timers: BTreeMap::new(),
        };
        let servers = versions.iter().enumerate().map(server).collect();
        let (events, replies, halted) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut group = Group { servers, events, replies, halted, now: Timestamp(1), asked: 0 };
        (0..versions.len()).for_each(|index| group.start(index));
        group
    }

    /// A group whose members have these folders.
    fn of_disks(disks: Vec<Disk>) -> Self {
        let mut group = Group::new(&vec![1; disks.len()]);
        group.events.clear();
        for (index, disk) in disks.into_iter().enumerate() {
            group.servers[index].disk = disk;
        }
        group
    }

    fn start(&mut self, index: usize) {
        self.events.push_back((index, Event::Start { seed: [index as u8 + 1; 32] }));
    }

    /// The program of a member is replaced.
    fn upgrade(&mut self, index: usize, version: u32) {
        let count = self.servers.len();
        self.servers[index].kv = Kv::new(config(index, count, version));
        self.servers[index].timers.clear();
        self.events.retain(|(of, _)| *of != index);
        self.start(index);
    }

    fn happen(&mut self) {
        let Some((index, event)) = self.events.pop_front() else { return self.tick() };
        for event in [event, Event::TurnEnd] {
            let mut effects = Effects::new();
            self.servers[index].kv.step(self.now, event, &mut effects);
            effects.drain().for_each(|effect| self.carry_out(index, effect));
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect) {
        let server = &mut self.servers[index];
        match effect {
            Effect::Disk { operation, what } => {
                let result = server.disk.run(what);
                self.events.push_back((index, Event::Disk { operation, result }));
            }
            Effect::Send { to: ASKER, message: Message::KvReply(reply) } => self.replies.push(reply),
            Effect::Send { to, message } => {
                let from = NodeId(index as u32);
                self.events.push_back((to.0 as usize, Event::Message { from, message }));
            }
            Effect::SetTimer { timer, after } => drop(server.timers.insert(timer, self.now.after(after))),
            Effect::ClearTimer(timer) => drop(server.timers.remove(&timer)),
            Effect::Halt { reason } => self.halted.push((index, reason)),
            Effect::Work { .. } => panic!("the KV asks for no work"),
        }
    }

    fn tick(&mut self) {
        let next = self.servers.iter().flat_map(|server| server.timers.values()).min();
        let Some(next) = next else { return };
        self.now = *next;
        for (index, server) in self.servers.iter_mut().enumerate() {
            while let Some((timer, _)) = server.timers.iter().find(|(_, at)| **at <= self.now) {
                let timer = *timer;
                server.timers.remove(&timer);
                self.events.push_back((index, Event::Timer(timer)));
            }
        }
    }

    fn run(&mut self) {
        (0..20_000).for_each(|_| self.happen());
    }

    /// Asks all for a command of this version; what the leader answers.
    fn ask(&mut self, version: u32) -> KvAnswer {
        self.asked += 1;
        let step = KvStep::Function { function: FUNCTION, version, command: vec![version as u8] };
        let body = KvBody::Command {
            session: 1,
            sequence: self.asked,
            answered_below: 1,
            command: KvCommand::Steps(vec![step]),
        };
        self.replies.clear();
        for index in 0..self.servers.len() {
            let message = Message::Kv(KvRequest { request: self.asked, body: body.clone() });
            self.events.push_back((index, Event::Message { from: ASKER, message }));
        }
        self.run();
        let is_answer = |reply: &&KvReply| {
            !matches!(reply.body, KvAnswer::Failed(KvError::NotLeader { .. } | KvError::Unavailable))
        };
        self.replies.iter().find(is_answer).expect("the leader answers").body.clone()
    }
}

fn too_new(version: u32, member: u64) -> KvAnswer {
    KvAnswer::Failed(KvError::TooNew { function: FUNCTION, version, member: Member(member) })
}

#[test]
fn a_command_waits_until_all_members_know_it() {
    let mut group = Group::new(&[2, 2, 0]);
    group.run();
    assert_eq!(group.ask(1), too_new(1, 3));
    assert!(matches!(group.ask(0), KvAnswer::Applied { .. }), "all know the first version");
    group.upgrade(2, 1);
    group.run();
    assert!(matches!(group.ask(1), KvAnswer::Applied { .. }));
    assert_eq!(group.ask(2), too_new(2, 3));
    // What members said outlives them: nobody starts with less.
    (0..3).for_each(|index| group.upgrade(index, 2));
    group.run();
    assert!(matches!(group.ask(2), KvAnswer::Applied { .. }));
    assert_eq!(group.halted, []);
}

#[test]
fn alone_the_own_program_is_all_that_counts() {
    let mut group = Group::new(&[1]);
    group.run();
    assert!(matches!(group.ask(1), KvAnswer::Applied { .. }));
    assert_eq!(group.ask(2), too_new(2, 1));
    let pairs = group.servers[0].kv.pairs().map(|(_, pairs)| pairs.count());
    assert_eq!(pairs, Some(1), "nothing is announced");
}

/// An older program on a log with a newer one's command says so and stops: to go on would make members differ.
#[test]
fn an_older_program_does_not_skip_a_command() {
    let mut group = Group::new(&[1, 1, 1]);
    group.run();
    assert!(matches!(group.ask(1), KvAnswer::Applied { .. }));
    group.upgrade(0, 0);
    group.run();
    let [(0, reason)] = &group.halted[..] else { panic!("{:?}", group.halted) };
    assert!(reason.contains("needs version 1 of function 9"), "{reason}");
    assert!(reason.ends_with("start that program"), "{reason}");
}

/// One server after another gets today's program on the folder that it has: the last of them finds the others in files of
/// today, and far ahead.
#[test]
fn a_member_that_starts_from_an_older_folder_joins_those_that_did_before() {
    let three = Membership::of_voters([1, 2, 3].map(Member));
    let mut group = Group::of_disks((0..3).map(|_| old(three.clone(), Member(2))).collect());
    (0..2).for_each(|index| group.start(index));
    group.run();
    for _ in 0..5 {
        assert!(
            matches!(group.ask(1), KvAnswer::Failed(KvError::TooNew { .. })),
            "the third has said nothing yet"
        );
        assert!(matches!(group.ask(0), KvAnswer::Applied { .. }));
    }
    group.start(2);
    group.run();
    assert!(matches!(group.ask(1), KvAnswer::Applied { .. }));
    group.run();
    let pairs = |index: usize| {
        let (applied, pairs) = group.servers[index].kv.pairs().expect("it serves");
        (applied, pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>())
    };
    assert!(pairs(2) == pairs(0) && pairs(2) == pairs(1));
    assert!(pairs(2).1.iter().any(|(key, _)| *key == [4]), "what was in the old folders is there");
    assert_eq!(group.halted, []);
}

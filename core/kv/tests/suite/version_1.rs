//! Files of version 1, which knew no group, become the state with which a group of one begins: whole at any moment,
//! whenever the process dies on the way.

use crate::support::Chance;
use crate::support::disk::Disk;
use crate::support::tally::Tally;
use bytes::Bytes;
use consensus::RaftGroup;
use formats::journal::{FileHeader, Kind, Mark, Writer};
use formats::kv_store::{LoggedCommand, SnapshotPart, encode_commands, encode_part};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvQuery, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use step::{DiskOperation, Effects, FileName, Machine, OperationId, Timestamp};

const CLUSTER: ClusterIdentity = ClusterIdentity([7; 16]);

/// Puts a synced file of version 1 on the disk.
fn put(disk: &mut Disk, name: &str, kind: Kind, bodies: Vec<Vec<u8>>) {
    let header = FileHeader {
        kind: Kind { version: 1, ..kind },
        owner: CLUSTER.0,
        sequence: 2,
        predecessor: None,
        label: Vec::new(),
    };
    let (mut writer, page) = Writer::begin(&header);
    let mut pieces = vec![page];
    for body in bodies {
        pieces.extend(writer.batch(Mark::default(), vec![Bytes::from(body)]));
    }
    let file = FileName::parse(name).expect("a name");
    for what in [
        DiskOperation::Create { file },
        DiskOperation::Write { file, offset: 0, pieces },
        DiskOperation::Sync { file },
    ] {
        disk.run(what).expect("there is room");
    }
}

fn command(sequence: u64) -> KvCommand {
    KvCommand::Sequence(vec![KvStep::Set { key: vec![sequence as u8], value: vec![sequence as u8; 9] }])
}

fn logged(sequence: u64) -> LoggedCommand {
    LoggedCommand { session: 5, sequence, answered_below: 1, command: command(sequence) }
}

/// Commands 1 and 2 in a snapshot, 2 to 4 in the log.
fn old() -> Disk {
    let mut disk = Disk::default();
    let pairs = SnapshotPart::Pairs(vec![(vec![1], vec![1; 9]), (vec![2], vec![2; 9])]);
    let end = SnapshotPart::End { index: 2, sessions: 0, pairs: 2 };
    let parts = [pairs, end].iter().map(encode_part).collect();
    put(&mut disk, "snapshot-0000000000000002", Kind::KV_SNAPSHOT, parts);
    let bodies =
        vec![encode_commands(2, [logged(2), logged(3)].iter()), encode_commands(4, [logged(4)].iter())];
    put(&mut disk, "log-0000000000000002", Kind::KV_LOG, bodies);
    disk
}

struct Life {
    kv: Kv<Tally, RaftGroup>,
    disk: Disk,
    operations: Vec<(OperationId, DiskOperation)>,
    answers: Vec<KvAnswer>,
}

impl Life {
    fn begin(disk: Disk) -> Life {
        let kv = Kv::new(Config::new(CLUSTER, [].into()));
        let mut life = Life { kv, disk, operations: Vec::new(), answers: Vec::new() };
        life.step(Event::Start { seed: [0; 32] });
        life
    }

    fn step(&mut self, event: Event) {
        let mut effects = Effects::new();
        self.kv.step(Timestamp(0), event, &mut effects);
        for effect in effects.drain() {
            match effect {
                Effect::Disk { operation, what } => self.operations.push((operation, what)),
                Effect::Send { message: Message::KvReply(reply), .. } => self.answers.push(reply.body),
                Effect::Halt { reason } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// Ends the oldest operation; whether there was one.
    fn run_one(&mut self) -> bool {
        if self.operations.is_empty() {
            return false;
        }
        let (operation, what) = self.operations.remove(0);
        let result = self.disk.run(what);
        self.step(Event::Disk { operation, result });
        self.step(Event::TurnEnd);
        true
    }

    fn ask(&mut self, body: KvBody) -> KvAnswer {
        self.step(Event::Message { from: NodeId(3), message: Message::Kv(KvRequest { request: 1, body }) });
        self.step(Event::TurnEnd);
        while self.run_one() {}
        self.answers.pop().expect("it is answered")
    }

    fn check(&mut self) {
        while self.run_one() {}
        let query = KvQuery::Range { prefix: Vec::new(), from: Vec::new(), limit: 10 };
        let pairs = (1..5_u8).map(|key| (vec![key], vec![key; 9])).collect();
        assert_eq!(self.ask(KvBody::Query(query)), KvAnswer::Range { pairs, more: false });
        let again = KvBody::Command { session: 5, sequence: 4, answered_below: 1, command: command(9) };
        assert_eq!(self.ask(again), KvAnswer::Done(Vec::new()), "the sessions are known");
    }
}

#[test]
fn it_opens_whole_whenever_the_process_dies() {
    let mut is_over = false;
    for steps in 0.. {
        let mut life = Life::begin(old());
        for _ in 0..steps {
            is_over |= !life.run_one();
        }
        let mut chance = Chance(steps);
        for (_, what) in std::mem::take(&mut life.operations) {
            life.disk.interrupt(what, &mut chance);
        }
        life.disk.cut_power(&mut chance);
        let mut life = Life::begin(life.disk);
        life.check();
        Life::begin(life.disk).check();
        if is_over {
            break;
        }
    }
}

#[test]
fn its_files_go_when_the_first_snapshot_is_durable() {
    let mut life = Life::begin(old());
    life.check();
    assert_eq!(life.disk.names(), ["log-0000000000000003", "snapshot-0000000000000003"]);
}

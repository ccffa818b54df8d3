//! Files of version 1, which knew no group, become the state with which a group of one begins: whole at any moment,
//! whenever the process dies on the way.

use crate::support::Chance;
use crate::support::disk::Disk;
use crate::support::life::{CLUSTER, Life, put_file};
use formats::journal::Kind;
use formats::kv_store::{LoggedCommand, SnapshotPart, encode_commands, encode_part};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvQuery, KvStep};
use kv::Config;

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
    put_file(&mut disk, "snapshot-0000000000000002", Kind { version: 1, ..Kind::KV_SNAPSHOT }, parts);
    let bodies =
        vec![encode_commands(2, [logged(2), logged(3)].iter()), encode_commands(4, [logged(4)].iter())];
    put_file(&mut disk, "log-0000000000000002", Kind { version: 1, ..Kind::KV_LOG }, bodies);
    disk
}

fn begin(disk: Disk) -> Life {
    Life::begin(disk, Config::new(CLUSTER, [].into()))
}

fn check(life: &mut Life) {
    while life.run_one() {}
    let query = KvQuery::Range { prefix: Vec::new(), from: Vec::new(), limit: 10 };
    let pairs = (1..5_u8).map(|key| (vec![key], vec![key; 9])).collect();
    assert_eq!(life.ask(KvBody::Query(query)), KvAnswer::Range { pairs, more: false });
    let again = KvBody::Command { session: 5, sequence: 4, answered_below: 1, command: command(9) };
    assert_eq!(life.ask(again), KvAnswer::Done(Vec::new()), "the sessions are known");
}

#[test]
fn it_opens_whole_whenever_the_process_dies() {
    let mut is_over = false;
    for steps in 0.. {
        let mut life = begin(old());
        for _ in 0..steps {
            is_over |= !life.run_one();
        }
        let mut chance = Chance(steps);
        for (_, what) in std::mem::take(&mut life.operations) {
            life.disk.interrupt(what, &mut chance);
        }
        life.disk.cut_power(&mut chance);
        let mut life = begin(life.disk);
        check(&mut life);
        check(&mut begin(life.disk));
        if is_over {
            break;
        }
    }
}

#[test]
fn its_files_go_when_the_first_checkpoint_is_durable() {
    let mut life = begin(old());
    check(&mut life);
    assert_eq!(life.disk.names(), ["log-0000000000000003", "table"]);
}

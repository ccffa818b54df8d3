//! Files of version 2, which knew the root group alone, of a group of one and of a member of several: each opens with what
//! it had, its vote included, and goes on in files of today.

use crate::support::disk::Disk;
use crate::support::life::{CLUSTER, Life, put_file};
use consensus::{Entry, EntryBody, HardState, LogIndex, Member, Membership, SnapshotMark, Term};
use formats::journal::{Kind, scan};
use formats::kv_store::{
    Appended, LogRecord, LoggedCommand, SnapshotPart, decode_records, encode_entry, encode_part,
    encode_records_2,
};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvQuery, KvStep};
use glossary::GroupId;
use kv::Config;

fn entry(index: u64) -> Entry {
    let step = KvStep::Set { key: vec![index as u8], value: vec![index as u8; 9] };
    let command = KvCommand::Sequence(vec![step]);
    let logged = LoggedCommand { session: 5, sequence: index, answered_below: 1, command };
    let body = EntryBody::Command(encode_entry([logged].iter()).into());
    Entry { term: Term(2), index: LogIndex(index), body }
}

fn hard_state(vote: Member) -> HardState {
    HardState { term: Term(2), vote: Some(vote), commit: LogIndex(4) }
}

/// Entries up to 3 in a snapshot; those from 3 to 4 in the log that goes on from it, and a vote.
pub(crate) fn old(membership: Membership, vote: Member) -> Disk {
    let mut disk = Disk::default();
    let mark = SnapshotMark { index: LogIndex(3), term: Term(2), membership };
    let pairs = SnapshotPart::Pairs((1..=3).map(|key| (vec![key], vec![key; 9])).collect());
    let end = SnapshotPart::End { index: 3, sessions: 0, pairs: 3 };
    let parts = [SnapshotPart::Mark(mark), pairs, end].iter().map(encode_part).collect();
    put_file(&mut disk, "snapshot-0000000000000002", Kind { version: 2, ..Kind::KV_SNAPSHOT }, parts);
    let append = Some(Appended { after: LogIndex(2), entries: vec![entry(3)] });
    let first =
        LogRecord { upon: Some(2), hard_state: Some(HardState::default()), append, ..LogRecord::default() };
    let vote = LogRecord { hard_state: Some(hard_state(vote)), ..LogRecord::default() };
    let append = Some(Appended { after: LogIndex(3), entries: vec![entry(4)] });
    let last = LogRecord { append, ..LogRecord::default() };
    let bodies = vec![encode_records_2(&[first]), encode_records_2(&[vote, last])];
    put_file(&mut disk, "log-0000000000000002", Kind { version: 2, ..Kind::KV_LOG }, bodies);
    disk
}

#[test]
fn a_group_of_one_goes_on() {
    let disk = old(Membership::of_voters([Member(1)]), Member(1));
    let mut life = Life::begin(disk, Config::new(CLUSTER, [].into()));
    while life.run_one() {}
    let query = KvQuery::Range { prefix: Vec::new(), from: Vec::new(), limit: 10 };
    let pairs = (1..5_u8).map(|key| (vec![key], vec![key; 9])).collect();
    assert_eq!(life.ask(KvBody::Query(query)), KvAnswer::Range { pairs, more: false });
}

#[test]
fn a_member_of_several_keeps_its_vote() {
    let three = || Membership::of_voters([1, 2, 3].map(Member));
    let config = || Config { me: Member(2), ..Config::new(CLUSTER, [].into()) };
    let mut life = Life::begin(old(three(), Member(3)), config());
    while life.run_one() {}
    let (applied, pairs) = life.kv.pairs().expect("it serves");
    assert_eq!((applied, pairs.count()), (LogIndex(4), 4), "what it knew to be committed is applied");

    // A file of today, with which all is said again.
    life.checkpoint();
    let log = life.disk.last("log-").expect("there is a log");
    let scan = scan(&log, Kind::KV_LOG, &CLUSTER.0, 3).expect("it has a header");
    let records = decode_records(&scan.batches[0].body).expect("records of today");
    let expected = LogRecord {
        upon: Some(3),
        hard_state: Some(hard_state(Member(3))),
        append: Some(Appended { after: LogIndex(4), entries: Vec::new() }),
        install: Some(SnapshotMark { index: LogIndex(4), term: Term(2), membership: three() }),
    };
    assert_eq!((scan.header.kind, records), (Kind::KV_LOG, vec![(GroupId::ROOT, expected)]));
}

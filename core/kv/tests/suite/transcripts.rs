//! What the KV wants, event by event: `>` is an event, below it stand its effects.

use crate::support::disk::Disk;
use crate::support::script::Script;
use crate::support::tally::Tally;
use formats::journal::PAGE;
use formats::message::admin::{AdminBody, AdminRequest};
use formats::message::kv::{FunctionId, KvAnswer, KvBody, KvCommand, KvQuery, KvRequest, KvStep};
use formats::{Effect, Event, Message};
use glossary::{ClusterIdentity, NodeId};
use kv::{Config, Kv};
use step::{DiskError, DiskOperation, Effects, Machine, TableChange, Timestamp};

#[test]
fn the_first_start_opens_a_log_and_serves() {
    let mut script = Script::new(Disk::default(), 1 << 20);
    script.event("start", Event::Start { seed: [0; 32] });
    script.get(1);
    script.run();
    script.get(2);
    script.check(include_str!("testdata/the_first_start_opens_a_log_and_serves.txt"));
}

#[test]
fn a_command_is_answered_when_its_batch_is_synced_and_a_mark_follows() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.end(None);
    script.turn();
    script.event("timer 1", Event::Timer(step::TimerId(1)));
    script.turn();
    script.run();
    script.check(include_str!(
        "testdata/a_command_is_answered_when_its_batch_is_synced_and_a_mark_follows.txt"
    ));
}

#[test]
fn what_comes_while_a_batch_is_written_is_the_next_batch() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.set(2, b"b");
    script.get(3);
    script.set(4, b"c");
    script.turn();
    script.run();
    script.get(5);
    script.check(include_str!("testdata/what_comes_while_a_batch_is_written_is_the_next_batch.txt"));
}

#[test]
fn a_command_that_comes_again_is_applied_once() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.set(1, b"a");
    script.run();
    script.set(1, b"a");
    script.turn();
    script.check(include_str!("testdata/a_command_that_comes_again_is_applied_once.txt"));
}

#[test]
fn a_sequence_that_is_refused_changes_nothing() {
    let mut script = Script::started();
    let set = KvStep::Set { key: b"k".to_vec(), value: b"a".to_vec() };
    let assert = KvStep::Assert { key: b"k".to_vec(), value: Some(b"b".to_vec()) };
    script.command(1, vec![set, assert, KvStep::AssertExists { key: b"no".to_vec() }]);
    script.command(2, vec![KvStep::AssertExists { key: b"no".to_vec() }]);
    script.turn();
    script.run();
    script.get(3);
    script.check(include_str!("testdata/a_sequence_that_is_refused_changes_nothing.txt"));
}

#[test]
fn what_breaks_a_bound_is_refused_without_a_log() {
    let mut script = Script::started();
    script.set(1, &vec![0; kv::limits::MAX_VALUE_BYTES + 1]);
    script.command(2, vec![KvStep::Delete { key: vec![0; kv::limits::MAX_KEY_BYTES + 1] }]);
    let value = vec![0; kv::limits::MAX_VALUE_BYTES];
    let set = KvStep::Set { key: b"k".to_vec(), value };
    script.command(3, vec![set.clone(), set.clone(), set]);
    script.turn();
    script.check(include_str!("testdata/what_breaks_a_bound_is_refused_without_a_log.txt"));
}

#[test]
fn a_full_disk_lets_questions_through_and_goes_on_by_itself() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.set(2, b"b");
    script.get(3);
    script.end(Some(Err(DiskError::Full)));
    script.turn();
    script.set(1, b"a");
    script.set(4, b"c");
    script.get(5);
    script.turn();
    script.event("timer 2", Event::Timer(step::TimerId(2)));
    script.end(Some(Err(DiskError::Full)));
    script.event("timer 2", Event::Timer(step::TimerId(2)));
    script.run();
    script.check(include_str!("testdata/a_full_disk_lets_questions_through_and_goes_on_by_itself.txt"));
}

#[test]
fn a_failed_write_stops_it_for_good() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.end(Some(Err(DiskError::Failed)));
    script.get(2);
    script.turn();
    script.check(include_str!("testdata/a_failed_write_stops_it_for_good.txt"));
}

#[test]
fn a_checkpoint_replaces_the_log_while_commands_go_on() {
    let mut script = Script::new(Disk::default(), 12_288);
    script.event("start", Event::Start { seed: [0; 32] });
    script.run();
    script.set(1, b"a");
    script.turn();
    script.run();
    script.set(2, b"b");
    script.turn();
    script.text.clear();
    script.end(None);
    script.turn();
    script.set(3, b"c");
    script.turn();
    script.run();
    script.check(include_str!("testdata/a_checkpoint_replaces_the_log_while_commands_go_on.txt"));
    assert_eq!(script.disk.names(), ["log-0000000000000002", "table"]);
}

#[test]
fn a_checkpoint_is_gathered_piece_by_piece_though_nothing_else_happens() {
    let mut script = Script::in_pieces();
    let (timers, changes) = script.gather();
    assert!(timers >= 3, "{timers} pieces of {} changes", changes.len());
    assert!(changes.len() > 6);
}

/// What makes no sense in a table, or is left of a state that is damaged, goes with the first checkpoint that is whole.
#[test]
fn a_checkpoint_of_all_that_finds_no_room_is_one_of_all_again() {
    let mut script = Script::in_pieces();
    let is_whole = |changes: &[TableChange]| matches!(changes.first(), Some(TableChange::DeletePrefix { prefix }) if prefix.is_empty());
    let (_, first) = script.gather();
    script.end(Some(Err(DiskError::Full)));
    script.run();
    let (_, second) = script.gather();
    script.run();
    let (_, third) = script.gather();
    assert_eq!([&first, &second, &third].map(|changes| is_whole(changes)), [true, true, false]);
    assert!(second.len() >= first.len() && third.len() < 6, "{} {}", second.len(), third.len());
}

#[test]
fn a_start_reads_table_and_log_and_makes_durable_what_no_mark_vouches_for() {
    let mut script = Script::new(Disk::default(), 12_288);
    script.event("start", Event::Start { seed: [0; 32] });
    for request in 1..4 {
        script.run();
        script.set(request, b"a");
        script.turn();
    }
    script.run();
    let mut script = Script::new(script.disk, 1 << 20);
    script.event("start", Event::Start { seed: [0; 32] });
    script.get(9);
    script.run();
    script.get(9);
    script.set(3, b"again");
    script.check(include_str!(
        "testdata/a_start_reads_table_and_log_and_makes_durable_what_no_mark_vouches_for.txt"
    ));
}

/// What a start writes again may meet a full disk: it waits for room, halts nothing, and loses nothing.
#[test]
fn a_start_on_a_full_disk_waits_for_room() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.run();
    let mut script = Script::new(std::mem::take(&mut script.disk), 1 << 20);
    script.event("start", Event::Start { seed: [0; 32] });
    while !matches!(script.operations[0].1, DiskOperation::Write { .. }) {
        script.end(None);
    }
    script.end(Some(Err(DiskError::Full)));
    script.set(2, b"b");
    let status = AdminRequest { request: 7, body: AdminBody::Status };
    script.event("status", Event::Message { from: NodeId(1), message: Message::Admin(status) });
    script.event("room?", Event::Timer(step::TimerId(2)));
    script.run();
    script.get(9);
    script.set(3, b"again");
    script.turn();
    script.run();
    script.check(include_str!("testdata/a_start_on_a_full_disk_waits_for_room.txt"));
}

#[test]
fn folders_of_others_and_newer_files_are_left_alone() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.run();
    script.text.clear();
    let mut newer = Disk::default();
    script.disk.copy_to(&mut newer, |bytes| {
        bytes[8] = 4;
        formats::journal::FileHeader::seal(&mut bytes[..4096]);
    });
    for (disk, cluster) in
        [(std::mem::take(&mut script.disk), ClusterIdentity([8; 16])), (newer, ClusterIdentity([7; 16]))]
    {
        let mut other = Script::new(disk, 1 << 20);
        other.kv = Kv::new(Config::new(cluster, [(FunctionId(9), Tally)].into()));
        other.event("start", Event::Start { seed: [0; 32] });
        other.run();
        script.text += &other.text;
    }
    script.check(include_str!("testdata/folders_of_others_and_newer_files_are_left_alone.txt"));
}

#[test]
fn a_folder_that_lost_everything_is_not_begun_anew() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.run();
    assert!(!script.disk.names().contains(&kv::new_file().to_string()), "there is a log");
    let mut lost = Script::new(Disk::lost(), 1 << 20);
    lost.event("start", Event::Start { seed: [0; 32] });
    lost.run();
    lost.check(include_str!("testdata/a_folder_that_lost_everything_is_not_begun_anew.txt"));
}

#[test]
fn ranges_come_in_pages() {
    let mut script = Script::started();
    for number in 0..3_u64 {
        let sets = (0..400_u64).map(|at| {
            let key = [b"r/".to_vec(), (number * 400 + at).to_be_bytes().to_vec()].concat();
            KvStep::Set { key, value: vec![1; 5000] }
        });
        script.command(number + 1, sets.collect());
    }
    script.turn();
    script.run();
    let prefix = b"r/".to_vec();
    let mut page = |from: &[u8], limit| {
        let query = KvQuery::Range { prefix: prefix.clone(), from: from.to_vec(), limit };
        let mut effects = Effects::new();
        let message = Message::Kv(KvRequest { request: 1, body: KvBody::Query(query) });
        script.kv.step(Timestamp(0), Event::Message { from: NodeId(3), message }, &mut effects);
        match effects.drain().next() {
            Some(Effect::Send { message: Message::KvReply(reply), .. }) => match reply.body {
                KvAnswer::Range { pairs, more } => (pairs.len(), more),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(page(b"", 5), (5, true));
    assert_eq!(page(b"", u32::MAX), ((4 << 20) / 5010, true));
    assert_eq!(page(&[&b"r/"[..], &1198_u64.to_be_bytes()].concat(), 5), (2, false));
    assert_eq!(page(b"s", 5), (0, false));
    assert_eq!(page(b"", 0), (0, true));
}

#[test]
fn functions_are_hosted_and_others_are_not_known() {
    let mut script = Script::started();
    for (request, function, command) in [(1, 9, &b"one"[..]), (2, 9, b"!two"), (3, 8, b"three")] {
        let command = KvCommand::Function { function: FunctionId(function), command: command.to_vec() };
        script.ask(request, KvBody::Command { session: 1, sequence: request, answered_below: 1, command });
    }
    script.turn();
    script.run();
    let query = |function| KvBody::Query(KvQuery::Function { function: FunctionId(function), query: vec![] });
    script.ask(4, query(9));
    script.ask(5, query(8));
    script.check(include_str!("testdata/functions_are_hosted_and_others_are_not_known.txt"));
}

#[test]
fn it_says_how_it_is() {
    let mut script = Script::new(Disk::default(), 1 << 20);
    let status = || Message::Admin(AdminRequest { request: 7, body: AdminBody::Status });
    script.event("status", Event::Message { from: NodeId(1), message: status() });
    script.event("start", Event::Start { seed: [0; 32] });
    script.run();
    script.set(1, b"a");
    script.turn();
    script.run();
    script.text.clear();
    script.event("status", Event::Message { from: NodeId(1), message: status() });
    script.set(2, b"a");
    script.turn();
    script.end(Some(Err(DiskError::Full)));
    script.event("status", Event::Message { from: NodeId(1), message: status() });
    script.check(include_str!("testdata/it_says_how_it_is.txt"));
}

/// A KV on a disk of its own, which has 320 KiB: what it logs is let go of by checkpoints, and those always fit.
fn on_a_small_disk() -> Script {
    let mut script = Script::new(Disk::default(), 64 << 20);
    script.disk.room = Some(320 << 10);
    script.event("start", Event::Start { seed: [0; 32] });
    script.run();
    script.text.clear();
    script
}

impl Script {
    /// Asks for a step until it is done; time goes on while the disk is full. How often it was asked for.
    fn insist(&mut self, request: u64, step: &KvStep, tries: usize) -> Option<usize> {
        (1..=tries).find(|_| {
            self.text.clear();
            self.command(request, vec![step.clone()]);
            self.turn();
            self.run();
            let is_done = self.text.contains(&format!("gets {request}: Done"));
            if !is_done {
                assert!(self.text.contains("Failed(Full)"), "{}", self.text);
                self.event("room?", Event::Timer(step::TimerId(2)));
                self.run();
            }
            is_done
        })
    }
}

fn large(key: u64) -> KvStep {
    KvStep::Set { key: key.to_be_bytes().to_vec(), value: vec![7; 4000] }
}

#[test]
fn a_log_that_fills_the_disk_makes_room_with_a_checkpoint() {
    let mut script = on_a_small_disk();
    for request in 1..400 {
        assert!(script.insist(request, &large(request % 5), 4).is_some(), "its own log is not in its way");
        assert!(!script.text.contains("> Full:"), "the log never meets the end of the disk: {}", script.text);
    }
    assert!(
        script.disk.names().iter().any(|name| name == "table"),
        "long before the log is as long as it may be"
    );
}

#[test]
fn commands_leave_room_free_and_those_that_remove_half_of_it() {
    let mut script = Script::with_room_kept(16 << 20);
    let remove = KvStep::Delete { key: b"k".to_vec() };
    let tries: Vec<_> = [17 << 20, 15 << 20, 9 << 20, 7 << 20]
        .into_iter()
        .zip(0..)
        .map(|(free, at)| {
            script.disk.room = Some(script.disk.used() + free);
            script.event("room?", Event::Timer(step::TimerId(2)));
            script.run();
            let add = script.insist(2 * at + 1, &large(at), 1);
            (add.is_some(), script.insist(2 * at + 2, &remove, 1).is_some())
        })
        .collect();
    assert_eq!(tries, [(true, true), (false, true), (false, true), (false, false)]);
    script.disk.room = Some(script.disk.used() + (17 << 20));
    script.event("room?", Event::Timer(step::TimerId(2)));
    script.run();
    let step = KvStep::Set { key: b"k".to_vec(), value: vec![7; 2 << 20] };
    assert_eq!(script.insist(9, &step, 1), None);
    let status = AdminRequest { request: 7, body: AdminBody::Status };
    script.event("status", Event::Message { from: NodeId(1), message: Message::Admin(status) });
    assert!(
        script.text.contains("too large for what is left"),
        "who is turned away is told to look there: {}",
        script.text
    );
    assert_eq!(script.insist(10, &large(1), 1), Some(1), "smaller ones are taken");
}

#[test]
fn what_only_removes_goes_on_when_nothing_else_does() {
    let mut script = on_a_small_disk();
    let refused = (1..400).find(|&request| script.insist(request, &large(request), 5).is_none());
    let refused = refused.expect("at some time the map is too large");
    let status = AdminRequest { request: 7, body: AdminBody::Status };
    script.event("status", Event::Message { from: NodeId(1), message: Message::Admin(status) });
    assert!(script.text.contains("its disk is nearly full"), "{}", script.text);
    for key in 1..6_u64 {
        let step = KvStep::Delete { key: key.to_be_bytes().to_vec() };
        assert_eq!(script.insist(1000 + key, &step, 1), Some(1), "{}", script.text);
    }
    assert!(script.insist(refused, &large(refused), 5).is_some(), "room is back by itself: {}", script.text);
    assert!(!script.text.contains("> Full:"), "{}", script.text);
}

#[test]
fn a_command_is_refused_in_time_and_taken_when_room_is_back() {
    let mut script = Script::started();
    script.set(1, b"a");
    script.turn();
    script.run();
    script.disk.room = Some(script.disk.used() + (100 << 10));
    script.event("timer 2", Event::Timer(step::TimerId(2)));
    script.run();
    script.text.clear();
    script.set(2, b"b");
    script.get(3);
    script.disk.room = None;
    script.event("timer 2", Event::Timer(step::TimerId(2)));
    script.end(None);
    script.set(2, b"b");
    script.turn();
    script.run();
    script.check(include_str!("testdata/a_command_is_refused_in_time_and_taken_when_room_is_back.txt"));
}

#[test]
fn many_starts_leave_few_files() {
    let mut disk = Disk::default();
    for life in 1..=100 {
        let mut script = Script::new(std::mem::take(&mut disk), 64 << 20);
        script.event("start", Event::Start { seed: [0; 32] });
        script.run();
        assert_eq!(script.insist(life, &large(life % 3), 1), Some(1));
        disk = std::mem::take(&mut script.disk);
        assert!(disk.names().len() <= 10, "{:?}", disk.names());
    }
}

#[test]
fn small_batches_go_where_zeros_are_while_there_is_room_to_spare() {
    const AHEAD: u64 = 64 << 10;
    let mut script = Script::filled_ahead(Disk::default(), 1 << 20, AHEAD);
    script.event("start", Event::Start { seed: [0; 32] });
    script.run();
    // What a set writes to the log, and behind which end.
    let mut requests = 1..;
    let mut set = |script: &mut Script, bytes: usize| {
        script.set(requests.next().expect("numbers"), &vec![7; bytes]);
        script.turn();
        let written = script.operations.iter().find_map(|(_, what)| match what {
            DiskOperation::WriteThrough { offset, pieces, .. } => {
                Some((*offset, pieces.concat().len() as u64))
            }
            _ => None,
        });
        script.run();
        written.unwrap_or_else(|| panic!("a set is logged: {}", script.text))
    };
    set(&mut script, 1);
    let lengths: Vec<u64> = (0..34).map(|_| set(&mut script, 1).1).collect();
    let fills: Vec<usize> = (0..34).filter(|at| lengths[*at] > PAGE).collect();
    assert!(lengths.iter().all(|length| [PAGE, PAGE + AHEAD].contains(length)));
    assert_eq!(fills.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>(), [17]);
    let (offset, length) = set(&mut script, 100_000);
    assert_eq!(length, 25 * PAGE, "a large batch is worth no zeros");
    assert_eq!(set(&mut script, 1), (offset + length, PAGE + AHEAD));
    for _ in 0..16 {
        assert_eq!(set(&mut script, 1).1, PAGE);
    }
    // A start takes zeros for what they are. It finds room for commands, but none to spare.
    script.disk.room = Some(script.disk.used() + (1 << 20));
    let mut script = Script::filled_ahead(std::mem::take(&mut script.disk), 1 << 20, 1 << 20);
    script.event("start", Event::Start { seed: [0; 32] });
    script.run();
    script.text.clear();
    script.get(100);
    assert!(script.text.contains("[7]"), "{}", script.text);
    for _ in 0..4 {
        assert_eq!(set(&mut script, 1).1, PAGE);
    }
}

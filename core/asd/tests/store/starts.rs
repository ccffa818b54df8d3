//! Starts on whatever an earlier life left, whole, torn, damaged or foreign (PROTOCOLS L3, L4, F10).

use formats::message::asd::{AsdAnswer, AsdError, Purpose};
use formats::{Event, journal};
use glossary::OsdIdentity;
use step::{DiskOperation, Entropy, FileName, TimerId};

use crate::disk::Fault;
use crate::world::{World, apply, config, value_of};

fn files(world: &World, start: &str) -> Vec<FileName> {
    world.disk.names().into_iter().filter(|name| name.as_str().starts_with(start)).collect()
}

/// Has so much written that there are two checkpoints and some segments; every key keeps its value.
fn grown() -> World {
    let mut world = World::serving(config());
    for number in 0..30_u32 {
        assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
    }
    world.rest();
    assert_eq!(files(&world, "checkpoint").len(), 2);
    world
}

/// As `grown`, with segments freed by compaction.
fn compacted() -> World {
    let mut world = grown();
    for number in 0..20_u32 {
        assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
    }
    world.rest();
    assert!(world.counter("asd_freed_segments") > 1);
    world
}

fn all_there(world: &mut World, numbers: core::ops::Range<u32>) {
    assert_eq!(world.trouble(), None);
    assert_eq!(world.keys().len(), numbers.len());
    for number in numbers {
        let value = value_of(&world.get(&number.to_be_bytes())).expect("a value");
        assert_eq!(value, vec![number as u8; 12_000]);
    }
}

#[test]
fn many_starts_leave_few_files() {
    let mut world = grown();
    for _ in 0..100 {
        world.restart();
        world.rest();
    }
    all_there(&mut world, 0..30);
    assert!(files(&world, "segment").len() < 20, "{:?}", files(&world, "segment"));
}

#[test]
fn the_older_checkpoint_stands_in_for_the_newer() {
    for name in ["checkpoint-a", "checkpoint-b"] {
        let mut world = compacted();
        let name = FileName::parse(name).expect("a name");
        world.disk.rot(name, 8 * (4096 + 100));
        world.restart();
        all_there(&mut world, 20..30);
        // The next checkpoint replaces the damaged one.
        for number in 100..130_u32 {
            assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
        }
        world.rest();
        world.restart();
        assert_eq!(world.keys().len(), 40);
    }
}

#[test]
fn without_checkpoints_the_whole_log_tells_all() {
    let mut world = grown();
    for name in files(&world, "checkpoint") {
        world.disk.rot(name, 8 * 4096);
    }
    world.restart();
    all_there(&mut world, 0..30);
}

#[test]
fn without_checkpoints_a_part_of_the_log_is_not_taken_for_all() {
    for is_missing in [false, true] {
        let mut world = compacted();
        for name in files(&world, "checkpoint") {
            if is_missing {
                world.disk.remove(name);
            } else {
                world.disk.rot(name, 8 * 4096);
            }
        }
        world.restart();
        let trouble = world.trouble().expect("trouble");
        assert!(trouble.starts_with("not serving"), "{trouble}");
        assert_eq!(world.get(&25_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::Unavailable));
        assert_eq!(world.put(b"k", b"v"), AsdAnswer::Failed(AsdError::Unavailable));
    }
}

#[test]
fn without_checkpoints_the_log_must_begin_with_its_first_segment() {
    let mut world = grown();
    for number in 0..5_u32 {
        assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
    }
    world.rest();
    let sequences: Vec<String> = files(&world, "segment").iter().map(|name| name.to_string()).collect();
    assert!(sequences[0].ends_with("02") && sequences.last().is_some_and(|last| last.ends_with("07")));
    assert_eq!(sequences.len(), 6, "only the first is gone");
    files(&world, "checkpoint").into_iter().for_each(|name| world.disk.remove(name));
    world.restart();
    let why =
        "not serving: no checkpoint is whole, and the segments before segment-0000000000000002 are gone";
    assert_eq!(world.trouble().as_deref(), Some(why));
}

#[test]
fn the_log_is_not_read_again_while_anything_is_in_flight() {
    let mut world = World::serving(config());
    write_until(&mut world, 0, |what| matches!(what, DiskOperation::Create { .. }));
    // The checkpoint's creation is slow, and meanwhile a write fails.
    let place = world.pending.iter().position(|(_, what)| matches!(what, DiskOperation::Create { .. }));
    let slow = world.pending.remove(place.expect("the creation"));
    world.settle();
    world.send(apply(Purpose::Guest, &[], &[(b"k", Some(b"v"))]));
    world.event(Event::TurnEnd);
    world.disk.fault = Some(Fault::WriteFails);
    world.settle();
    assert!(world.pending.is_empty(), "it waits");
    assert_eq!(world.trouble().as_deref(), Some("a write failed: it reads its log again"));
    world.pending.push(slow);
    world.settle();
    assert_eq!((world.trouble(), world.counter("asd_reloads")), (None, 1));
}

/// A checkpoint was written and not synced when the process died. A start that believes it has the other one
/// overwritten, and a power cut would take both.
#[test]
fn a_checkpoint_is_synced_before_the_other_is_overwritten() {
    let mut world = compacted();
    write_until(&mut world, 1000, |what| matches!(what, DiskOperation::Sync { .. }));
    let keys = world.counter("asd_puts") - world.counter("asd_deletes");
    world.reborn();
    world.start();
    write_until(&mut world, 2000, |what| matches!(what, DiskOperation::Write { .. }));
    world.disk.lose_unsynced();
    world.reborn();
    world.start();
    assert_eq!(world.trouble(), None);
    assert!(world.keys().len() as u64 >= keys);
}

/// Puts values until such an operation on a checkpoint is in flight.
fn write_until(world: &mut World, mut number: u32, is_it: impl Fn(&DiskOperation) -> bool) {
    let is_there = |world: &World| {
        world.pending.iter().any(|(_, what)| match what {
            DiskOperation::Create { file }
            | DiskOperation::Sync { file }
            | DiskOperation::Write { file, .. } => file.as_str().starts_with("checkpoint") && is_it(what),
            _ => false,
        })
    };
    while !is_there(world) {
        if world.pending.is_empty() {
            world.send(apply(Purpose::Guest, &[], &[(&number.to_be_bytes(), Some(&[1; 12_000]))]));
            number += 1;
        } else {
            world.complete(0);
        }
        world.event(Event::TurnEnd);
    }
}

#[test]
fn checkpoints_without_segments_are_damage() {
    let mut world = grown();
    for name in files(&world, "segment") {
        world.disk.remove(name);
    }
    for _ in 0..2 {
        world.restart();
        assert!(world.trouble().is_some());
        assert!(files(&world, "segment").is_empty(), "nothing is begun anew");
        files(&world, "checkpoint").into_iter().for_each(|name| world.disk.rot(name, 8 * 4096));
    }
}

#[test]
fn a_missing_old_segment_damages_its_keys_and_no_others() {
    let mut world = grown();
    let oldest = files(&world, "segment")[0];
    world.disk.remove(oldest);
    for _ in 0..2 {
        world.restart();
        assert_eq!(world.trouble(), None);
        assert_eq!(world.keys().len(), 30);
        let damaged = |world: &mut World| {
            let read = |n: &u32| world.get(&n.to_be_bytes()) == AsdAnswer::Failed(AsdError::Damaged);
            (0..30_u32).filter(read).count()
        };
        assert_eq!(damaged(&mut world), 5);
        world.rest();
    }
    // Putting it again heals a key, and a damaged one can be deleted.
    assert_eq!(world.put(&0_u32.to_be_bytes(), &[0; 12_000]), AsdAnswer::Applied);
    assert_eq!(world.delete(&1_u32.to_be_bytes()), AsdAnswer::Applied);
    world.restart();
    assert_eq!(value_of(&world.get(&0_u32.to_be_bytes())).map(|value| value.len()), Some(12_000));
    assert_eq!(world.get(&1_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::NotFound));
    assert_eq!(world.get(&2_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::Damaged));
}

#[test]
fn a_missing_new_segment_is_damage() {
    let mut world = grown();
    let names = files(&world, "segment");
    world.disk.remove(names[names.len() - 2]);
    world.restart();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")));
}

#[test]
fn rot_in_the_newest_header_is_no_torn_creation() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    world.rest();
    let newest = *files(&world, "segment").last().expect("one");
    world.disk.rot(newest, 8 * 40);
    world.restart();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")), "{:?}", world.trouble());
}

#[test]
fn a_checkpoint_knows_how_far_the_log_was_synced() {
    let mut world = World::serving(config());
    let checkpoints = |world: &mut World| world.counter("asd_checkpoints");
    let mut number = 0_u32;
    while checkpoints(&mut world) == 0 {
        assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
        number += 1;
    }
    // The last batch has no mark behind it, but the checkpoint was completed after its sync.
    let newest = *files(&world, "segment").last().expect("one");
    let length = world.disk.bytes(newest).len();
    world.disk.rot(newest, 8 * (length - 12_288 + 8000));
    world.restart();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")), "{:?}", world.trouble());
}

#[test]
fn whatever_the_files_hold_it_starts_or_says_why() {
    let whole = compacted().disk;
    let mut entropy = Entropy::new([5; 32]);
    let mut served = 0;
    for _ in 0..300 {
        let mut world = World::on(config(), whole.clone());
        for _ in 0..=entropy.below(2) {
            let names = world.disk.names();
            let file = names[entropy.below(names.len() as u64) as usize];
            let length = world.disk.bytes(file).len() as u64;
            let at = entropy.below(length);
            if entropy.below(3) == 0 {
                world.disk.truncate(file, at as usize);
            } else {
                let bytes: Vec<u8> = (0..entropy.below(9000)).map(|_| entropy.next_u64() as u8).collect();
                let write = DiskOperation::Write { file, offset: at, pieces: vec![bytes.into()] };
                world.disk.execute(&write).expect("written");
            }
        }
        world.start();
        if world.trouble().is_none() {
            served += 1;
            assert_eq!(world.keys().len(), 10);
            for number in 20..30_u32 {
                match world.get(&number.to_be_bytes()) {
                    AsdAnswer::Failed(AsdError::Damaged) => {}
                    answer => assert_eq!(value_of(&answer).expect("a value"), vec![number as u8; 12_000]),
                }
                assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
            }
            world.rest();
            world.restart();
            assert_eq!(world.trouble(), None);
            assert!(world.keys().is_empty());
        }
    }
    assert!((30..270).contains(&served), "{served} of 300 served");
}

#[test]
fn a_torn_creation_is_passed_over_for_ever() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"a", b"v"), AsdAnswer::Applied);
    world.rest();
    // A power cut tears the creation of the second segment.
    world.reborn();
    let torn = FileName::parse("segment-0000000000000002").expect("a name");
    world.disk.execute(&DiskOperation::Create { file: torn }).expect("created");
    world.turn(Event::Start { seed: [0; 32] });
    // In the third, data is acknowledged while the torn one is still there.
    while world.trouble().is_some() {
        world.complete(0);
        world.event(Event::TurnEnd);
    }
    world.pending.retain(|(_, what)| !matches!(what, DiskOperation::Delete { .. }));
    assert_eq!(world.put(b"b", b"v"), AsdAnswer::Applied);
    assert_eq!(world.put(b"c", b"v"), AsdAnswer::Applied);
    assert_eq!(files(&world, "segment").len(), 3);
    world.restart();
    assert_eq!((world.trouble(), world.keys().len()), (None, 3));
    assert!(!files(&world, "segment").contains(&torn));
}

#[test]
fn what_belongs_to_another_asd_is_not_touched() {
    for prefix in ["segment", "checkpoint"] {
        let mut other = config();
        other.identity = OsdIdentity([8; 16]);
        let mut foreign = World::new(other);
        foreign.start();
        let mut world = World::on(config(), grown().disk);
        let theirs: Vec<FileName> = files(&world, prefix);
        let before = world.disk.clone();
        foreign.disk = world.disk;
        foreign.reborn();
        foreign.turn(Event::Start { seed: [0; 32] });
        foreign.settle();
        let why = foreign.trouble().expect("trouble");
        assert!(why.contains("another ASD") || why.contains("no segment of this ASD"), "{why}");
        assert_eq!(foreign.disk.names(), before.names());
        world.disk = foreign.disk;
        for name in theirs {
            assert_eq!(world.disk.bytes(name), before.bytes(name));
        }
    }
}

#[test]
fn what_a_newer_program_wrote_is_not_passed_over() {
    for prefix in ["segment", "checkpoint"] {
        let mut world = grown();
        let name = *files(&world, prefix).last().expect("one");
        world.disk.rot(name, 8 * 8 + 1);
        world.restart();
        assert!(world.trouble().is_some_and(|why| why.contains("format version 3")), "{:?}", world.trouble());
    }
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let mut world = World::new(config());
    let identity = FileName::parse("identity").expect("a name");
    world.disk.execute(&DiskOperation::Create { file: identity }).expect("created");
    world.start();
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    world.restart();
    assert!(world.disk.names().contains(&identity));
}

#[test]
fn a_failed_sync_ends_service_until_the_next_start() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"a", b"v"), AsdAnswer::Applied);
    world.disk.fault = Some(Fault::SyncFails);
    assert_eq!(world.put(b"b", b"v"), AsdAnswer::Failed(AsdError::Unavailable));
    let why = world.trouble().expect("trouble");
    assert_eq!(why, "not serving: a sync of segment-0000000000000001 failed: restart when the disk is well");
    assert_eq!(world.get(b"a"), AsdAnswer::Failed(AsdError::Unavailable));
    while let Some(timer) = world.timers.keys().next().copied() {
        world.fire(timer);
    }
    assert!(world.pending.is_empty(), "nothing is tried again");
    world.restart();
    assert_eq!(value_of(&world.get(b"a")).as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_failed_write_is_cut_off_and_never_retried_on_its_file() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"a", b"v"), AsdAnswer::Applied);
    world.settle();
    let request = world.send(apply(Purpose::Guest, &[], &[(b"b", Some(&[1; 9000]))]));
    world.event(Event::TurnEnd);
    // The write arrives as a whole, and is reported as failed all the same.
    let [(operation, what)] = &world.pending[..] else { panic!("a write") };
    let (operation, what) = (*operation, what.clone());
    world.disk.execute(&what).expect("written");
    world.pending.clear();
    world.turn(Event::Disk { operation, result: Err(step::DiskError::Failed) });
    assert_eq!(world.take_answer(request), Some(AsdAnswer::Failed(AsdError::Unavailable)));
    world.settle();
    assert_eq!((world.trouble(), world.counter("asd_reloads")), (None, 1));
    assert_eq!(world.get(b"b"), AsdAnswer::Failed(AsdError::NotFound));
    let first = files(&world, "segment")[0];
    let length = world.disk.bytes(first).len();
    assert_eq!(world.put(b"b", b"other content"), AsdAnswer::Applied);
    assert_eq!(world.disk.bytes(first).len(), length);
    world.restart();
    assert_eq!(value_of(&world.get(b"b")).as_deref(), Some(&b"other content"[..]));
    assert_eq!(value_of(&world.get(b"a")).as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_lone_sync_gets_its_mark_in_a_while() {
    let mut world = World::serving(config());
    world.rest();
    assert_eq!(world.put(b"a", b"v"), AsdAnswer::Applied);
    let file = files(&world, "segment")[0];
    let scanned = |world: &World| {
        let bytes = bytes::Bytes::copy_from_slice(world.disk.bytes(file));
        journal::scan(&bytes, journal::Kind::ASD_SEGMENT, &world.config.identity.0, 1).expect("a segment")
    };
    assert_eq!(scanned(&world).synced.position, 4096);
    world.fire(TimerId(1));
    world.settle();
    assert_eq!(scanned(&world).synced.position, 8192);
    assert!(world.timers.is_empty(), "one is enough");
}

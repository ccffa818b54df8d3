//! Starts on whatever an earlier life left, whole, torn, damaged or foreign (PROTOCOLS L3, L4, F10).

use formats::message::asd::{AsdAnswer, AsdError, Purpose};
use formats::{Event, journal};
use glossary::OsdIdentity;
use step::{DiskOperation, FileName, TimerId};

use crate::disk::Fault;
use crate::world::{World, apply, config, value_of};

pub(crate) fn files(world: &World, start: &str) -> Vec<FileName> {
    world.disk.names().into_iter().filter(|name| name.as_str().starts_with(start)).collect()
}

/// Has so much written that there are two checkpoints and some segments; every key keeps its value.
pub(crate) fn grown() -> World {
    let mut world = World::serving(config());
    for number in 0..30_u32 {
        assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
    }
    world.rest();
    assert_eq!(files(&world, "checkpoint").len(), 2);
    world
}

/// As `grown`, with segments freed by compaction.
pub(crate) fn compacted() -> World {
    let mut world = grown();
    for number in 0..20_u32 {
        assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
    }
    world.rest();
    assert!(world.counter("freed_segments") > 1);
    world
}

pub(crate) fn all_there(world: &mut World, numbers: core::ops::Range<u32>) {
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
    assert_eq!((world.trouble(), world.counter("reloads")), (None, 1));
}

/// A checkpoint was written and not synced when the process died. Were the other one overwritten next, a power
/// cut would take both.
#[test]
fn a_checkpoint_that_may_not_be_durable_does_not_stand_in_for_the_other() {
    let mut world = compacted();
    write_until(&mut world, 1000, |what| matches!(what, DiskOperation::Sync { .. }));
    let keys = world.counter("puts") - world.counter("deletes");
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
        world.disk.make_newer(name);
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
    assert_eq!((world.trouble(), world.counter("reloads")), (None, 1));
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

#[test]
fn a_folder_whose_log_is_gone_is_no_new_one() {
    let mut world = grown();
    world.disk.names().into_iter().for_each(|file| world.disk.remove(file));
    world.restart();
    let trouble = world.trouble().expect("it doesn't serve");
    assert!(trouble.contains("its log is gone"), "{trouble}");
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Failed(AsdError::Stopped));
    assert_eq!(world.disk.names(), [], "and nothing is begun in it");
}

#[test]
fn a_new_folder_is_new_until_it_has_a_log() {
    let mut world = World::new(config());
    for _ in 0..3 {
        world.disk.fault = Some(Fault::Full);
        world.start();
        assert!(world.trouble().is_some(), "there is no room for a segment");
        assert_eq!(files(&world, "new").len(), 1);
        world.pending.clear();
        world.reborn();
    }
    world.start();
    assert_eq!(world.trouble(), None);
    assert_eq!(files(&world, "new"), []);
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    world.restart();
    assert_eq!(value_of(&world.get(b"k")).as_deref(), Some(&b"v"[..]));
}

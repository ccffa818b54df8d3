//! Compaction and checkpoints, step by step and in the large.

use std::collections::BTreeSet;

use formats::Event;
use formats::message::asd::{AsdAnswer, AsdBody, AsdError, Purpose};
use step::{DiskOperation, Entropy, FileName, TimerId};

use crate::disk::Fault;
use crate::replay::{log_alone, lost, puts};
use crate::world::{World, apply, config, value_of};

const DAMAGED: AsdAnswer = AsdAnswer::Failed(AsdError::Damaged);

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn put(world: &mut World, numbers: core::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(world.put(&key(number), &[number as u8; 12_000]), AsdAnswer::Applied);
    }
}

fn delete(world: &mut World, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(world.delete(&key(number)), AsdAnswer::Applied);
    }
}

fn segments(world: &World) -> Vec<FileName> {
    world.disk.names().into_iter().filter(|name| name.as_str().starts_with("segment")).collect()
}

/// What is asked of the disk from now until all is at rest, one word and one file each.
fn operations(world: &mut World) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..1000 {
        let Some((_, what)) = world.pending.first() else {
            let Some(timer) = world.timers.keys().next().copied() else { return seen };
            world.fire(timer);
            continue;
        };
        seen.push(match what {
            DiskOperation::Create { file } => format!("create {file}"),
            DiskOperation::Delete { file } => format!("delete {file}"),
            DiskOperation::Read { file, .. } => format!("read {file}"),
            DiskOperation::Write { file, .. } => format!("write {file}"),
            DiskOperation::Sync { file } => format!("sync {file}"),
            DiskOperation::List => "list".into(),
            DiskOperation::Space => "space".into(),
            DiskOperation::WriteThrough { .. } => panic!("an ASD syncs many writes together"),
            DiskOperation::Commit { .. } | DiskOperation::ReadOn { .. } => panic!("an ASD has no tables"),
        });
        world.complete(0);
        world.event(Event::TurnEnd);
    }
    panic!("it never comes to rest");
}

#[test]
fn a_segment_goes_after_its_copies_are_synced_and_a_checkpoint_is_durable() {
    let mut world = World::serving(config());
    put(&mut world, 0..25);
    world.rest();
    delete(&mut world, 0..4);
    let seen: Vec<String> = operations(&mut world)
        .into_iter()
        .filter(|line| !line.starts_with("space"))
        .map(|line| line.replace("segment-000000000000000", "segment-"))
        .collect();
    assert_eq!(
        seen,
        [
            "write segment-6",
            "sync segment-6",
            "read segment-1",
            "write segment-6",
            "sync segment-6",
            "create checkpoint-a",
            "write checkpoint-a",
            "sync checkpoint-a",
            "delete segment-1",
        ]
    );
}

#[test]
fn a_value_that_rotted_is_kept_as_lost_and_healed_by_the_same_put() {
    let mut world = World::serving(config());
    put(&mut world, 0..30);
    world.rest();
    let (file, start, _) = puts(&world.disk)[0];
    world.disk.rot(file, (start + 5000) * 8);
    assert_eq!(world.get(&key(0)), DAMAGED);
    delete(&mut world, 1..5);
    world.rest();
    assert!(!segments(&world).contains(&file), "its segment is gone");
    assert_eq!((lost(&world.disk), world.get(&key(0))), (1, DAMAGED));
    world.restart();
    assert_eq!(world.get(&key(0)), DAMAGED);
    assert!(world.keys().contains(&key(0).to_vec()));
    assert_eq!(world.put(&key(0), b"other"), AsdAnswer::Failed(AsdError::Invalid));
    put(&mut world, 0..1);
    world.restart();
    assert_eq!(value_of(&world.get(&key(0))).map(|value| value.len()), Some(12_000));
}

#[test]
fn a_lost_value_moves_on_and_can_be_deleted() {
    let mut world = World::serving(config());
    put(&mut world, 0..30);
    world.rest();
    let (file, start, _) = puts(&world.disk)[0];
    world.disk.rot(file, (start + 5000) * 8);
    // Round after round, the key's record is moved.
    for round in 1..5 {
        delete(&mut world, round * 100 - 99..round * 100 - 69);
        put(&mut world, round * 100 + 1..round * 100 + 31);
        world.rest();
    }
    assert!(world.counter("freed_segments") > 5);
    assert_eq!(world.get(&key(0)), DAMAGED);
    delete(&mut world, [0]);
    world.restart();
    assert_eq!(world.get(&key(0)), AsdAnswer::Failed(AsdError::NotFound));
}

#[test]
fn a_segment_waits_for_its_readers() {
    let mut world = World::serving(config());
    put(&mut world, 0..25);
    world.rest();
    let request = world.send(AsdBody::Get { key: key(4).to_vec() });
    let (operation, what) = world.pending.pop().expect("a read");
    delete(&mut world, 0..4);
    world.rest();
    let first = FileName::parse("segment-0000000000000001").expect("a name");
    assert!(segments(&world).contains(&first), "somebody reads in it");
    let result = world.disk.execute(&what);
    world.turn(Event::Disk { operation, result });
    assert_eq!(value_of(&world.take_answer(request).expect("an answer")).map(|v| v.len()), Some(12_000));
    world.rest();
    assert!(!segments(&world).contains(&first));
    assert_eq!(value_of(&world.get(&key(4))).map(|v| v.len()), Some(12_000));
}

#[test]
fn a_tombstone_outlives_the_put_it_buries_and_no_longer() {
    let mut world = World::serving(config());
    // One key among values that stay, so that its segment is never worth compaction.
    assert_eq!(world.put(b"buried", &[1; 100]), AsdAnswer::Applied);
    put(&mut world, 0..25);
    world.rest();
    assert_eq!(world.delete(b"buried"), AsdAnswer::Applied);
    let first = segments(&world)[0];
    // Segments come and go; the one that holds the put stays.
    for round in 1..6 {
        put(&mut world, round * 100..round * 100 + 20);
        world.rest();
        delete(&mut world, round * 100..round * 100 + 20);
        world.rest();
        assert_eq!(segments(&world)[0], first);
        assert!(!log_alone(&world.disk).contains(&b"buried".to_vec()), "round {round}");
    }
    delete(&mut world, 0..25);
    world.rest();
    put(&mut world, 1000..1040);
    delete(&mut world, 1000..1040);
    world.rest();
    assert!(!segments(&world).contains(&first));
    world.restart();
    world.rest();
    assert!(log_alone(&world.disk).is_empty());
    let (used, _) = world.used_and_dead();
    assert!(used < 3 * 65_536, "{used} bytes for nothing");
}

#[test]
fn a_victim_that_cannot_be_read_is_not_given_up() {
    let mut world = World::serving(config());
    put(&mut world, 0..25);
    world.rest();
    delete(&mut world, 0..4);
    world.fire(TimerId(2));
    world.fire(TimerId(2));
    let place = world.pending.iter().position(|(_, what)| matches!(what, DiskOperation::Read { .. }));
    let (operation, _) = world.pending.remove(place.expect("a read"));
    world.turn(Event::Disk { operation, result: Err(step::DiskError::Failed) });
    world.rest();
    assert_eq!(world.counter("compactions"), 0);
    assert_eq!(value_of(&world.get(&key(4))).map(|v| v.len()), Some(12_000));
    world.restart();
    world.rest();
    assert_eq!(world.counter("compactions"), 1);
}

#[test]
fn guests_come_first_and_still_compaction_gets_on() {
    let mut settings = config();
    settings.capacity.0 = 64 << 20;
    let mut world = World::serving(settings);
    put(&mut world, 0..40);
    world.rest();
    delete(&mut world, (0..40).filter(|number| number % 5 > 1));
    // From here on every batch could be filled by guests alone, but for less than a record.
    let mut number = 1000;
    for _ in 0..400 {
        while number < 1000 + 4 * (world.counter("syncs") as u32) {
            world.send(apply(Purpose::Guest, &[], &[(&key(number), Some(&[0; 12_000]))]));
            world.send(apply(Purpose::Guest, &[], &[(&key(number - 8), None)]));
            number += 1;
        }
        world.event(Event::TurnEnd);
        if let Some(timer) = world.timers.keys().next_back().copied() {
            world.fire(timer);
        }
        if !world.pending.is_empty() {
            world.complete(0);
        }
    }
    assert_eq!(world.counter("full"), 0);
    assert!(world.counter("moved_bytes") > 12_000 * 8, "{}", world.counter("moved_bytes"));
}

#[test]
fn what_was_read_for_a_round_that_was_given_up_is_of_no_use_to_the_next() {
    let mut world = World::serving(config());
    put(&mut world, 0..29);
    world.rest();
    delete(&mut world, (0..20).filter(|number| number % 5 > 1));
    for _ in 0..2 {
        world.fire(TimerId(2));
    }
    let reads: Vec<_> = std::mem::take(&mut world.pending);
    assert!(reads.len() > 1 && reads.iter().all(|(_, what)| matches!(what, DiskOperation::Read { .. })));
    // A creation that finds no room ends the round; the next one begins, and then the reads come.
    for number in 100..110 {
        world.disk.fault = Some(Fault::Full);
        world.send(apply(Purpose::Guest, &[], &[(&key(number), Some(&[1; 12_000]))]));
        world.event(Event::TurnEnd);
        if matches!(world.pending[..], [(_, DiskOperation::Create { .. })]) {
            break;
        }
        world.disk.fault = None;
        world.settle();
    }
    world.settle();
    world.fire(TimerId(3));
    for _ in 0..2 {
        world.fire(TimerId(2));
    }
    world.pending.splice(0..0, reads);
    world.rest();
    assert!(world.counter("compactions") > 0);
    for number in (0..29).filter(|number| *number > 19 || number % 5 < 2) {
        assert_eq!(value_of(&world.get(&key(number))).map(|value| value.len()), Some(12_000));
    }
}

/// Many more keys than a checkpoint writes, or compaction looks at, in one turn; all the while they change.
#[test]
fn a_large_index_is_written_down_while_it_changes() {
    for seed in 0..4 {
        let mut settings = config();
        settings.segment_bytes = 256 << 10;
        settings.capacity.0 = 16 << 20;
        settings.checkpoint_every = 256 << 10;
        let mut world = World::serving(settings);
        let mut entropy = Entropy::new([seed + 1; 32]);
        let mut there = BTreeSet::new();
        let name = |number: u64| format!("{number:08}{}", "-".repeat(40)).into_bytes();
        for start in (0..12_000_u64).step_by(1000) {
            let keys: Vec<Vec<u8>> = (start..start + 1000).map(name).collect();
            let updates: Vec<(&[u8], Option<&[u8]>)> =
                keys.iter().map(|key| (&key[..], Some(&key[..20]))).collect();
            assert_eq!(world.ask(apply(Purpose::Guest, &[], &updates)), AsdAnswer::Applied);
            there.extend(start..start + 1000);
        }
        world.settle();
        for _ in 0..600 {
            let keys: Vec<(u64, bool)> = (0..20)
                .map(|_| {
                    let number = entropy.below(12_000);
                    let is_put = there.insert(number) || !there.remove(&number);
                    (number, is_put)
                })
                .collect();
            let keys: Vec<(Vec<u8>, bool)> =
                keys.into_iter().map(|(number, put)| (name(number), put)).collect();
            let updates: Vec<(&[u8], Option<&[u8]>)> =
                keys.iter().map(|(key, put)| (&key[..], put.then_some(&key[..20]))).collect();
            world.send(apply(Purpose::Guest, &[], &updates));
            world.event(Event::TurnEnd);
            // The disk does a few things in any order, and time passes.
            for _ in 0..entropy.below(6) {
                if !world.pending.is_empty() {
                    let place = entropy.below(world.pending.len() as u64) as usize;
                    world.complete(place);
                    world.event(Event::TurnEnd);
                }
            }
            if let (0, Some(timer)) = (entropy.below(4), world.timers.keys().next_back().copied()) {
                world.fire(timer);
            }
        }
        world.settle();
        assert!(world.answers.iter().all(|(_, answer)| *answer == AsdAnswer::Applied));
        assert!(world.counter("checkpoints") > 2 && world.counter("compactions") > 0);
        world.restart();
        let mut found = BTreeSet::new();
        let mut from = Vec::new();
        loop {
            let body = AsdBody::List { prefix: Vec::new(), from: from.clone(), limit: 1000 };
            let AsdAnswer::Keys { keys, more } = world.ask(body) else { panic!("keys") };
            found.extend(
                keys.iter().map(|key| String::from_utf8_lossy(&key[..8]).parse::<u64>().expect("one")),
            );
            let Some(last) = keys.last().filter(|_| more) else { break };
            from = [last, &b"\0"[..]].concat();
        }
        assert_eq!(found, there);
        let expected: Vec<Vec<u8>> = there.iter().copied().map(name).collect();
        assert_eq!(log_alone(&world.disk), expected);
    }
}

//! What an ASD does, effect for effect.

use formats::message::asd::{AsdAnswer, AsdBody, Purpose};
use formats::{Effect, Event, Message};
use step::DiskOperation;

use crate::world::{World, apply, config};

/// An effect in a line.
fn line(effect: &Effect) -> String {
    match effect {
        Effect::Disk { what, .. } => match what {
            DiskOperation::List => "list".into(),
            DiskOperation::Create { file } => format!("create {file}"),
            DiskOperation::Delete { file } => format!("delete {file}"),
            DiskOperation::Read { file, offset, length } => format!("read {file} {offset}+{length}"),
            DiskOperation::Write { file, offset, pieces } => {
                format!("write {file} {offset}+{}", pieces.concat().len())
            }
            DiskOperation::Sync { file } => format!("sync {file}"),
            DiskOperation::Space => "space".into(),
            DiskOperation::WriteThrough { .. } => panic!("an ASD syncs many writes together"),
            DiskOperation::Commit { .. } | DiskOperation::ReadOn { .. } => panic!("an ASD has no tables"),
        },
        Effect::Send { message: Message::AsdReply(reply), .. } => {
            let body = match &reply.body {
                AsdAnswer::Value(value) => format!("value of {} bytes", value.len()),
                other => format!("{other:?}"),
            };
            format!("answer {}: {body}", reply.request)
        }
        Effect::SetTimer { timer, after } => format!("timer {} in {after:?}", timer.0),
        other => format!("{other:?}"),
    }
}

/// Completes the first operation in flight and compares what follows.
fn check(world: &mut World, expected: &[&str]) {
    let (operation, what) = world.pending.remove(0);
    let result = world.disk.execute(&what);
    let effects = world.turn(Event::Disk { operation, result });
    assert_eq!(effects.iter().map(line).collect::<Vec<_>>(), expected);
}

#[test]
fn a_first_start_begins_the_first_segment() {
    let mut world = World::new(config());
    let effects = world.turn(Event::Start { seed: [0; 32] });
    assert_eq!(effects.iter().map(line).collect::<Vec<_>>(), ["list"]);
    check(&mut world, &["create segment-0000000000000001"]);
    check(&mut world, &["write segment-0000000000000001 0+4096"]);
    check(&mut world, &["sync segment-0000000000000001"]);
    check(&mut world, &["space", "delete new", "timer 2 in 100ms"]);
    check(&mut world, &[]);
}

#[test]
fn what_comes_during_a_batch_is_the_next_one_and_answers_follow_its_sync() {
    let mut world = World::serving(config());
    world.rest();
    for key in [b"a", b"b"] {
        world.send(apply(Purpose::Guest, &[], &[(key, Some(&[1; 10_000]))]));
    }
    let effects = world.event(Event::TurnEnd);
    let lines: Vec<_> = effects.iter().map(line).collect();
    assert_eq!(lines, ["write segment-0000000000000001 4096+20480"]);
    for key in [b"c", b"d", b"e"] {
        world.send(apply(Purpose::Guest, &[], &[(key, Some(&[2; 100]))]));
    }
    assert!(world.event(Event::TurnEnd).is_empty());
    check(&mut world, &["sync segment-0000000000000001"]);
    check(
        &mut world,
        &["answer 1: Applied", "answer 2: Applied", "write segment-0000000000000001 24576+4096"],
    );
    check(&mut world, &["sync segment-0000000000000001"]);
    check(&mut world, &["answer 3: Applied", "answer 4: Applied", "answer 5: Applied", "timer 1 in 100ms"]);
}

#[test]
fn a_batch_that_does_not_fit_begins_the_next_segment_with_one_write() {
    let mut world = World::serving(config());
    world.rest();
    for number in 0..5_u8 {
        world.put(&[number], &[number; 12_000]);
    }
    world.send(apply(Purpose::Guest, &[], &[(b"k", Some(&[2; 100]))]));
    let effects = world.event(Event::TurnEnd);
    assert_eq!(effects.iter().map(line).collect::<Vec<_>>(), ["create segment-0000000000000002"]);
    check(&mut world, &["write segment-0000000000000002 0+8192"]);
    check(&mut world, &["sync segment-0000000000000002"]);
    check(&mut world, &["answer 6: Applied", "space", "timer 2 in 100ms"]);
    check(&mut world, &[]);
}

#[test]
fn a_value_is_one_read() {
    let mut world = World::serving(config());
    world.put(b"k", &[7; 5_000]);
    world.settle();
    world.event(Event::TurnEnd);
    let read = AsdBody::Get { key: b"k".to_vec() };
    world.send(read);
    check_reads(&world, &["read segment-0000000000000001 4152+5017"]);
    check(&mut world, &["answer 2: value of 5000 bytes"]);
}

fn check_reads(world: &World, expected: &[&str]) {
    let effects = world
        .pending
        .iter()
        .map(|(operation, what)| line(&Effect::Disk { operation: *operation, what: what.clone() }));
    assert_eq!(effects.collect::<Vec<_>>(), expected);
}

#[test]
fn a_later_start_reads_the_checkpoint_and_what_it_lacks_and_cuts_the_tail() {
    let mut world = World::serving(config());
    for number in 0..13_u8 {
        world.put(&[number], &[number; 12_000]);
    }
    world.rest();
    world.reborn();
    let effects = world.turn(Event::Start { seed: [0; 32] });
    assert_eq!(effects.iter().map(line).collect::<Vec<_>>(), ["list"]);
    check(&mut world, &["read checkpoint-a 0+4096"]);
    check(&mut world, &["read checkpoint-a 0+8192"]);
    check(&mut world, &["read segment-0000000000000002 0+65536"]);
    check(&mut world, &["read segment-0000000000000003 0+45056"]);
    // The last batch holds the mark of the one before, and nothing vouches for it.
    check(&mut world, &["write segment-0000000000000003 40960+4096"]);
    check(&mut world, &["sync segment-0000000000000003"]);
    check(&mut world, &["create segment-0000000000000004"]);
    check(&mut world, &["write segment-0000000000000004 0+4096"]);
    check(&mut world, &["sync segment-0000000000000004"]);
    check(&mut world, &["space", "timer 2 in 100ms"]);
}

//! What an ASD does, effect for effect.

use formats::message::asd::{AsdAnswer, Purpose};
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

/// Completes the only operation in flight and compares what follows.
fn check(world: &mut World, expected: &[&str]) {
    assert_eq!(world.pending.len(), 1, "one operation in flight");
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
    check(&mut world, &["space", "timer 2 in 100ms"]);
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

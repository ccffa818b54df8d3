//! Full disks: three marks, deletes and reads go on, and what is freed can be used again (PROTOCOLS F12).

use formats::Event;
use formats::message::asd::{AsdAnswer, AsdAssert, AsdError, Purpose};
use glossary::ByteCount;
use step::{DiskOperation, Entropy, TimerId};

use crate::disk::Fault;
use crate::model::Map;
use crate::world::{World, apply, config, value_of};

const FULL: AsdAnswer = AsdAnswer::Failed(AsdError::Full);

/// Puts values until there is no room, and says how many and how full it is then.
fn fill(world: &mut World, purpose: Purpose, from: u32) -> (u32, u64) {
    for number in from.. {
        let answer =
            world.ask(apply(purpose, &[], &[(&number.to_be_bytes(), Some(&[number as u8; 12_000]))]));
        if answer == FULL {
            return (number, world.used_and_dead().0);
        }
        assert_eq!(answer, AsdAnswer::Applied);
    }
    unreachable!("it fills up");
}

/// Removes a key. Compaction may first have to make room for saying so.
fn remove(world: &mut World, key: &[u8]) {
    let answer = world.delete(key);
    if answer == FULL {
        world.rest();
        assert_eq!(world.delete(key), AsdAnswer::Applied);
    } else {
        assert_eq!(answer, AsdAnswer::Applied);
    }
}

#[test]
fn each_purpose_stops_at_its_mark_and_what_frees_goes_on() {
    let mut world = World::serving(config());
    let capacity = world.config.capacity.0;
    let (guests, at_guest) = fill(&mut world, Purpose::Guest, 0);
    let (repairs, at_maintenance) = fill(&mut world, Purpose::Maintenance, guests);
    let (count, at_freeing) = fill(&mut world, Purpose::Freeing, repairs);
    assert!(at_guest <= capacity * 90 / 100 && at_guest > capacity * 80 / 100);
    assert!(at_maintenance <= capacity * 95 / 100 && at_maintenance > at_guest);
    assert!(at_freeing <= capacity * 99 / 100 && at_freeing > at_maintenance);
    assert_eq!(world.put(b"no", b"room"), FULL);
    assert!(value_of(&world.get(&0_u32.to_be_bytes())).is_some());
    assert!(world.counter("full") >= 4);
    // Guests' deletes free space, so they go as far as that.
    for number in 0..count / 2 {
        remove(&mut world, &number.to_be_bytes());
    }
    world.rest();
    assert!(world.used_and_dead().0 < capacity * 3 / 4);
    assert_eq!(world.put(b"more", &[1; 12_000]), AsdAnswer::Applied);
    world.restart();
    assert_eq!(world.keys().len() as u32, count - count / 2 + 1);
}

#[test]
fn some_freeing_step_is_always_left() {
    for seed in 0..30_u64 {
        let mut settings = config();
        settings.capacity = ByteCount(settings.segment_bytes * (8 + seed % 5));
        let capacity = settings.capacity.0;
        let mut world = World::serving(settings);
        let mut entropy = Entropy::new([(seed % 251 + 1) as u8; 32]);
        let mut model = Map::new();
        let mut was_full = 0;
        for step in 0..400_u32 {
            let key = (entropy.below(300) as u32).to_be_bytes();
            let value = vec![key[3]; entropy.below(9_000) as usize];
            let answer =
                if model.contains_key(&key[..]) { world.delete(&key) } else { world.put(&key, &value) };
            match answer {
                AsdAnswer::Applied if model.remove(&key[..]).is_none() => {
                    model.insert(key.to_vec(), value);
                }
                AsdAnswer::Applied => {}
                FULL => was_full += 1,
                other => panic!("{other:?}"),
            }
            if entropy.below(3) == 0 {
                world.rest();
            }
            assert!(world.used_and_dead().0 <= capacity, "seed {seed}, step {step}");
        }
        assert!(was_full > 0, "seed {seed} never filled it");
        // All that is there can be removed, and then there is room again.
        for key in model.keys() {
            remove(&mut world, key);
        }
        world.rest();
        assert_eq!(world.put(b"again", &[1; 9_000]), AsdAnswer::Applied, "seed {seed}");
    }
}

#[test]
fn a_device_that_is_full_loses_nothing_and_is_used_again_when_it_has_room() {
    let mut world = World::serving(config());
    world.disk.room = Some(200_000);
    let mut stored = 0;
    for number in 0..40_u32 {
        match world.put(&number.to_be_bytes(), &[number as u8; 12_000]) {
            AsdAnswer::Applied => stored += 1,
            AsdAnswer::Failed(AsdError::Full | AsdError::Unavailable) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((5..20).contains(&stored));
    world.settle();
    assert_eq!(world.keys().len(), stored);
    world.disk.room = None;
    world.rest();
    assert_eq!(world.trouble(), None);
    assert_eq!(world.put(b"more", &[1; 12_000]), AsdAnswer::Applied);
    world.restart();
    assert_eq!(world.keys().len(), stored + 1);
}

#[test]
fn what_the_device_has_left_lowers_the_marks_before_it_is_full() {
    let mut settings = config();
    settings.capacity = ByteCount(64 << 20);
    let mut world = World::new(settings);
    world.disk.room = Some(1 << 20);
    world.start();
    let (_, used) = fill(&mut world, Purpose::Guest, 0);
    assert!(used < 1 << 20);
    assert_eq!(world.counter("reloads"), 0, "no write ever failed");
}

#[test]
fn a_segment_that_cannot_be_created_refuses_exactly_and_changes_nothing() {
    let mut world = World::serving(config());
    for number in 0..5_u32 {
        assert_eq!(world.put(&number.to_be_bytes(), &[1; 12_000]), AsdAnswer::Applied);
    }
    let request = world.send(apply(Purpose::Guest, &[], &[(b"k", Some(&[1; 12_000]))]));
    // What is refused because of something that then isn't done, isn't refused for good.
    let other = world.send(apply(Purpose::Guest, &[AsdAssert::Absent(b"k".to_vec())], &[]));
    world.event(Event::TurnEnd);
    assert!(matches!(world.pending[..], [(_, DiskOperation::Create { .. })]));
    world.disk.fault = Some(Fault::Full);
    world.settle();
    assert_eq!(world.take_answer(request), Some(FULL));
    assert_eq!(world.take_answer(other), Some(AsdAnswer::Failed(AsdError::Unavailable)));
    assert_eq!((world.trouble(), world.counter("reloads")), (None, 0));
    assert_eq!(world.put(b"k", &[1; 12_000]), AsdAnswer::Applied);
    world.restart();
    assert_eq!(world.keys().len(), 6);
}

/// A start, up to where this operation is in flight, for which there is no room.
fn start_without_room_for(world: &mut World, is_it: impl Fn(&DiskOperation) -> bool) {
    world.reborn();
    world.turn(Event::Start { seed: [0; 32] });
    while !is_it(&world.pending[0].1) {
        world.complete(0);
        world.event(Event::TurnEnd);
    }
    world.disk.fault = Some(Fault::Full);
    world.settle();
}

#[test]
fn without_room_for_a_segment_it_starts_and_reads() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    start_without_room_for(&mut world, |what| matches!(what, DiskOperation::Create { .. }));
    assert_eq!(world.trouble().as_deref(), Some("the device is full: it can only be read"));
    assert_eq!(world.put(b"l", b"v"), FULL);
    assert_eq!(world.delete(b"k"), FULL);
    assert_eq!(value_of(&world.get(b"k")).as_deref(), Some(&b"v"[..]));
    world.fire(TimerId(3));
    world.settle();
    assert_eq!(world.trouble(), None);
    assert_eq!(world.put(b"l", b"v"), AsdAnswer::Applied);
}

#[test]
fn without_room_to_make_its_log_durable_it_starts_later() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    start_without_room_for(&mut world, |what| matches!(what, DiskOperation::Write { .. }));
    assert_eq!(world.trouble().as_deref(), Some("the device is full: it can't start"));
    assert_eq!(world.get(b"k"), AsdAnswer::Failed(AsdError::Unavailable));
    world.fire(TimerId(3));
    // What it learned before isn't taken for durable: it is written again.
    while !matches!(world.pending[0].1, DiskOperation::Write { .. }) {
        world.complete(0);
        world.event(Event::TurnEnd);
    }
    let [(_, DiskOperation::Write { offset, .. })] = &world.pending[..] else { panic!("a write") };
    assert_eq!(*offset, 4096);
    world.settle();
    assert_eq!(value_of(&world.get(b"k")).as_deref(), Some(&b"v"[..]));
}

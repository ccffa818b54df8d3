//! OSDs that are away while things are deleted: nobody waits for them, and their room comes back when they do.

use core::time::Duration;

use formats::fragment::{fragment_key, parse_fragment_key};
use formats::message::object::{ObjectAnswer, ObjectBody};
use glossary::{NamespaceId, OsdId};

use crate::world::{NAMESPACE, World, bytes_of, data, get, put, sco};

/// The OSD that is away.
const AWAY: usize = 5;

/// Longer than the longest pause between two probes, and a scan after it.
const UNTIL_SCANNED: Duration = Duration::from_secs(90);

/// How an OSD is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Its process is stopped, for now.
    Stopped,
    /// It was gone already when the client started.
    GoneAtStart,
    /// It says itself that it won't serve.
    GoneByItsWord,
}

const WAYS: [How; 3] = [How::Stopped, How::GoneAtStart, How::GoneByItsWord];

fn leave(world: &mut World, how: How) {
    match how {
        How::Stopped => world.asds[AWAY].dead = true,
        How::GoneByItsWord => world.asds[AWAY].unreadable = true,
        How::GoneAtStart => {
            world.asds[AWAY].dead = true;
            world.config.gone.push(OsdId(AWAY as u32));
            world.restart();
        }
    }
}

fn come_back(world: &mut World) {
    (world.asds[AWAY].dead, world.asds[AWAY].unreadable) = (false, false);
    world.config.gone.clear();
}

/// Several objects on six OSDs, of which one leaves.
fn world_without_one(how: How) -> World {
    let mut world = World::new(6, &["4,2,5,1"], how as u64);
    for number in 1..=4 {
        world.ask(put(sco(number), &data(40, number)));
    }
    world.run_for(Duration::from_secs(1));
    assert!(!world.asds[AWAY].values.is_empty());
    leave(&mut world, how);
    world
}

/// Drops the namespace, sweeps it, and forgets it, as a deletion does.
fn delete_namespace(world: &mut World, how: How) {
    world.kv.drop_namespace(NAMESPACE);
    let request = world.send(NAMESPACE, ObjectBody::Sweep);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.answer_to(request), Some(&ObjectAnswer::Done), "nobody waits for it: {how:?}");
    world.kv.records.remove(&NAMESPACE);
    assert_eq!(world.stored(), world.asds[AWAY].values.len(), "all others are clean: {how:?}");
    assert!(world.stored() > 0);
}

#[test]
fn a_sweep_waits_for_no_osd_that_is_away_and_it_is_swept_when_it_is_back() {
    for how in WAYS {
        let mut world = world_without_one(how);
        delete_namespace(&mut world, how);
        come_back(&mut world);
        world.run_for(UNTIL_SCANNED);
        assert_eq!(world.stored(), 0, "{how:?}");
    }
}

#[test]
fn it_is_swept_also_when_nobody_remembers_the_deletion() {
    for how in WAYS {
        let mut world = world_without_one(how);
        delete_namespace(&mut world, how);
        world.restart();
        come_back(&mut world);
        world.run_for(UNTIL_SCANNED);
        assert_eq!(world.stored(), 0, "{how:?}");
    }
}

/// What a namespace that is there has is left alone; so are keys that nobody here has written.
#[test]
fn nothing_else_is_swept() {
    let mut world = world_without_one(How::Stopped);
    let (other, foreign) = (NamespaceId(NAMESPACE.0 + 1), vec![b'f', 0, 0, 0, 0, 0, 0, 0, 7]);
    let first = world.asds[AWAY].values.keys().next().expect("it has fragments").clone();
    let (_, fragment) = parse_fragment_key(&first).expect("one of ours");
    world.asds[AWAY].values.insert(fragment_key(other, &fragment), data(1, 0));
    world.asds[AWAY].values.insert(foreign.clone(), data(1, 0));
    let named = world.named().len();
    come_back(&mut world);
    world.run_for(UNTIL_SCANNED);
    assert_eq!(world.stored(), named + 1, "the other namespace is unknown: it was dropped");
    assert!(world.asds[AWAY].values.contains_key(&foreign));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 40))), data(40, 1));
}

/// Objects were deleted while an OSD was away, and whoever knew which has restarted since. Nobody changes anything.
#[test]
fn what_was_deleted_while_it_was_away_goes_when_it_is_back() {
    for how in WAYS {
        let mut world = world_without_one(how);
        let names = [1, 3].into_iter().map(sco).collect();
        let generation = glossary::Generation(1);
        assert_eq!(world.ask(ObjectBody::Delete { generation, names }), ObjectAnswer::Done);
        world.run_for(Duration::from_secs(10));
        world.restart();
        world.run_for(UNTIL_SCANNED);
        assert!(world.stored() > world.named().len(), "{how:?}");
        come_back(&mut world);
        world.run_for(UNTIL_SCANNED);
        assert_eq!(world.stored(), world.named().len(), "{how:?}");
    }
}

/// Once everything was looked at, nothing is asked but whether OSDs are there.
#[test]
fn a_namespace_that_nobody_uses_is_looked_at_once() {
    let mut world = world_without_one(How::Stopped);
    come_back(&mut world);
    world.restart();
    let lists_in = |world: &mut World| {
        let before: usize = world.asds.iter().map(|asd| asd.lists).sum();
        world.run_for(Duration::from_secs(1200));
        world.asds.iter().map(|asd| asd.lists).sum::<usize>() - before
    };
    assert!(lists_in(&mut world) > 0);
    assert_eq!(lists_in(&mut world), 0);
}

/// A namespace manager that says nothing is no word that a namespace was dropped.
#[test]
fn nothing_is_swept_before_the_namespace_manager_says_so() {
    let mut world = world_without_one(How::Stopped);
    come_back(&mut world);
    let named = world.named().len();
    world.kv.dead = true;
    world.restart();
    world.run_for(UNTIL_SCANNED);
    assert_eq!(world.stored(), named);
    world.kv.drop_namespace(NAMESPACE);
    world.kv.dead = false;
    world.run_for(UNTIL_SCANNED);
    assert_eq!(world.stored(), 0);
}

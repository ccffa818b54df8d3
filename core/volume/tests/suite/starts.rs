//! What a driver does and says before its vDisks serve.

use std::collections::BTreeSet;

use formats::Payload;
use formats::message::admin::{AdminAnswer, AdminBody};
use formats::message::edge::{EdgeAnswer, EdgeBody};
use glossary::ByteCount;

use crate::world::{self, CLUSTER, SIZE, World};

/// How often the identity is read.
const TRIES: u32 = 5;

#[test]
fn verbs_that_come_before_a_vdisk_serves_are_to_be_asked_again() {
    let resize = AdminBody::ResizeVdisk { name: world::name(), size: ByteCount(SIZE * CLUSTER) };
    let mut told = BTreeSet::new();
    for seed in 0..20 {
        let mut world = World::new(seed, None);
        loop {
            match world.answers_to(vec![resize.clone()]).remove(0) {
                AdminAnswer::NotYet(why) => told.insert(why),
                AdminAnswer::Done => break,
                other => panic!("{other:?}"),
            };
            world.go();
        }
    }
    let told: Vec<String> = told.into_iter().collect();
    assert_eq!(told, ["the volume driver is still starting; try again", "vDisk disk1 is being taken over"]);
}

/// A world whose vDisk has a cluster that only the write buffer holds.
fn written() -> World {
    let mut world = World::new(1, None);
    assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
    let payload = Payload::entering(vec![7; CLUSTER as usize].into());
    let request = world.ask(EdgeBody::Write { change: 1, offset: 0, fua: true, payload });
    assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done));
    world
}

fn has_its_data(world: &mut World) -> bool {
    assert!(matches!(world.open(2), EdgeAnswer::Opened { .. }));
    world.read(0, 1).is_some_and(|data| data.contiguous()[..] == [7; CLUSTER as usize])
}

/// Otherwise the write buffer would pass for a fresh one, and what it holds for lost.
#[test]
fn an_identity_that_cannot_be_read_is_read_again() {
    let mut world = written();
    world.disk.identity_fails = TRIES - 1;
    world.restart();
    assert!(has_its_data(&mut world));
}

#[test]
fn an_identity_that_is_never_read_halts_the_driver_and_nothing_is_lost() {
    let mut world = written();
    // Whoever accepts losses doesn't mean a disk that fails for a while.
    world.accept_loss = true;
    world.disk.identity_fails = TRIES;
    world.restart();
    while world.halted.is_none() {
        assert!(world.go(), "it halts");
    }
    let why = world.halted.take().expect("it halted");
    assert!(why.contains("identity file can't be read"), "{why}");
    world.restart();
    assert!(has_its_data(&mut world));
}

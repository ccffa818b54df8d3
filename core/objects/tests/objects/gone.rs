//! OSDs that are gone until an operator acts: what is lost with them is told at once, and nothing else.

use core::time::Duration;

use formats::message::admin::OsdState;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use glossary::{CLUSTER_BYTES, OsdId};

use crate::world::{World, bytes_of, config, data, get, put, sco};

fn failed(error: ObjectError) -> ObjectAnswer {
    ObjectAnswer::Failed(error)
}

/// An object on six OSDs, after which the client starts anew and is told that the first of them are gone.
fn world_without(gone: u32, clusters: usize) -> World {
    let mut world = World::with_config(config(6), &["4,2,6,1"], u64::from(gone));
    world.ask(put(sco(1), &data(clusters, 1)));
    for osd in 0..gone {
        world.asds[osd as usize].dead = true;
        world.config.gone.push(OsdId(osd));
    }
    world.restart();
    world
}

#[test]
fn what_is_beyond_parity_is_lost_at_once() {
    let mut world = world_without(3, 16);
    let request = world.send(crate::world::NAMESPACE, get(sco(1), 0, 16));
    // No patience with an ASD has run out by then: nobody was waited for.
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.answer_to(request), Some(&failed(ObjectError::Lost)));
    assert_eq!(world.status().0[2], (OsdId(2), OsdState::Gone));
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), failed(ObjectError::Unavailable));
}

/// Each cluster is read or lost as was told before anybody read it.
#[test]
fn lost_parts_are_those_that_can_not_be_read() {
    let mut lost_and_read = (0, 0);
    for (clusters, gone) in [(1, 6), (3, 4), (16, 3), (17, 3), (40, 4), (41, 5), (100, 3), (100, 2), (100, 0)]
    {
        let mut world = world_without(gone, clusters);
        let ObjectAnswer::LostParts(parts) = world.ask(ObjectBody::LostParts { name: sco(1) }) else {
            panic!("it is known what is lost")
        };
        assert!(parts.is_sorted() && gone > 2 || parts.is_empty(), "{gone} of {clusters}: {parts:?}");
        for cluster in 0..clusters as u64 {
            let at = cluster * CLUSTER_BYTES;
            let is_lost = parts.iter().any(|(from, length)| (*from..from + length).contains(&at));
            match world.ask(get(sco(1), cluster, 1)) {
                ObjectAnswer::Data(_) if !is_lost => lost_and_read.1 += 1,
                ObjectAnswer::Failed(ObjectError::Lost) if is_lost => lost_and_read.0 += 1,
                other => panic!("{cluster} of {clusters}, {gone} gone: {other:?}, told were {parts:?}"),
            }
        }
    }
    assert!(lost_and_read.0 > 50 && lost_and_read.1 > 150, "{lost_and_read:?}");
}

#[test]
fn what_parity_makes_up_for_is_read() {
    let mut world = world_without(2, 16);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), data(16, 1));
    // One more that is merely silent may come back.
    world.asds[5].dead = true;
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.status().0[5], (OsdId(5), OsdState::Down));
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Unavailable));
}

#[test]
fn damage_and_absence_add_up() {
    let mut world = world_without(2, 16);
    world.asds[5].values.clear();
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Lost));
}

#[test]
fn whoever_is_heard_again_is_not_gone() {
    let mut world = world_without(3, 16);
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Lost));
    // An operator put the folder back: while the ASD reads its log, nothing is lost any more.
    world.asds[0].dead = false;
    world.asds[0].stopped = true;
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Unavailable));
    world.asds[0].stopped = false;
    assert_eq!(bytes_of(&world.insist(get(sco(1), 0, 16))), data(16, 1));
    assert_eq!(world.status().0[0], (OsdId(0), OsdState::Up));
}

#[test]
fn an_asd_whose_log_cannot_be_read_is_gone_by_its_own_word() {
    let mut world = World::new(6, &["4,2,6,1"], 7);
    world.ask(put(sco(1), &data(16, 1)));
    world.asds[..3].iter_mut().for_each(|asd| asd.unreadable = true);
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Lost));
    assert_eq!(world.status().0[1], (OsdId(1), OsdState::Gone));
    world.asds[..3].iter_mut().for_each(|asd| asd.unreadable = false);
    world.run_for(Duration::from_secs(2));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), data(16, 1));
}

//! What the backend can't give back: an error, named by the status, and the rest is served.

use formats::Payload;
use formats::message::admin::{AdminBody, Serves};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError};
use glossary::{ByteCount, OsdId};

use crate::world::{CLUSTER, World};

fn is_sco(name: &formats::namespace::ObjectName) -> bool {
    matches!(name, formats::namespace::ObjectName::Sco(_))
}

/// Writes a few SCOs, pushes them, and takes their local files away.
fn pushed_and_forgotten(seed: u64) -> World {
    let mut world = World::new(seed, None);
    assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
    for change in 1..=4 {
        let payload = Payload::entering(vec![change as u8; 8 * CLUSTER as usize].into());
        let offset = (change - 1) * 8 * CLUSTER;
        let request = world.ask(EdgeBody::Write { change, offset, fua: false, payload });
        assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done));
    }
    world.push();
    world.restart();
    world.disk.remove_all(|name| name.contains("sco"));
    assert!(matches!(world.open(5), EdgeAnswer::Opened { .. }));
    world
}

#[test]
fn what_the_backend_lost_is_an_error_and_the_rest_is_read() {
    let mut world = pushed_and_forgotten(1);
    let first = *world.registry.backend.objects.keys().find(|name| is_sco(name)).expect("a SCO");
    world.registry.backend.lost.insert(first);
    let read: Vec<Option<u8>> =
        (0..4).map(|sco| world.read(sco * 8, 8).map(|data| data.contiguous()[0])).collect();
    assert_eq!(read.iter().filter(|answer| answer.is_none()).count(), 1, "{read:?}");
    assert!((1..).zip(&read).all(|(fill, answer)| answer.is_none_or(|read| read == fill)), "{read:?}");
}

/// Bytes that the status names as lost: from, length.
fn named(world: &mut World) -> Vec<(u64, u64)> {
    world.status().lost
}

#[test]
fn what_gone_osds_cost_is_named_before_it_is_read() {
    let mut world = pushed_and_forgotten(3);
    let scos: Vec<_> = world.registry.backend.objects.keys().copied().filter(is_sco).collect();
    world.registry.backend.lost.insert(scos[1]);
    world.watch();
    assert_eq!(named(&mut world), [], "objects bear what is gone");
    world.registry.backend.gone = vec![OsdId(1), OsdId(2)];
    world.registry.backend.down = true;
    world.watch();
    assert_eq!(named(&mut world), [], "nobody can say");
    world.registry.backend.down = false;
    world.watch();
    let lost = named(&mut world);
    let [(offset, length)] = lost[..] else { panic!("one SCO: {lost:?}") };
    assert_eq!((offset % length, length), (0, 8 * CLUSTER));
    let first = offset / CLUSTER;
    let read: Vec<bool> = (0..4).map(|sco| world.read(sco * 8, 8).is_some()).collect();
    assert!((0..).step_by(8).zip(&read).all(|(at, is_right)| *is_right == (at != first)), "{read:?}");
    // Other OSDs are gone: it is looked at anew. What is written since is there.
    let payload = Payload::entering(vec![9; 4 * CLUSTER as usize].into());
    let request = world.ask(EdgeBody::Write { change: 5, offset, fua: false, payload });
    assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done));
    world.registry.backend.gone.push(OsdId(3));
    world.watch();
    assert_eq!(named(&mut world), [(offset + 4 * CLUSTER, 4 * CLUSTER)]);
}

#[test]
fn what_is_back_is_no_longer_named() {
    let mut world = pushed_and_forgotten(4);
    let scos = world.registry.backend.objects.keys().copied().filter(is_sco).collect();
    world.registry.backend.lost = scos;
    world.registry.backend.gone = vec![OsdId(1)];
    world.watch();
    assert_eq!(named(&mut world), [(0, 32 * CLUSTER)]);
    world.registry.backend.lost.clear();
    world.registry.backend.gone.clear();
    world.watch();
    assert_eq!(named(&mut world), []);
}

#[test]
fn a_survey_of_a_large_map_takes_several_steps() {
    const PAGE: u64 = 4 << 20;
    let mut world = World::new(5, None);
    assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
    world.manage(vec![AdminBody::ResizeVdisk { name: crate::world::name(), size: ByteCount(600 * PAGE) }]);
    for change in 1..=600 {
        let payload = Payload::entering(vec![1; CLUSTER as usize].into());
        let offset = (change - 1) * PAGE;
        let request = world.ask(EdgeBody::Write { change, offset, fua: false, payload });
        assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done));
    }
    world.push();
    world.restart();
    world.disk.remove_all(|name| name.contains("sco"));
    assert!(matches!(world.open(601), EdgeAnswer::Opened { .. }));
    let last = world.registry.backend.objects.keys().copied().filter(is_sco).max().expect("a SCO");
    world.registry.backend.lost.insert(last);
    world.registry.backend.gone = vec![OsdId(1)];
    world.watch();
    let expected: Vec<(u64, u64)> = (592..600).map(|page| (page * PAGE, CLUSTER)).collect();
    assert_eq!(named(&mut world), expected);
}

#[test]
fn uploads_at_once_are_bounded_by_their_bytes() {
    let mut world = World::new(6, None);
    assert!(matches!(world.open(1), EdgeAnswer::Opened { .. }));
    world.registry.backend.down = true;
    for change in 1..=10 {
        let payload = Payload::entering(vec![1; 8 * CLUSTER as usize].into());
        let offset = (change - 1) % 4 * 8 * CLUSTER;
        let request = world.ask(EdgeBody::Write { change, offset, fua: true, payload });
        assert_eq!(world.answer_to(request), Some(EdgeAnswer::Done));
    }
    for _ in 0..2_000 {
        world.go();
    }
    assert_eq!(world.registry.backend.turned_away.len(), 3, "others wait for these");
    world.registry.backend.down = false;
    world.push();
}

#[test]
fn what_may_come_back_is_waited_for_and_not_without_end() {
    let mut world = pushed_and_forgotten(2);
    world.registry.backend.down = true;
    let request = world.ask(EdgeBody::Read { offset: 0, length: CLUSTER });
    assert!(matches!(world.answer_to(request), Some(EdgeAnswer::Failed(_))), "an error in the end");
    world.registry.backend.down = false;
    assert!(world.read(0, 8).is_some(), "the next read finds it");
}

/// A KV restored from a backup may know a vDisk and not its manifests, as they are in groups of their own. Read as zeros, what
/// is there would be overwritten.
#[test]
fn a_vdisk_whose_namespace_is_gone_halts_until_it_is_back() {
    let mut world = pushed_and_forgotten(7);
    let namespace = world.registry.namespace.take();
    world.restart();
    let answer = world.open(6);
    assert!(
        matches!(&answer, EdgeAnswer::Failed(EdgeError::Io(why)) if why.contains("is gone")),
        "{answer:?}"
    );
    assert!(matches!(world.status().serves, Serves::No(why) if why.contains("restore a backup of the KV")));
    world.registry.namespace = namespace;
    world.restart();
    assert!(matches!(world.open(6), EdgeAnswer::Opened { .. }));
    assert_eq!(world.read(8, 1).map(|data| data.contiguous()[0]), Some(2));
}

#[test]
fn a_vdisk_whose_namespace_is_gone_can_be_deleted() {
    let mut world = pushed_and_forgotten(8);
    world.registry.namespace = None;
    world.restart();
    assert!(matches!(world.open(6), EdgeAnswer::Failed(EdgeError::Io(_))));
    world.manage(vec![AdminBody::DeleteVdisk { name: crate::world::name() }]);
    for _ in 0..1_000 {
        world.go();
    }
    assert_eq!(world.open(7), EdgeAnswer::Failed(EdgeError::NotFound));
}

//! A vDisk is deleted while ASDs are away: nobody waits for them, and when they are back nothing of it is left.

use crate::bed::{Bed, NextLife};
use crate::world::World;
use formats::message::admin::{AdminAnswer, AdminBody, Serves};
use glossary::ByteCount;

/// Long enough for every ASD to be heard again and looked through, one after another: in ten seconds each.
const RESTS: usize = 12;

fn rest(world: &mut World) {
    (0..RESTS).for_each(|_| world.rest());
}

/// ASDs that were silent start, and have read their disks.
fn come_back(bed: &Bed, world: &mut World) {
    for asd in core::mem::take(&mut world.dead) {
        world.start(asd, 9);
    }
    bed.keys(world);
}

/// Deletes the vDisk; its name is free and the registry has forgotten it.
fn delete(bed: &Bed, world: &mut World) {
    assert!(bed.is_registered(world));
    let name = bed.vdisk.clone();
    assert_eq!(bed.operator(world, AdminBody::DeleteVdisk { name: name.clone() }), AdminAnswer::Done);
    rest(world);
    assert!(!bed.is_registered(world), "the deletion has an end");
    let size = ByteCount(1 << 20);
    assert_eq!(bed.operator(world, AdminBody::CreateVdisk { name, size }), AdminAnswer::Done);
}

#[test]
fn a_deletion_leaves_nothing_on_asds_that_were_silent() {
    let bed = Bed::new();
    let before = bed.written();
    let next = NextLife { life: 2, gone: &[], silent: &[2, 5], keeps_write_buffer: true };
    let mut world = bed.next_life(&before, next);
    delete(&bed, &mut world);
    assert_eq!(bed.keys(&mut world), 0);
    come_back(&bed, &mut world);
    assert!(bed.keys(&mut world) > 0, "they have missed it");
    rest(&mut world);
    assert_eq!(bed.keys(&mut world), 0);
}

#[test]
fn a_deletion_leaves_nothing_on_asds_that_were_gone_before_everything_restarts() {
    let bed = Bed::new();
    let mut world = bed.without(&bed.written(), &[0, 7]);
    delete(&bed, &mut world);
    let next = NextLife { life: 3, gone: &[], silent: &[], keeps_write_buffer: true };
    let mut world = bed.next_life(&world, next);
    rest(&mut world);
    assert_eq!(bed.keys(&mut world), 0);
}

/// Too few ASDs answer to take the vDisk over: that is said, and it can be deleted as it is.
#[test]
fn a_take_over_that_waits_says_for_what_and_may_be_ended() {
    let bed = Bed::new();
    let before = bed.written();
    let next = || NextLife { life: 2, gone: &[], silent: &[0, 1, 2, 3, 4], keeps_write_buffer: false };
    let mut world = bed.next_life(&before, next());
    let Serves::NotYet(why) = bed.status(&mut world).serves else { panic!("it waits") };
    assert!(why.starts_with("being taken over: ") && why.contains("TLog"), "{why}");
    let size = ByteCount(1 << 40);
    let resize = AdminBody::ResizeVdisk { name: bed.vdisk.clone(), size };
    assert!(matches!(bed.operator(&mut world, resize), AdminAnswer::Failed(_)), "not before it serves");
    delete(&bed, &mut world);
    come_back(&bed, &mut world);
    rest(&mut world);
    assert_eq!(bed.keys(&mut world), 0);

    let mut world = bed.next_life(&before, next());
    come_back(&bed, &mut world);
    rest(&mut world);
    assert_eq!(bed.status(&mut world).serves, Serves::Yes, "they are back: it serves");
    let vdisk = bed.attach(&mut world).expect("it serves");
    assert_eq!(bed.read_all(&mut world, vdisk).1, 0);
}

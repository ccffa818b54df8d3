//! A server of disks dies under a cluster that is being written: what goes to the ASDs waits until that is noticed, once.

use core::time::Duration;

use formats::Payload;
use formats::message::admin::{AdminAnswer, AdminBody};
use formats::message::guest::{GuestAnswer, GuestBody};
use glossary::{CLUSTER_BYTES, VdiskId};

use crate::bed::{AT_ONCE, Bed, data};
use crate::world::World;

/// Half a second until the ASD is doubted, two questions of half a second, and what the rest takes.
const DOUBTED: Duration = Duration::from_millis(1_700);

/// What the first that waits may not take less than, or nobody was waited for.
const NOTICED: Duration = Duration::from_millis(500);

/// Writes something, and has it pushed: how long that takes.
fn push(bed: &Bed, world: &mut World, vdisk: VdiskId) -> Duration {
    for first in (0..64).step_by(AT_ONCE as usize) {
        let payload = Payload::entering(data(first));
        let body = GuestBody::Write { vdisk, offset: first * CLUSTER_BYTES, fua: false, payload };
        assert_eq!(bed.guest(world, body), GuestAnswer::Done);
    }
    let since = world.now();
    let sync = AdminBody::SyncVdisk { name: bed.vdisk.clone() };
    assert_eq!(bed.operator(world, sync), AdminAnswer::Done);
    world.now().since(since)
}

#[test]
fn a_dead_asd_is_waited_for_once_and_not_for_long() {
    let bed = Bed::new();
    let mut world = bed.written();
    let vdisk = bed.attach(&mut world).expect("it serves");
    let calm = push(&bed, &mut world, vdisk);
    let asds = bed.layout.of(simulator::cluster::Part::Asd);
    world.dead = [asds[0]].into();
    let waits: Vec<Duration> = (0..4).map(|_| push(&bed, &mut world, vdisk)).collect();
    let noticed = waits.iter().filter(|wait| **wait > calm + NOTICED).count();
    assert!(noticed == 1 && waits.iter().all(|wait| *wait < calm + DOUBTED), "{calm:?}, {waits:?}");
}

//! More ASDs are gone than parity makes up for, and the write buffer with them: whatever is lost is an error, whatever
//! is not is read right, and nobody is waited for.

use crate::bed::{AT_ONCE, Bed, CLUSTERS, data};
use crate::world::World;
use formats::Payload;
use formats::message::admin::{AdminAnswer, AdminBody, Serves};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError};
use glossary::{ByteCount, CLUSTER_BYTES, VdiskName};

/// Why the vDisk will not serve.
fn why_not(bed: &Bed, world: &mut World) -> String {
    match bed.status(world).serves {
        Serves::No(why) => why,
        other => panic!("it waits for nobody: {other:?}"),
    }
}

#[test]
fn three_of_eight_lose_some_of_it_and_that_is_said() {
    let bed = Bed::new();
    let before = bed.written();
    let (mut partly, mut halted) = (0, 0);
    for first in 0..8 {
        for second in first + 1..8 {
            // Each pair with the next: enough of all 56 to have every outcome.
            let mut world = bed.without(&before, &[first, second, (second + 1) % 8]);
            let Ok(vdisk) = bed.attach(&mut world) else {
                let why = why_not(&bed, &mut world);
                assert!(why.contains("TLog") && why.contains("lost"), "{why}");
                halted += 1;
                continue;
            };
            // It is named before anybody has read it.
            let named = bed.status(&mut world).lost;
            let (right, lost) = bed.read_all(&mut world, vdisk);
            assert_eq!(lost > 0, !named.is_empty(), "{lost} reads failed, named are {named:?}");
            assert_eq!(bed.status(&mut world).lost, named, "no more and no less");
            partly += usize::from(right > 0 && lost > 0);
        }
    }
    assert!(partly > 0 && halted > 0, "{partly} were partly lost, {halted} could not be opened");
}

#[test]
fn five_of_eight_lose_all_and_other_vdisks_work() {
    let bed = Bed::new();
    let mut world = bed.without(&bed.written(), &[0, 1, 2, 3, 4]);
    let error = bed.attach(&mut world).expect_err("it can't serve");
    let why = why_not(&bed, &mut world);
    assert!(matches!(&error, GuestError::Io(said) if *said == why), "{error:?} and {why}");
    let other = VdiskName::new("other").expect("a name");
    let create = AdminBody::CreateVdisk { name: other.clone(), size: ByteCount(1 << 20) };
    assert_eq!(bed.operator(&mut world, create), AdminAnswer::Done);
    let GuestAnswer::Attached { vdisk, .. } = bed.guest(&mut world, GuestBody::Attach { name: other }) else {
        panic!("a new vDisk works");
    };
    let payload = Payload::entering(data(0));
    let write = GuestBody::Write { vdisk, offset: 0, fua: false, payload: payload.clone() };
    assert_eq!(bed.guest(&mut world, write), GuestAnswer::Done);
    let read = GuestBody::Read { vdisk, offset: 0, length: AT_ONCE * CLUSTER_BYTES };
    assert_eq!(bed.guest(&mut world, read), GuestAnswer::Data(payload));
}

#[test]
fn two_of_eight_lose_nothing() {
    let bed = Bed::new();
    let mut world = bed.without(&bed.written(), &[2, 5]);
    let vdisk = bed.attach(&mut world).expect("it serves");
    assert_eq!(bed.read_all(&mut world, vdisk), ((CLUSTERS / AT_ONCE) as usize, 0));
}

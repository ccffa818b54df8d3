//! Disks that hang: what is written there doesn't end, and doesn't fail.

use crate::support::members::Members;
use formats::message::admin::RoleStatus;
use glossary::GroupId;

/// Ticks in which a disk is known to hang, and others lead.
const NOTICED: usize = 80;

/// A group of so many that leads itself, on a network that loses nothing.
fn group(count: usize) -> Members {
    let mut world = Members::new(11, count, None);
    world.is_calm = true;
    world.pass(60).expect("nothing goes wrong");
    world
}

/// Asks as much as may be under way; most of it is written.
fn ask(world: &mut Members, group: GroupId) {
    (0..8).for_each(|_| world.ask_for(group));
}

fn trouble(world: &mut Members, index: usize) -> Option<String> {
    let Ok(RoleStatus::KvMember { trouble, .. }) = world.status(index) else { panic!("no status") };
    trouble
}

#[test]
fn a_leader_whose_disk_hangs_gives_way_in_all_groups() {
    let mut world = group(3);
    world.make_groups(&["a"]).expect("made");
    world.pass(20).expect("nothing goes wrong");
    let hung = world.leader().expect("one leads");
    world.hung.insert(hung);
    ask(&mut world, GroupId::ROOT);
    world.pass(20).expect("nothing goes wrong");
    assert_eq!(world.leader(), Some(hung), "one second is not too long for a disk");
    world.pass(NOTICED).expect("nothing goes wrong");
    for group in [GroupId::ROOT, GroupId(1)] {
        assert!(world.leader_of(group).is_some_and(|leader| leader != hung), "{group}");
    }
    let why = trouble(&mut world, hung).expect("it says so");
    assert!(why.contains("its disk hangs"), "{why}");
    // It neither takes the lead again nor holds anybody up.
    [GroupId::ROOT, GroupId(1)].into_iter().for_each(|group| ask(&mut world, group));
    world.pass(NOTICED * 3).expect("nothing goes wrong");
    assert!(world.leader().is_some_and(|leader| leader != hung));
    assert_eq!(world.unanswered(), 0);
    assert_eq!(world.settle(), Ok(()));
    assert_eq!(trouble(&mut world, hung), None);
}

#[test]
fn a_follower_whose_disk_hangs_is_given_no_lead() {
    let mut world = group(3);
    let leader = world.leader().expect("one leads");
    let (hung, other) = ((leader + 1) % 3, (leader + 2) % 3);
    world.hung.insert(hung);
    ask(&mut world, GroupId::ROOT);
    world.pass(NOTICED).expect("nothing goes wrong");
    assert_eq!((world.leader(), world.unanswered()), (Some(leader), 0));
    assert!(trouble(&mut world, hung).expect("it says so").contains("its disk hangs"));
    // The leader's disk is full: of the two others, one can go on.
    world.fill(leader);
    for _ in 0..20 {
        ask(&mut world, GroupId::ROOT);
        world.pass(4).expect("nothing goes wrong");
    }
    world.pass(NOTICED).expect("nothing goes wrong");
    assert!(world.leader().is_none_or(|leader| leader != hung));
    assert!([Some(leader), Some(other)].contains(&world.leader()));
    assert_eq!(world.settle(), Ok(()));
}

/// Where most disks hang nobody could do better: who leads goes on.
#[test]
fn a_leader_that_nobody_can_follow_stays() {
    let mut world = group(3);
    let leader = world.leader().expect("one leads");
    world.hung = (0..3).collect();
    ask(&mut world, GroupId::ROOT);
    world.pass(NOTICED * 2).expect("nothing goes wrong");
    assert_eq!(world.leader(), Some(leader));
    assert!(trouble(&mut world, leader).expect("it says so").contains("its disk hangs"));
    assert_eq!(world.settle(), Ok(()));
}

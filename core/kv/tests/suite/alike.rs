//! Members compare what they have, and whoever asks can.

use crate::support::members::Members;
use consensus::LogIndex;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, RoleStatus};
use formats::message::standing::Fingerprint;
use glossary::GroupId;
use step::Bug;

/// A group of three that leads itself.
fn group(bug: Option<Bug>) -> Members {
    let mut world = Members::new(11, 3, bug);
    world.is_blind = true;
    world.pass(60).expect("nothing goes wrong");
    world
}

fn go_on(world: &mut Members, events: usize) {
    (0..events).for_each(|_| world.happen_calmly().expect("nothing goes wrong"));
    world.pass(100).expect("nothing goes wrong");
}

fn trouble(world: &mut Members, index: usize) -> Option<String> {
    let Ok(RoleStatus::KvMember { trouble, .. }) = world.status(index) else { panic!("no status") };
    trouble
}

fn fingerprint(world: &mut Members, index: usize, at: Option<LogIndex>) -> AdminAnswer {
    let verb = KvGroupVerb::Fingerprint { at };
    let request = world.ask_admin(index, AdminBody::KvGroup(verb)).expect("asked");
    world.pass(1).expect("nothing goes wrong");
    world.answer(request).cloned().expect("an answer")
}

#[test]
fn members_that_differ_from_their_leader_say_so_and_it_names_them() {
    let mut world = group(Some(Bug::KvDiverges));
    go_on(&mut world, 2000);
    let leader = world.leader().expect("one leads");
    for index in 0..3 {
        assert!(world.counter(index, "differed").expect("a counter") > 0);
        let why = trouble(&mut world, index).expect("it says so");
        assert_eq!(why.contains("others than its leader's"), index != leader, "{why}");
        assert_eq!(why.contains("those of member"), index == leader, "{why}");
    }
}

/// In the root group too little happens for the mistake: what differs is in the group beside it, and still told by all.
#[test]
fn a_difference_in_a_group_beside_the_root_group_is_told_and_named() {
    let mut world = group(Some(Bug::KvDiverges));
    world.make_groups(&["beside"]).expect("it is made");
    for _ in 0..60 {
        world.ask_for(GroupId(1));
        world.pass(2).expect("nothing goes wrong");
    }
    world.pass(100).expect("nothing goes wrong");
    let leader = world.leader_of(GroupId(1)).expect("one leads");
    for index in 0..3 {
        let why = trouble(&mut world, index).expect("it says so");
        assert!(why.contains("beside"), "{why}");
        assert_eq!(why.contains("others than its leader's"), index != leader, "{why}");
    }
}

#[test]
fn members_that_are_alike_raise_no_alarm() {
    let mut world = group(None);
    go_on(&mut world, 2000);
    assert!((0..3).all(|index| trouble(&mut world, index).is_none()));
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn whoever_asks_can_compare_members_at_the_same_entry() {
    let mut world = group(None);
    go_on(&mut world, 500);
    let AdminAnswer::Fingerprint(first) = fingerprint(&mut world, 0, None) else { panic!("no fingerprint") };
    go_on(&mut world, 500);
    for index in 0..3 {
        let at = |world: &mut Members, at| fingerprint(world, index, Some(at));
        assert_eq!(at(&mut world, first.index), AdminAnswer::Fingerprint(first));
        let AdminAnswer::Fingerprint(before) = at(&mut world, LogIndex(first.index.0 - 1)) else {
            panic!("no fingerprint")
        };
        assert_ne!(before, Fingerprint { index: before.index, ..first });
        let AdminAnswer::NotYet(why) = at(&mut world, LogIndex(u64::MAX)) else { panic!("not yet") };
        assert!(why.contains("ask again"), "{why}");
        let AdminAnswer::Failed(why) = at(&mut world, LogIndex(0)) else { panic!("too old") };
        assert!(why.contains("a newer one"), "{why}");
    }
}

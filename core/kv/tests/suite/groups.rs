//! Several groups over one log: each keeps what the root group keeps, whatever happens to all of them at once, and they are
//! made and dropped while others go on.

use crate::support::members::{Members, Violation};
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupStatus, KvGroupsVerb};
use formats::message::kv::{KvAnswer, KvError};
use glossary::GroupId;
use proptest::prelude::*;
use step::Bug;

fn run(world: &mut Members, length: usize) -> Result<(), Violation> {
    world.pass(60)?;
    world.make_groups(&["abm-1", "nsm-1"])?;
    for _ in 0..length {
        world.happen()?;
    }
    world.settle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_answered_is_lost_doubled_or_out_of_order_in_any_of_them(
        seed in any::<u64>(), length in 0_usize..6000, count in 1_usize..4,
    ) {
        prop_assert_eq!(run(&mut Members::new(seed, count, None), length), Ok(()));
    }
}

#[test]
fn planted_bugs_are_found() {
    let finds =
        |bug, count| (0..100).any(|seed| run(&mut Members::new(seed, count, Some(bug)), 4000).is_err());
    assert!(finds(Bug::KvAnswersBeforeSync, 1));
    assert!(finds(Bug::KvAppliesTwice, 3));
}

/// The groups, as a server lists them.
fn list(world: &mut Members, index: usize) -> Vec<KvGroupStatus> {
    let request = world.ask_admin(index, AdminBody::KvGroups(KvGroupsVerb::List)).expect("asked");
    world.pass(2).expect("nothing goes wrong");
    match world.answer(request) {
        Some(AdminAnswer::KvGroups(groups)) => groups.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn groups_are_made_and_dropped_and_no_number_comes_back() {
    let mut world = Members::new(7, 3, None);
    let make = |name: &str| KvGroupsVerb::Make { name: name.into() };
    let drop = |name: &str| KvGroupsVerb::Drop { name: name.into() };
    for (verb, expected) in [
        (make("a"), vec![("a", 1)]),
        (make("b"), vec![("a", 1), ("b", 2)]),
        (make("b"), vec![("a", 1), ("b", 2)]),
        (drop("a"), vec![("b", 2)]),
        (drop("a"), vec![("b", 2)]),
        (make("a"), vec![("a", 3), ("b", 2)]),
    ] {
        assert_eq!(world.ask_groups(&verb), Ok(AdminAnswer::Done));
        world.pass(60).expect("nothing goes wrong");
        for index in 0..3 {
            let groups = list(&mut world, index);
            let named: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.group.0)).collect();
            assert_eq!(named, expected);
            assert!(groups.iter().all(|group| group.leader.is_some() && group.members.voters.len() == 3));
        }
    }
    for name in ["", "a/b", "-a"] {
        let answer = world.ask_groups(&make(name));
        assert!(matches!(answer, Ok(AdminAnswer::Failed(_))), "{name}: {answer:?}");
    }
}

#[test]
fn who_asks_a_group_that_is_gone_is_told() {
    let mut world = Members::new(7, 3, None);
    world.make_groups(&["a"]).expect("it is made");
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader_of(GroupId(1)).expect("one leads");
    assert_eq!(world.ask_groups(&KvGroupsVerb::Drop { name: "a".into() }), Ok(AdminAnswer::Done));
    world.pass(20).expect("nothing goes wrong");
    assert_eq!(world.leader_of(GroupId(1)), None, "it is hosted nowhere");
    let answer = world.ask_of(leader, GroupId(1)).expect("an answer");
    assert_eq!(answer, KvAnswer::Failed(KvError::NoGroup(GroupId(1))));
}

/// A world of three whose group `a` sleeps everywhere, and the server that leads it.
fn asleep() -> (Members, usize) {
    let mut world = Members::new(9, 3, None);
    world.make_groups(&["a"]).expect("it is made");
    for _ in 0..40 {
        world.pass(10).expect("nothing goes wrong");
        if (0..3).all(|index| list(&mut world, index)[0].is_asleep) {
            let leader = world.leader_of(GroupId(1)).expect("one leads");
            return (world, leader);
        }
    }
    panic!("it never sleeps");
}

#[test]
fn a_group_sleeps_and_says_nothing_until_it_is_asked() {
    let (mut world, leader) = asleep();
    world.said_of.clear();
    world.pass(100).expect("nothing goes wrong");
    assert_eq!(world.said_of.get(&GroupId(1)), None, "nobody said anything in it");
    world.ask_for(GroupId(1));
    world.pass(20).expect("nothing goes wrong");
    assert!(world.said_of.contains_key(&GroupId(1)));
    assert_eq!(world.leader_of(GroupId(1)), Some(leader), "nobody stood for election");
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn a_sleeping_group_whose_leader_dies_has_another() {
    let (mut world, leader) = asleep();
    world.cut_off(&[leader]);
    world.pass(100).expect("nothing goes wrong");
    assert!(world.leader_of(GroupId(1)).is_some_and(|other| other != leader));
    assert!(!list(&mut world, leader)[0].is_asleep, "it hears no majority, and leads no more");
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn a_server_that_crashes_when_a_group_has_just_begun_starts_again() {
    let mut world = Members::new(11_639_190_755_172_881_565, 2, None);
    assert_eq!(run(&mut world, 43), Ok(()));
}

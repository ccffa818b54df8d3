//! Several groups over one log: each keeps what the root group keeps, whatever happens to all of them at once, and they are
//! made and dropped while others go on.

use crate::support::members::{Effort, Members, Violation};
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupStatus, KvGroupVerb, KvGroupsVerb, RoleStatus};
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

/// After a blackout a group that nobody leads yet has not applied what was answered: it is not settled.
#[test]
fn what_was_answered_is_there_once_somebody_leads_again() {
    assert_eq!(run(&mut Members::new(2_973_368_927_670_210_106, 2, None), 382), Ok(()));
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

/// Nobody tells of room while the group sleeps: what was known when it fell asleep must not keep it shut.
#[test]
fn a_group_that_fell_asleep_while_disks_were_full_takes_commands_once_they_are_not() {
    let (mut world, leader) = asleep();
    assert_eq!(world.set_at_once(leader, GroupId(1), 1), None);
    world.pass(5).expect("nothing goes wrong");
    assert!((0..3).all(|index| !list(&mut world, index)[0].is_asleep));
    (0..3).filter(|index| *index != leader).for_each(|index| world.fill(index));
    // Whoever leads the root group has the others' logs meet the full disks, while the group is awake.
    let is_full = |world: &mut Members, index: usize| matches!(world.status(index), Ok(RoleStatus::KvMember { trouble: Some(why), .. }) if why.contains("full"));
    for sequence in 1.. {
        if (0..3).all(|index| index == leader || is_full(&mut world, index)) {
            break;
        }
        assert!(sequence < 100, "the disks don't fill");
        (0..3).for_each(|index| drop(world.set_at_once(index, GroupId::ROOT, sequence)));
        world.pass(1).expect("nothing goes wrong");
    }
    let sleeps = |world: &mut Members| {
        world.pass(10).expect("nothing goes wrong");
        (0..3).all(|index| list(world, index)[0].is_asleep)
    };
    assert!((0..40).any(|_| sleeps(&mut world)), "it never sleeps");
    world.make_room();
    world.pass(60).expect("nothing goes wrong");
    assert_eq!(world.set_at_once(leader, GroupId(1), 2), None, "it is taken");
    assert_eq!(world.settle(), Ok(()));
}

/// Hands a group's lead to a server.
fn hand_over(world: &mut Members, name: &str, to: usize) {
    let to = world.member(to);
    assert_eq!(world.ask_group_of(name, KvGroupVerb::Transfer { to }), Ok(AdminAnswer::Done));
}

#[test]
fn a_group_is_asked_for_what_the_root_group_is() {
    let mut world = Members::new(11, 3, None);
    world.make_groups(&["a"]).expect("it is made");
    world.pass(60).expect("nothing goes wrong");
    for index in [0, 2, 1] {
        hand_over(&mut world, "a", index);
        assert_eq!(world.leader_of(GroupId(1)), Some(index));
        let status = world.ask_admin(index, AdminBody::KvStatusOf { name: "a".into() }).expect("asked");
        world.pass(2).expect("nothing goes wrong");
        let Some(AdminAnswer::Status(RoleStatus::KvMember { me, leader, members, .. })) =
            world.answer(status)
        else {
            panic!("{:?}", world.answer(status))
        };
        assert_eq!((*leader, members.voters.len()), (Some(*me), 3));
    }
    let answer = world.ask_group_of("a", KvGroupVerb::Snapshot);
    assert_eq!(answer, Ok(AdminAnswer::Done), "a checkpoint is of all groups");
    let answer = world.ask_group_of("a", KvGroupVerb::Fingerprint { at: None });
    assert!(matches!(answer, Ok(AdminAnswer::Fingerprint(_))), "{answer:?}");
    let verb = KvGroupVerb::Remove { member: world.member(2) };
    let answer = world.ask_group_of("a", verb);
    assert!(matches!(&answer, Ok(AdminAnswer::Failed(why)) if why.contains("root group has")), "{answer:?}");
    let answer = world.ask_group_of("b", KvGroupVerb::Snapshot);
    assert!(matches!(&answer, Ok(AdminAnswer::Failed(why)) if why.contains("no group 'b'")), "{answer:?}");
}

/// Found by the simulator: seed 271, where the disk of a removed member was replaced while a group counted on it.
#[test]
fn a_removal_is_done_once_no_group_counts_on_the_member() {
    for seed in 0..6 {
        let mut world = Members::new(seed, 3, None);
        world.make_groups(&["a"]).expect("it is made");
        world.pass(60).expect("nothing goes wrong");
        let root = world.leader().expect("one leads");
        // It leads the group, and hears nothing more of the root group once it is removed.
        let gone = (root + 1 + seed as usize % 2) % 3;
        hand_over(&mut world, "a", gone);
        let member = world.member(gone);
        assert_eq!(world.ask_group(KvGroupVerb::Remove { member }), Ok(AdminAnswer::Done), "{seed}");
        let leader = world.leader().expect("one leads");
        let members = &list(&mut world, leader)[0].members;
        assert!(!members.contains(member), "{seed}: {members:?}");
        world.wipe(gone, true);
        world.cut_off(&[gone]);
        world.pass(100).expect("nothing goes wrong");
        assert!(world.leader_of(GroupId(1)).is_some(), "{seed}");
    }
}

/// Found by the simulator, seed 19: a member died after it had written that the group begins, and nothing else.
#[test]
fn a_group_that_was_made_as_its_servers_died_is_there() {
    for seed in 0..40 {
        let mut world = Members::new(seed, 1, None);
        world.pass(5).expect("nothing goes wrong");
        let verb = KvGroupsVerb::Make { name: "a".into() };
        world.ask_admin(0, AdminBody::KvGroups(verb)).expect("asked");
        for _ in 0..seed {
            world.happen_calmly().expect("nothing goes wrong");
        }
        world.restart(0);
        world.pass(60).expect("it starts");
        assert_eq!(world.ask_groups(&KvGroupsVerb::Make { name: "a".into() }), Ok(AdminAnswer::Done));
    }
}

/// What three servers do in a minute that host so many groups, all of which are asleep.
fn idle_minute(groups: usize) -> Effort {
    let mut world = Members::new(5, 3, None);
    world.is_calm = true;
    for number in 0..groups {
        let verb = KvGroupsVerb::Make { name: format!("g{number}") };
        assert_eq!(world.ask_groups(&verb), Ok(AdminAnswer::Done));
    }
    world.pass_seconds(20).expect("nothing goes wrong");
    assert!((0..3).all(|index| list(&mut world, index).iter().all(|group| group.is_asleep)));
    (world.effort, world.said_of) = (Effort::default(), Default::default());
    world.pass_seconds(60).expect("nothing goes wrong");
    assert!(world.said_of.is_empty(), "nobody says anything in any of them: {:?}", world.said_of);
    world.effort
}

#[test]
fn three_hundred_groups_that_are_idle_cost_what_one_does() {
    let (one, many) = (idle_minute(1), idle_minute(300));
    assert_eq!((one.disk, many.disk), (0, 0), "no disk is asked for anything");
    // The root group's heartbeats, and that servers say that they live.
    assert!(many.messages.abs_diff(one.messages) < 300, "{one:?} {many:?}");
    assert!(many.events.abs_diff(one.events) < 600, "{one:?} {many:?}");
    assert!(many.messages < 60 * 120, "{many:?}");
}

#[test]
fn a_server_that_crashes_when_a_group_has_just_begun_starts_again() {
    let mut world = Members::new(11_639_190_755_172_881_565, 2, None);
    assert_eq!(run(&mut world, 43), Ok(()));
}

/// Whoever asks a group that is dropped hears so; nothing else goes wrong.
fn but_for_the_group(ended: Result<(), Violation>) {
    assert!(ended.as_ref().err().is_none_or(|why| why.contains("NoGroup")), "{ended:?}");
}

#[test]
fn a_group_that_is_dropped_in_the_middle_of_a_checkpoint_keeps_nobody_from_starting() {
    for seed in 0..200 {
        let mut world = Members::new(seed, 3, None);
        world.pass(60).expect("nothing goes wrong");
        world.make_groups(&["a"]).expect("nothing goes wrong");
        for _ in 0..6 {
            world.ask_for(GroupId(1));
            world.pass(2).expect("nothing goes wrong");
        }
        let leader = world.leader().expect("one leads");
        let drop = AdminBody::KvGroups(KvGroupsVerb::Drop { name: "a".into() });
        world.ask_admin(leader, drop).expect("asked");
        for step in 0..60 {
            if step == seed % 40 {
                for index in 0..3 {
                    world.ask_admin(index, AdminBody::KvGroup(KvGroupVerb::Snapshot)).expect("asked");
                }
            }
            but_for_the_group(world.happen_calmly());
        }
        (0..3).for_each(|index| world.restart(index));
        but_for_the_group(world.pass(20));
    }
}

//! Members of programs of different levels: what newer ones say waits until all know it, and no older one is taken in.

use crate::support::members::Members;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, RoleStatus};
use glossary::GroupId;
use step::Bug;

fn levels(world: &Members, servers: usize) -> Vec<Option<u32>> {
    (0..servers).map(|index| world.level_at(index)).collect()
}

fn trouble(world: &mut Members, index: usize) -> Option<String> {
    match world.status(index) {
        Ok(RoleStatus::KvMember { trouble, .. } | RoleStatus::Kv { trouble, .. }) => trouble,
        other => panic!("{other:?}"),
    }
}

/// Under crashes, cuts and full disks, one after another. The world checks every message against who gets it.
#[test]
fn the_level_rises_when_the_last_member_knows_it_and_nobody_is_told_before_what_it_lacks() {
    let mut installed = 0;
    for seed in 0..8 {
        let mut world = Members::at_levels(seed, &[0, 0, 0], 3);
        for index in [2, 0, 1] {
            for _ in 0..1_500 {
                world.happen().expect("nothing goes wrong");
            }
            let all = levels(&world, 3);
            assert!(all.iter().flatten().all(|level| *level == 0), "{seed}: {all:?} before all know it");
            assert_eq!(world.settle(), Ok(()), "{seed}");
            world.replace_program(index, 1);
        }
        world.pass(100).expect("nothing goes wrong");
        assert_eq!(levels(&world, 3), [Some(1); 3], "{seed}");
        for _ in 0..1_500 {
            world.happen().expect("nothing goes wrong");
        }
        assert_eq!(world.settle(), Ok(()), "{seed}");
        installed += world.installed;
    }
    assert!(installed > 2, "members of different levels give each other states: {installed}");
}

#[test]
fn a_member_may_go_back_as_long_as_the_group_has_the_older_level_and_no_longer() {
    let mut world = Members::at_levels(1, &[1, 1, 0], 3);
    world.pass(100).expect("nothing goes wrong");
    for index in [0, 1] {
        world.replace_program(index, 0);
        world.pass(100).expect("nothing goes wrong");
    }
    // What they said of themselves before is said no more.
    world.replace_program(2, 1);
    world.pass(100).expect("nothing goes wrong");
    assert_eq!(levels(&world, 3), [Some(0); 3]);
    for index in [0, 1] {
        world.replace_program(index, 1);
        world.pass(100).expect("nothing goes wrong");
    }
    assert_eq!(levels(&world, 3), [Some(1); 3]);
    world.replace_program(0, 0);
    let why = world.pass(100).expect_err("it stops");
    assert!(
        why.contains("has level 1, and this server is held at level 0") && why.contains("let this one"),
        "{why}"
    );
}

/// A level that no program of today has: to the member it is as if its own program were the older one.
#[test]
fn a_program_that_is_older_than_the_group_stops_and_says_which_to_start() {
    let mut world = Members::at_levels(1, &[2, 2, 2], 3);
    world.pass(100).expect("nothing goes wrong");
    assert_eq!(levels(&world, 3), [Some(2); 3]);
    world.replace_program(1, 1);
    let why = world.pass(100).expect_err("it stops");
    assert!(
        why.contains("level 2, and this program knows up to 1") && why.ends_with("start that program again"),
        "{why}"
    );
}

#[test]
fn no_older_program_is_taken_in() {
    let mut world = Members::at_levels(3, &[2, 2, 2, 1, 0], 3);
    world.pass(100).expect("nothing goes wrong");
    let add = |world: &Members, index| KvGroupVerb::Add { member: world.member(index) };
    // One that knows levels says which it knows.
    let verb = add(&world, 3);
    let Ok(AdminAnswer::Failed(why)) = world.ask_group(verb) else { panic!("it is refused") };
    assert!(
        why.contains("server 4 knows level 1, and the KV's group has level 2: upgrade that server"),
        "{why}"
    );
    // One that does not gives no answer.
    let verb = add(&world, 4);
    for _ in 0..10 {
        let leader = world.leader().expect("one leads");
        let request = world.ask_admin(leader, AdminBody::KvGroup(verb)).expect("asked");
        world.pass(5).expect("nothing goes wrong");
        let Some(AdminAnswer::NotYet(why)) = world.answer(request) else {
            panic!("{:?}", world.answer(request))
        };
        assert!(
            why.contains("server 5 was asked") && why.contains("program is too old: upgrade it"),
            "{why}"
        );
    }
    assert!(world.counter(4, "unknown").expect("it answers") > 0, "it was asked, and did not understand");
    for index in [3, 4] {
        world.replace_program(index, 2);
        let verb = add(&world, index);
        assert_eq!(world.ask_group(verb), Ok(AdminAnswer::Done));
    }
    assert_eq!(levels(&world, 5), [Some(2); 5]);
    assert_eq!(world.settle(), Ok(()));
}

/// Alone a leader has no ticks, and yet asks.
/// A server that was removed leads a group, and doesn't hear of its removal: others ask it for the lead only where its program
/// knows what they say, which the group's level alone doesn't tell of one that has left. The world checks what is said.
#[test]
fn who_has_left_is_not_asked_for_a_lead_in_words_that_it_lacks() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..6 {
        let mut world = Members::at_levels(seed, &[0, 0, 0], 3);
        world.make_groups(&["a"]).expect("it is made");
        world.pass(60).expect("nothing goes wrong");
        let root = world.leader().expect("one leads");
        let gone = (root + 1 + seed as usize % 2) % 3;
        let to = world.member(gone);
        assert_eq!(world.ask_group_of("a", KvGroupVerb::Transfer { to }), Ok(AdminAnswer::Done));
        world.deaf.insert(gone);
        let remove = AdminBody::KvGroup(KvGroupVerb::Remove { member: to });
        world.ask_admin(root, remove).expect("asked");
        world.pass(100).expect("nobody is told what it can't know");
        before += u32::from(world.leader_of(GroupId(1)) == Some(gone));
        for index in (0..3).filter(|index| *index != gone) {
            world.replace_program(index, 1);
            world.pass(60).expect("nobody is told what it can't know");
        }
        let others = (0..3).filter(|index| *index != gone).map(|index| world.level_at(index));
        let is_newer = others.collect::<Vec<_>>() == [Some(1); 2];
        world.pass(100).expect("nobody is told what it can't know");
        after += u32::from(is_newer && world.leader_of(GroupId(1)) == Some(gone));
    }
    assert!(before > 1 && after > 0, "{before} and {after} servers led a group that they had left unheard");
}

#[test]
fn one_that_is_left_alone_takes_in_others_of_its_level() {
    let mut world = Members::at_levels(4, &[1, 1], 2);
    world.pass(100).expect("nothing goes wrong");
    assert_eq!(levels(&world, 2), [Some(1); 2]);
    let leader = world.leader().expect("one leads");
    let member = world.member(1 - leader);
    assert_eq!(world.ask_group(KvGroupVerb::Remove { member }), Ok(AdminAnswer::Done));
    world.wipe(1 - leader, true);
    world.pass(20).expect("nothing goes wrong");
    let member = world.member(1 - leader);
    assert_eq!(world.ask_group(KvGroupVerb::Add { member }), Ok(AdminAnswer::Done));
    assert_eq!(levels(&world, 2), [Some(1); 2]);
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn a_leader_that_raises_the_level_early_stops_who_lacks_it() {
    let mut world = Members::at_levels_with(5, &[1, 1, 0], Bug::KvRaisesEarly);
    let why = world.pass(300).expect_err("a member stops");
    assert!(why.contains("held at level 0"), "{why}");
}

/// Whoever gives a state must give one that can be read; where it doesn't, that is said, and another may.
#[test]
fn rows_that_make_no_sense_are_told_of_until_there_are_others() {
    let mut world = Members::new(6, 3, None);
    world.pass(60).expect("nothing goes wrong");
    for _ in 0..400 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    world.pass(60).expect("nothing goes wrong");
    world.spoils_rows = true;
    let leader = world.leader().expect("one leads");
    let index = (leader + 1) % 3;
    world.wipe(index, true);
    let gone = KvGroupVerb::Remove { member: consensus::Member(index as u64 + 1) };
    assert_eq!(world.ask_group(gone), Ok(AdminAnswer::Done));
    let member = world.member(index);
    assert_eq!(world.ask_group(KvGroupVerb::AddLearner { member }), Ok(AdminAnswer::Done));
    world.pass(200).expect("nothing goes wrong");
    let told = trouble(&mut world, index);
    assert!(told.as_ref().is_some_and(|why| why.contains("rows that this program can't read")), "{told:?}");
    world.spoils_rows = false;
    world.pass(300).expect("nothing goes wrong");
    assert_eq!(trouble(&mut world, index), None);
    assert_eq!(world.settle(), Ok(()));
}

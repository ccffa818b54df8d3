//! States that are damaged on the disk: another member gives them anew, or who is alone stops and says why.

use crate::support::members::Members;
use consensus::Term;
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, KvGroupsVerb, RoleStatus};

/// A group with a table at every member, and log behind it.
fn group(seed: u64, servers: usize) -> Members {
    let mut world = Members::new(seed, servers, None);
    world.pass(60).expect("nothing goes wrong");
    world.make_groups(&["abm-1"]).expect("nothing goes wrong");
    for _ in 0..300 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    for index in 0..servers {
        let request = world.ask_admin(index, AdminBody::KvGroup(KvGroupVerb::Snapshot)).expect("asked");
        world.pass(40).expect("nothing goes wrong");
        assert_eq!(world.answer(request), Some(&AdminAnswer::Done));
    }
    for _ in 0..200 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    world
}

#[test]
fn a_state_is_given_anew_whatever_of_the_table_is_damaged() {
    let mut healed = 0;
    for seed in 0..12 {
        let mut world = group(seed, 3);
        let damage = [Some(1), Some(1), Some(5), None][seed as usize % 4];
        let index = seed as usize % 3;
        world.rot_table(index, damage);
        for _ in 0..300 {
            world.happen_calmly().expect("nothing goes wrong");
        }
        world.pass(300).expect("nothing goes wrong");
        // Who is far behind is given a state by its leader anyway.
        let [count, installed] =
            ["healed", "installed"].map(|name| world.counter(index, name).expect("it answers"));
        assert!(damage.is_some() || count + installed == 2, "{seed}: both groups had their states there");
        healed += count;
        assert_eq!(world.settle(), Ok(()), "{seed}");
        // What it was given is in its table again, whichever of its groups was healed while the checkpoint of another was
        // under way.
        world.rot_table(index, Some(0));
        world.pass(300).expect("nothing goes wrong");
        assert_eq!(world.counter(index, "healed"), Ok(0), "{seed}");
        assert_eq!(world.settle(), Ok(()), "{seed}");
    }
    assert!(healed > 8, "{healed}");
}

#[test]
fn who_is_alone_stops_and_says_why() {
    let mut stopped = 0;
    for seed in 0..8 {
        let mut world = group(seed, 1);
        world.rot_table(0, [Some(3), None][seed as usize % 2]);
        let ended = world.pass(60);
        let why = ended.err().unwrap_or_default();
        stopped +=
            usize::from(why.contains("the KV's table is damaged") && why.contains("nothing was changed"));
    }
    assert!(stopped >= 5, "{stopped}");
}

/// The start that finds a table of which nothing can be read deletes it. Found by the simulator, seed 278.
#[test]
fn a_start_that_is_cut_off_after_it_deleted_the_table_is_healed_all_the_same() {
    let mut healed = 0;
    for seed in 0..4 {
        let mut world = group(seed, 3);
        world.cut_off(&[0]);
        world.rot_table(0, None);
        world.pass(3).expect("nothing goes wrong");
        world.restart(0);
        world.pass(20).expect("it starts");
        world.cut_off(&[]);
        world.pass(300).expect("nothing goes wrong");
        let given = ["healed", "installed"].map(|name| world.counter(0, name).expect("it answers"));
        assert!(given.iter().sum::<u64>() >= 2, "{seed}: {given:?}");
        healed += given[0];
        assert_eq!(world.settle(), Ok(()), "{seed}");
    }
    assert!(healed >= 4, "{healed}");
}

#[test]
fn who_waits_for_its_states_makes_checkpoints_that_lose_nothing() {
    for seed in 0..3 {
        let mut world = group(seed, 3);
        for _ in 0..200 {
            world.happen_calmly().expect("nothing goes wrong");
        }
        world.cut_off(&[1]);
        world.rot_table(1, [Some(5), None][seed as usize % 2]);
        world.pass(5).expect("nothing goes wrong");
        for _ in 0..2 {
            let request = world.ask_admin(1, AdminBody::KvGroup(KvGroupVerb::Snapshot)).expect("asked");
            world.pass(20).expect("nothing goes wrong");
            assert_eq!(world.answer(request), Some(&AdminAnswer::Done), "{seed}");
            world.restart(1);
            world.pass(5).expect("nothing goes wrong");
        }
        world.cut_off(&[]);
        world.pass(300).expect("nothing goes wrong");
        assert_eq!(world.settle(), Ok(()), "{seed}");
    }
}

/// Members of which the one that leads gets entries that others lack, and then finds its table damaged. Where told so, it
/// makes a checkpoint before, which takes them out of its log.
fn ahead_and_damaged(seed: u64, servers: usize, makes_checkpoint: bool) -> (Members, usize) {
    let mut world = group(seed, servers);
    world.is_calm = true;
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    world.cut_off(&[(leader + 1) % servers]);
    (0..6).for_each(|number| world.set(leader, b"ahead", vec![number]).expect("it is asked"));
    world.pass(3).expect("nothing goes wrong");
    if makes_checkpoint {
        let request = world.ask_admin(leader, AdminBody::KvGroup(KvGroupVerb::Snapshot)).expect("asked");
        world.pass(40).expect("nothing goes wrong");
        assert_eq!(world.answer(request), Some(&AdminAnswer::Done), "{seed}");
    }
    world.rot_table(leader, [Some(40), None][seed as usize % 2]);
    (world, leader)
}

/// Its log is the longer one, so nobody else can be elected, and it can't answer.
#[test]
fn who_alone_has_the_last_entries_leads_without_a_state_until_another_can() {
    for seed in 0..4 {
        let (mut world, damaged) = ahead_and_damaged(seed, 2, false);
        // Nobody gives it a state meanwhile: it has nothing but its log.
        world.loses_pages = true;
        world.cut_off(&[]);
        world.pass(150).expect("nothing goes wrong");
        assert_eq!(world.leader(), Some(1 - damaged), "{seed}");
        world.loses_pages = false;
        world.pass(100).expect("nothing goes wrong");
        assert!(world.counter(damaged, "healed").expect("it answers") > 0, "{seed}");
        assert_eq!(world.settle(), Ok(()), "{seed}");
    }
}

/// Of three one is away for long, and the one that is left beside the damaged one lacks entries.
#[test]
fn entries_of_a_damaged_member_reach_who_lacks_them() {
    for (seed, makes_checkpoint) in [(0, false), (1, false), (2, true), (3, true)] {
        let (mut world, damaged) = ahead_and_damaged(seed, 3, makes_checkpoint);
        let away = (damaged + 2) % 3;
        world.cut_off(&[away]);
        world.pass(150).expect("nothing goes wrong");
        // What its log has no more can't be had from one that has no state: both wait for the third.
        assert_eq!(world.leader().is_none(), makes_checkpoint, "{seed}");
        world.cut_off(&[]);
        world.pass(100).expect("nothing goes wrong");
        assert!(world.counter(damaged, "healed").expect("it answers") > 0, "{seed}");
        assert_eq!(world.settle(), Ok(()), "{seed}");
    }
}

#[test]
fn who_leads_without_a_state_makes_no_group_and_names_none() {
    let (mut world, damaged) = ahead_and_damaged(1, 2, false);
    world.loses_pages = true;
    world.pass(5).expect("nothing goes wrong");
    for verb in [
        AdminBody::KvGroups(KvGroupsVerb::List),
        AdminBody::KvGroups(KvGroupsVerb::Drop { name: "abm-1".into() }),
        AdminBody::KvStatusOf { name: "abm-1".into() },
    ] {
        let request = world.ask_admin(damaged, verb.clone()).expect("asked");
        world.pass(2).expect("nothing goes wrong");
        let answer = world.answer(request);
        let is_right = |why: &str| why.contains("the root group is damaged") && why.contains("ask another");
        assert!(matches!(answer, Some(AdminAnswer::NotYet(why)) if is_right(why)), "{verb:?}: {answer:?}");
    }
}

/// It could not ask for votes, and its new term would depose the leader all the same.
#[test]
fn who_has_no_state_takes_no_leadership_that_is_handed_to_it() {
    let mut world = group(0, 3);
    world.is_calm = true;
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    let damaged = (leader + 1) % 3;
    world.loses_pages = true;
    world.rot_table(damaged, None);
    world.pass(20).expect("nothing goes wrong");
    let term = term(&mut world, leader);
    let to = world.member(damaged);
    world.ask_admin(leader, AdminBody::KvGroup(KvGroupVerb::Transfer { to })).expect("asked");
    world.pass(60).expect("nothing goes wrong");
    assert_eq!((world.leader(), self::term(&mut world, leader)), (Some(leader), term));
    world.loses_pages = false;
    assert_eq!(world.settle(), Ok(()));
}

fn term(world: &mut Members, index: usize) -> Term {
    match world.status(index) {
        Ok(RoleStatus::KvMember { term, .. }) => term,
        other => panic!("{other:?}"),
    }
}

//! Groups that the cluster counts on are made by whoever leads, before others, and nobody drops them.

use crate::support::members::Members;
use formats::kv_groups::{WANTED, wanted_key};
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupsVerb};

fn names(world: &mut Members, index: usize) -> Vec<(String, u32)> {
    let request = world.ask_admin(index, AdminBody::KvGroups(KvGroupsVerb::List)).expect("asked");
    world.pass(2).expect("nothing goes wrong");
    match world.answer(request) {
        Some(AdminAnswer::KvGroups(groups)) => {
            groups.iter().map(|group| (group.name.clone(), group.group.0)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn want(world: &mut Members, index: usize, name: &str, sequence: u64) {
    world.set_in_root(index, (wanted_key(name), WANTED.to_vec()), sequence).expect("nothing goes wrong");
}

/// A world with somebody who leads.
fn led(seed: u64, count: usize) -> (Members, usize) {
    let mut world = Members::new(seed, count, None);
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    (world, leader)
}

#[test]
fn what_the_cluster_counts_on_is_made_and_not_dropped() {
    for count in [1, 3] {
        let (mut world, leader) = led(7, count);
        want(&mut world, leader, "b", 1);
        world.pass(60).expect("nothing goes wrong");
        want(&mut world, leader, "a", 2);
        world.pass(60).expect("nothing goes wrong");
        for index in 0..count {
            assert_eq!(names(&mut world, index), [("a".to_string(), 2), ("b".to_string(), 1)]);
        }
        let drop = KvGroupsVerb::Drop { name: "a".into() };
        let answer = world.ask_groups(&drop);
        assert!(
            matches!(&answer, Ok(AdminAnswer::Failed(why)) if why.contains("counts on the group 'a'")),
            "{answer:?}"
        );
        assert_eq!(names(&mut world, 0).len(), 2);
    }
}

#[test]
fn it_is_made_before_what_an_operator_wants() {
    for (seed, count) in (0..10).flat_map(|seed| [(seed, 1), (seed, 3)]) {
        let (mut world, leader) = led(seed, count);
        want(&mut world, leader, "namespaces", 1);
        let make = KvGroupsVerb::Make { name: "another".into() };
        assert_eq!(world.ask_groups(&make), Ok(AdminAnswer::Done));
        let expected = [("another".to_string(), 2), ("namespaces".to_string(), 1)];
        assert_eq!(names(&mut world, leader), expected, "{seed}");
    }
}

/// Whoever leads next makes it where the one that was told died: at any moment.
#[test]
fn it_is_made_though_the_leader_dies() {
    for seed in 0..60 {
        for count in [1, 3] {
            let (mut world, leader) = led(seed, count);
            want(&mut world, leader, "namespaces", 1);
            for _ in 0..seed {
                world.happen_calmly().expect("nothing goes wrong");
            }
            world.restart(leader);
            world.pass(100).expect("somebody leads");
            // It may have died before anybody had the wish.
            let leader = world.leader().expect("one leads");
            want(&mut world, leader, "namespaces", 1);
            world.pass(60).expect("nothing goes wrong");
            assert_eq!(names(&mut world, leader), [("namespaces".to_string(), 1)], "{seed}");
        }
    }
}

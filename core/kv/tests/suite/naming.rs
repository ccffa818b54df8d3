//! The map says which servers have members, and costs nothing while none come or go.

use crate::support::members::Members;
use consensus::LogIndex;
use formats::kv_members::{MEMBERS_KEY, decode};
use formats::message::admin::{AdminAnswer, KvGroupVerb};
use glossary::GroupId;

impl Members {
    /// How far a server's member is.
    fn applied_at(&self, index: usize) -> LogIndex {
        self.pairs_at(index, GroupId::ROOT).expect("it serves").0
    }

    /// The servers that a server's map names; none where it names none.
    fn named_at(&self, index: usize) -> Option<Vec<u16>> {
        let (_, mut pairs) = self.pairs_at(index, GroupId::ROOT)?;
        let value = pairs.find(|(key, _)| *key == MEMBERS_KEY)?.1;
        Some(decode(value).expect("a list").into_iter().map(|server| server.0).collect())
    }

    fn change(&mut self, verb: KvGroupVerb) {
        assert_eq!(self.ask_group(verb), Ok(AdminAnswer::Done));
    }
}

#[test]
fn the_first_of_a_group_are_named_and_then_nothing_is_written() {
    let mut world = Members::new(5, 3, None);
    world.is_calm = true;
    world.pass(100).expect("nothing goes wrong");
    for index in 0..3 {
        assert_eq!(world.named_at(index), Some(vec![1, 2, 3]));
    }
    let applied = world.applied_at(0);
    world.pass(100).expect("nothing goes wrong");
    assert_eq!(world.applied_at(0), applied);
}

#[test]
fn one_that_is_alone_names_nobody_until_others_join() {
    let mut world = Members::with_spares(5, 3, 1, None);
    world.pass(60).expect("nothing goes wrong");
    assert_eq!(world.named_at(0), None);
    world.change(KvGroupVerb::AddLearner { member: world.member(1) });
    world.pass(60).expect("nothing goes wrong");
    assert_eq!(world.named_at(0), Some(vec![1, 2]), "learners can be asked too");
    world.change(KvGroupVerb::Add { member: world.member(2) });
    world.pass(60).expect("nothing goes wrong");
    assert_eq!(world.named_at(2), Some(vec![1, 2, 3]));
}

#[test]
fn when_all_are_replaced_those_who_remain_name_themselves() {
    let mut world = Members::with_spares(5, 6, 3, None);
    for old in 0..3 {
        world.change(KvGroupVerb::Add { member: world.member(old + 3) });
        if world.leader() == Some(old) {
            world.change(KvGroupVerb::Transfer { to: world.member(old + 3) });
        }
        world.change(KvGroupVerb::Remove { member: world.member(old) });
    }
    world.pass(100).expect("nothing goes wrong");
    for index in 3..6 {
        assert_eq!(world.named_at(index), Some(vec![4, 5, 6]));
    }
}

/// An older leader, or somebody with all rights, left what is wrong.
#[test]
fn what_is_wrong_is_put_right() {
    let mut world = Members::new(5, 3, None);
    world.pass(100).expect("nothing goes wrong");
    for wrong in [b"\x01\x07\x00".to_vec(), Vec::new(), b"\x09".to_vec()] {
        let leader = world.leader().expect("one leads");
        world.set(leader, MEMBERS_KEY, wrong).expect("nothing goes wrong");
        world.pass(60).expect("nothing goes wrong");
        assert_eq!(world.named_at(0), Some(vec![1, 2, 3]));
    }
}

/// Groups beside the root group have the same members, who are asked for in the root group.
#[test]
fn other_groups_name_nobody() {
    let mut world = Members::new(5, 3, None);
    world.make_groups(&["one"]).expect("nothing goes wrong");
    world.pass(100).expect("nothing goes wrong");
    let (_, mut pairs) = world.pairs_at(0, GroupId(1)).expect("it serves");
    assert!(!pairs.any(|(key, _)| key == MEMBERS_KEY));
}

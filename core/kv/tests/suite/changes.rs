//! Changes of the group by verbs: what they do, what they answer, and what becomes of members that go or come back.

use crate::support::members::Members;
use consensus::Member;
use formats::kv_store::{PREFERRED_KEY, encode_preferred};
use formats::message::admin::{AdminAnswer, AdminBody, KvGroupVerb, RoleStatus};
use formats::message::kv::{KvAnswer, KvError};
use formats::message::member::server_of;
use glossary::GroupId;

fn group(servers: usize, voters: usize) -> Members {
    Members::with_spares(5, servers, voters, None)
}

fn failed(answer: AdminAnswer) -> String {
    match answer {
        AdminAnswer::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Voters and learners, as a server's member knows them.
fn members(world: &mut Members, index: usize) -> (Vec<u64>, Vec<u64>) {
    match world.status(index) {
        Ok(RoleStatus::KvMember { members, .. }) => {
            let numbers =
                |set: &std::collections::BTreeSet<Member>| set.iter().map(|member| member.0).collect();
            (numbers(&members.voters), numbers(&members.learners))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_grows_to_three_and_the_newcomers_have_everything_and_a_vote() {
    let mut world = group(3, 1);
    for _ in 0..300 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    for index in [1, 2] {
        let member = world.member(index);
        assert_eq!(world.ask_group(KvGroupVerb::Add { member }), Ok(AdminAnswer::Done));
    }
    // Word that it has the state may be lost; then it is offered again.
    world.pass(250).expect("nothing goes wrong");
    assert_eq!(members(&mut world, 2), (vec![1, 2, 3], vec![]));
    // The first can be done without now.
    let leader = world.leader().expect("one leads");
    world.cut_off(&[leader]);
    world.pass(100).expect("nothing goes wrong");
    assert!(world.leader().is_some_and(|other| other != leader));
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn a_learner_stays_one_unless_it_is_added() {
    let mut world = group(4, 3);
    let member = world.member(3);
    assert_eq!(world.ask_group(KvGroupVerb::AddLearner { member }), Ok(AdminAnswer::Done));
    world.pass(60).expect("nothing goes wrong");
    assert_eq!(members(&mut world, 0), (vec![1, 2, 3], vec![4]));
    assert_eq!(world.ask_group(KvGroupVerb::Add { member }), Ok(AdminAnswer::Done));
    assert_eq!(members(&mut world, 3), (vec![1, 2, 3, 4], vec![]));
    let why = failed(world.ask_group(KvGroupVerb::AddLearner { member }).expect("an answer"));
    assert!(why.contains("has a vote"), "{why}");
}

#[test]
fn what_is_wrong_is_said() {
    let mut world = group(2, 1);
    let ask = |world: &mut Members, verb| failed(world.ask_group(verb).expect("an answer"));
    let why = ask(&mut world, KvGroupVerb::Remove { member: Member(1) });
    assert!(why.contains("only voter"), "{why}");
    let gone = world.ask_group(KvGroupVerb::Remove { member: Member(9) });
    assert_eq!(gone, Ok(AdminAnswer::Done), "who asks again need not know that it is so");
    let why = ask(&mut world, KvGroupVerb::Transfer { to: Member(2) });
    assert!(why.contains("not a voter"), "{why}");
    let why = ask(&mut world, KvGroupVerb::Add { member: Member(0x1_0001) });
    assert!(why.contains("server 1 is in the group as member 1"), "{why}");
    let request =
        world.ask_admin(1, AdminBody::KvGroup(KvGroupVerb::Add { member: Member(2) })).expect("asked");
    world.pass(1).expect("nothing goes wrong");
    let Some(AdminAnswer::NotYet(why)) = world.answer(request) else { panic!("{:?}", world.answer(request)) };
    assert!(why.contains("by its leader") && why.contains("not a member"), "{why}");
}

#[test]
fn no_voter_goes_while_the_group_would_need_one_that_has_nothing() {
    let mut world = group(3, 3);
    world.cut_off(&[2]);
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    let verb = KvGroupVerb::Remove { member: world.member(1 - leader) };
    let request = world.ask_admin(leader, AdminBody::KvGroup(verb)).expect("asked");
    world.pass(5).expect("nothing goes wrong");
    let Some(AdminAnswer::NotYet(why)) = world.answer(request) else { panic!("{:?}", world.answer(request)) };
    assert!(why.contains("has nothing of its log yet"), "{why}");
    world.cut_off(&[]);
    assert_eq!(world.ask_group(verb), Ok(AdminAnswer::Done));
}

/// A leader that is to leave hands over first, by itself.
#[test]
fn who_leads_may_leave() {
    for seed in 0..3 {
        let mut world = Members::new(seed, 3, None);
        world.pass(100).expect("nothing goes wrong");
        let leader = world.leader().expect("one leads");
        let verb = KvGroupVerb::Remove { member: world.member(leader) };
        assert_eq!(world.ask_group(verb), Ok(AdminAnswer::Done));
        let next = world.leader().expect("another leads");
        assert_ne!(next, leader);
        assert_eq!(members(&mut world, next).0.len(), 2);
        assert_eq!(world.ask_group(verb), Ok(AdminAnswer::Done), "and may ask again");
        world.pass(200).expect("nothing goes wrong");
        assert!(world.leader().is_some_and(|later| later != leader), "the others go on");
    }
}

#[test]
fn one_that_is_removed_says_so_and_disturbs_nobody() {
    let mut world = group(3, 3);
    world.pass(100).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    let gone = (leader + 1) % 3;
    let member = world.member(gone);
    assert_eq!(world.ask_group(KvGroupVerb::Remove { member }), Ok(AdminAnswer::Done));
    world.pass(200).expect("nothing goes wrong");
    let Ok(RoleStatus::KvMember { term, .. }) = world.status(leader) else { panic!("no status") };
    world.pass(200).expect("nothing goes wrong");
    let Ok(RoleStatus::KvMember { term: later, .. }) = world.status(leader) else { panic!("no status") };
    assert_eq!((world.leader(), term), (Some(leader), later));
    let Ok(RoleStatus::KvMember { trouble, .. }) = world.status(gone) else { panic!("no status") };
    assert!(trouble.is_some_and(|trouble| trouble.contains("removed")));
}

#[test]
fn one_that_lost_its_disk_stops_under_its_old_number_and_joins_under_a_new_one() {
    let mut world = group(3, 3);
    world.pass(60).expect("nothing goes wrong");
    for _ in 0..300 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    world.pass(20).expect("nothing goes wrong");
    let lost = (world.leader().expect("one leads") + 1) % 3;
    world.wipe(lost, false);
    let why = world.pass(60).expect_err("it stops");
    assert!(why.contains("lost what it had written") && why.contains("new number"), "{why}");
    let old = world.member(lost);
    world.wipe(lost, true);
    assert_eq!(world.ask_group(KvGroupVerb::Remove { member: old }), Ok(AdminAnswer::Done));
    let member = world.member(lost);
    assert_eq!(world.ask_group(KvGroupVerb::Add { member }), Ok(AdminAnswer::Done));
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn who_waits_for_a_change_is_answered_when_the_lead_is_lost() {
    let mut world = group(4, 3);
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    world.cut_off(&[leader]);
    let verb = KvGroupVerb::AddLearner { member: Member(4) };
    let request = world.ask_admin(leader, AdminBody::KvGroup(verb)).expect("asked");
    assert_eq!(world.answer(request), None);
    world.pass(100).expect("nothing goes wrong");
    let Some(AdminAnswer::NotYet(why)) = world.answer(request) else { panic!("{:?}", world.answer(request)) };
    assert!(why.contains("ask again"), "{why}");
    world.cut_off(&[]);
    assert_eq!(world.ask_group(verb), Ok(AdminAnswer::Done));
}

#[test]
fn leadership_is_handed_over_and_checkpoints_are_made() {
    let mut world = group(3, 3);
    world.pass(60).expect("nothing goes wrong");
    for to in [2, 0, 1] {
        let to_member = world.member(to);
        assert_eq!(world.ask_group(KvGroupVerb::Transfer { to: to_member }), Ok(AdminAnswer::Done));
        assert_eq!(world.leader(), Some(to));
    }
    assert_eq!(world.ask_group(KvGroupVerb::Snapshot), Ok(AdminAnswer::Done));
}

#[test]
fn a_leader_whose_disk_is_full_hands_over() {
    let mut world = group(3, 3);
    world.pass(60).expect("nothing goes wrong");
    let full = world.leader().expect("one leads");
    world.fill(full);
    for _ in 0..600 {
        world.happen_calmly().expect("nothing goes wrong");
    }
    world.pass(60).expect("nothing goes wrong");
    assert!(world.leader().is_some_and(|leader| leader != full));
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn a_leader_whose_disk_is_full_hands_over_to_none_whose_disk_is_nearly_full() {
    for narrow in 0..3 {
        let mut world = group(3, 3);
        world.pass(60).expect("nothing goes wrong");
        world.narrow(narrow);
        let full = (narrow + 1) % 3;
        let to = world.member(full);
        // Twice: in between the leader hears how the others stand.
        for _ in 0..2 {
            assert_eq!(world.ask_group(KvGroupVerb::Transfer { to }), Ok(AdminAnswer::Done));
            world.pass(60).expect("nothing goes wrong");
        }
        assert_eq!(world.leader(), Some(full));
        world.fill(full);
        // What it is asked to do meets the full disk.
        for _ in 0..60 {
            if world.leader() != Some(full) {
                break;
            }
            world.ask_for(GroupId::ROOT);
            world.pass(1).expect("nothing goes wrong");
        }
        world.pass(60).expect("nothing goes wrong");
        assert_eq!(world.leader(), Some((narrow + 2) % 3));
        assert_eq!(world.settle(), Ok(()));
    }
}

/// No majority can keep anything, and none would elect another: whoever leads goes on, answers questions and says why it
/// takes no commands.
#[test]
fn a_leader_goes_on_while_the_disks_of_most_are_full() {
    for is_full_too in [false, true] {
        let mut world = group(3, 3);
        world.pass(60).expect("nothing goes wrong");
        let leader = world.leader().expect("one leads");
        (0..3).filter(|index| is_full_too || *index != leader).for_each(|index| world.fill(index));
        let mut waiting = Vec::new();
        for sequence in 1..60 {
            waiting.extend(world.set_at_once(leader, GroupId::ROOT, sequence).is_none().then_some(sequence));
            world.pass(5).expect("nothing goes wrong");
        }
        assert_eq!(world.leader(), Some(leader));
        let full = Some(KvAnswer::Failed(KvError::Full));
        let hears = |sequence: u64| world.set_at_once(leader, GroupId::ROOT, sequence) == full;
        assert!(waiting.into_iter().any(hears), "who asks again what is under way hears why");
        assert_eq!(world.set_at_once(leader, GroupId::ROOT, 60), full);
        let request = world.get(leader, b"k").expect("nothing goes wrong");
        world.pass(10).expect("nothing goes wrong");
        assert!(
            matches!(world.told.get(&request), Some(KvAnswer::Value(_))),
            "questions don't wait for what waits for room"
        );
        let Ok(RoleStatus::KvMember { trouble: Some(why), .. }) = world.status(leader) else {
            panic!("a member")
        };
        assert!(why.contains("full"), "{why}");
        assert_eq!(world.settle(), Ok(()));
    }
}

#[test]
fn the_preferred_server_leads_once_it_can() {
    let mut world = group(3, 3);
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    let preferred = (leader + 1) % 3;
    world.cut_off(&[preferred]);
    let value = encode_preferred(server_of(world.member(preferred)));
    world.set(leader, PREFERRED_KEY, value).expect("nothing goes wrong");
    world.pass(200).expect("nothing goes wrong");
    assert!(world.leader().is_some_and(|leader| leader != preferred));
    world.cut_off(&[]);
    world.pass(200).expect("nothing goes wrong");
    assert_eq!(world.leader(), Some(preferred));
    world.cut_off(&[preferred]);
    world.pass(200).expect("nothing goes wrong");
    assert!(world.leader().is_some_and(|leader| leader != preferred), "another goes on");
    assert_eq!(world.settle(), Ok(()));
}

#[test]
fn one_that_was_away_when_a_state_was_offered_hears_of_it_soon() {
    let mut world = group(3, 3);
    world.pass(60).expect("nothing goes wrong");
    let leader = world.leader().expect("one leads");
    let away = (leader + 1) % 3;
    world.cut_off(&[away]);
    for key in 0..20_u8 {
        world.set(leader, &[key], vec![key]).expect("nothing goes wrong");
        world.pass(1).expect("nothing goes wrong");
    }
    assert_eq!(world.ask_group(KvGroupVerb::Snapshot), Ok(AdminAnswer::Done));
    world.set(leader, b"later", vec![]).expect("nothing goes wrong");
    // The offer, and what was kept for it, are gone by now.
    world.pass(120).expect("nothing goes wrong");
    world.cut_off(&[]);
    world.pass(50).expect("nothing goes wrong");
    assert_eq!(world.counter(away, "installed"), Ok(1), "within 2.5 s");
}

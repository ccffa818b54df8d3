//! What follows upon what, exactly.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use consensus::{
    Append, BadConfig, BadRecovery, Canvass, Config, Consensus, Entry, EntryBody, HardState, Leadership,
    LogIndex, Member, Membership, MembershipChange, Message, MessageBody, Persist, PlantedBug, Position,
    ProgressKind, RaftGroup, ReadAnswer, Ready, Recovered, Refused, Role, Severity, SnapshotMark, Term,
};

use crate::pair::{Group, UNCOMMITTED_BYTES};

fn command(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn entry(term: u64, index: u64, body: EntryBody) -> Entry {
    Entry { term: Term(term), index: LogIndex(index), body }
}

fn position(term: u64, index: u64) -> Position {
    Position { term: Term(term), index: LogIndex(index) }
}

fn is_append(message: &Message) -> bool {
    matches!(message.body, MessageBody::Append { .. })
}

#[test]
fn a_group_of_one_leads_itself_at_once() {
    let genesis = Recovered::genesis(Membership::of_voters([Member(1)]));
    let mut group = RaftGroup::new(Config::new(Member(1), 1), genesis, None).expect("good");
    let leadership = Leadership { role: Role::Leader, term: Term(2), leader: Some(Member(1)) };
    let persist = Persist {
        number: 1,
        hard_state: Some(HardState { term: Term(2), vote: Some(Member(1)), commit: LogIndex(1) }),
        install: None,
        append: Some(Append { after: LogIndex(1), entries: vec![entry(2, 2, EntryBody::Nothing)] }),
        must_sync: true,
    };
    let ready = Ready { persist: Some(persist), leadership: Some(leadership), ..Ready::default() };
    assert_eq!(group.take_ready(), Some(ready));
    assert_eq!(group.take_ready(), None);
    assert_eq!(group.propose(command("a")), Ok(position(2, 3)));
    let second = group.take_ready().expect("a write");
    assert_eq!(second.committed, []);
    assert_eq!(second.persist.expect("a write").number, 2);
    group.persisted(2);
    let third = group.take_ready().expect("both are committed");
    let said = EntryBody::Command(command("a"));
    assert_eq!(third.committed, [entry(2, 2, EntryBody::Nothing), entry(2, 3, said)]);
    assert!(!third.persist.expect("the commit").must_sync);
    assert_eq!(group.status().refusal(), None);
}

#[test]
fn votes_and_acknowledgements_wait_until_they_are_durable() {
    let mut group = Group::of(3);
    group.slow = vec![2];
    group.at(1).campaign();
    group.settle(1);
    let ask = group.take(|_, to, _| to == 2);
    group.deliver(ask);
    let answer = group.take(|from, _, _| from == 2);
    assert!(matches!(answer.2.body, MessageBody::PreVote { granted: true, .. }), "it promises nothing");
    group.deliver(answer);
    let ask = group.take(|_, to, message| to == 2 && matches!(message.body, MessageBody::AskVote { .. }));
    group.deliver(ask);
    assert!(group.wire.iter().all(|(from, ..)| *from != 2), "its vote is not durable");
    group.sync(2);
    let vote = group.take(|from, _, _| from == 2);
    assert!(matches!(vote.2.body, MessageBody::Vote { granted: true, .. }));
    group.deliver(vote);
    let append = group.take(|_, to, message| to == 2 && is_append(message));
    group.deliver(append);
    assert!(group.wire.iter().all(|(from, ..)| *from != 2), "the entry is not durable");
    group.sync(2);
    assert!(matches!(group.take(|from, _, _| from == 2).2.body, MessageBody::Appended { .. }));
}

#[test]
fn a_leader_is_heard_whatever_the_disks_do() {
    let mut group = Group::of(3);
    group.elect(1);
    group.slow = vec![2, 3];
    group.at(1).propose(command("a")).expect("it leads");
    group.at(1).read(7).expect("it leads");
    group.quiesce();
    assert_eq!(group.reads.len(), 1, "who leads is known without the disks");
    group.tick(100);
    assert_eq!(group.at(1).status().leadership.role, Role::Leader);
    assert_eq!(group.at(1).status().refusal(), None);
    let committed = |group: &Group| {
        group.committed[&1].iter().any(|entry| entry.body == EntryBody::Command(command("a")))
    };
    assert!(!committed(&group), "the entry is not durable");
    group.sync(2);
    group.quiesce();
    assert!(committed(&group));
}

#[test]
fn a_leader_of_a_new_term_is_answered_once_the_term_is_durable() {
    let mut group = Group::of(3);
    group.slow = vec![3];
    group.at(1).campaign();
    for id in 1..=3 {
        group.settle(id);
    }
    let is_for_3 =
        |to: u64, message: &Message| to == 3 && !matches!(message.body, MessageBody::Heartbeat { .. });
    while let Some(at) = group.wire.iter().position(|(_, to, message)| !is_for_3(*to, message)) {
        let next = group.wire.remove(at);
        group.deliver(next);
    }
    assert_eq!(group.at(1).status().leadership.role, Role::Leader);
    group.wire.clear();
    let is_beat =
        |to: u64, message: &Message| to == 3 && matches!(message.body, MessageBody::Heartbeat { .. });
    while !group.wire.iter().any(|(_, to, message)| is_beat(*to, message)) {
        group.at(1).tick();
        group.settle(1);
    }
    let heartbeat = group.take(|_, to, message| is_beat(to, message));
    group.deliver(heartbeat);
    assert!(group.wire.iter().all(|(from, ..)| *from != 3), "its term is not durable");
    group.sync(3);
    let answer = group.take(|from, _, _| from == 3).2.body;
    assert!(matches!(answer, MessageBody::HeartbeatAnswer { .. }));
}

/// Each answer to a heartbeat has the leader send more: one that is full must not be sent everything.
#[test]
fn one_that_can_write_nothing_holds_no_more_than_a_leader_may_propose() {
    let mut group = Group::of(3);
    group.elect(1);
    group.slow = vec![3];
    for _ in 0..8 {
        for _ in 0..100 {
            group.at(1).propose(vec![7; 200].into()).expect("it leads");
        }
        group.tick(2);
    }
    group.tick(1500);
    let weight = |persist: &Persist| {
        persist
            .append
            .iter()
            .flat_map(|append| &append.entries)
            .map(|entry| entry.weight() as u64)
            .sum::<u64>()
    };
    let held: u64 = group.persists[&3].iter().map(weight).sum();
    assert!(held < 2 * UNCOMMITTED_BYTES, "{held} bytes");
    assert_eq!(group.at(1).status().leadership.role, Role::Leader);
    group.slow.clear();
    group.sync(3);
    group.tick(100);
    assert_eq!(group.at(3).status().durable, group.at(1).status().last, "it gets the rest");
}

/// The only voter with a learner: the library lets it speak before its term is durable.
fn lone_leader(bug: Option<PlantedBug>) -> Vec<(u64, u64, Message)> {
    let mut membership = Membership::of_voters([Member(1)]);
    membership.learners.insert(Member(2));
    let mut group = Group::of(0);
    group.slow = vec![1];
    group.add(1, Recovered::genesis(membership));
    group.at(1).plant(bug);
    group.settle(1);
    group.wire
}

#[test]
fn a_leader_says_nothing_before_its_term_is_durable() {
    assert_eq!(lone_leader(None), []);
    assert!(is_append(&lone_leader(Some(PlantedBug::LeaderBeforeItsTerm))[0].2));
}

/// A mismatch is overtaken by the acknowledgement of what it was about. Returns what the leader thinks then.
fn overtaken(bug: Option<PlantedBug>) -> consensus::Progress {
    let mut group = Group::of(2);
    group.elect(1);
    group.at(1).plant(bug);
    let matched = group.at(1).status().progress[&Member(2)].matched;
    group.at(1).report_unreachable(Member(2));
    assert_eq!(group.at(1).status().progress[&Member(2)].kind, ProgressKind::Probing);
    let body = MessageBody::Mismatch { at: matched, hint: position(1, 1), commit: LogIndex(1) };
    group.deliver((2, 1, Message { term: Term(2), body }));
    group.at(1).status().progress[&Member(2)]
}

#[test]
fn an_overtaken_mismatch_moves_nothing_back() {
    let kept = overtaken(None);
    assert!(kept.next > kept.matched, "{kept:?}");
    let lost = overtaken(Some(PlantedBug::OvertakenMismatchCounts));
    assert!(lost.next <= lost.matched, "the library has been mended; the guard may go: {lost:?}");
}

#[test]
fn what_is_replaced_is_named() {
    let mut group = Group::of(3);
    group.elect(1);
    group.at(1).propose(command("never")).expect("it leads");
    group.settle(1);
    group.wire.clear();
    let one = group.members.remove(&1).expect("a member");
    group.tick(25);
    let leader = if group.at(2).status().leadership.role == Role::Leader { 2 } else { 3 };
    group.at(leader).propose(command("instead")).expect("it leads");
    group.quiesce();
    group.members.insert(1, one);
    group.tick(25);
    let append =
        group.persists[&1].iter().rev().find_map(|persist| persist.append.clone()).expect("it wrote");
    assert_eq!(append.after, LogIndex(2), "index 3 was `never` and is another now");
    let commands = |id: u64| {
        let bodies = group.committed[&id].iter().map(|entry| entry.body.clone());
        bodies.filter(|body| matches!(body, EntryBody::Command(_))).collect::<Vec<_>>()
    };
    assert_eq!(commands(1), [EntryBody::Command(command("instead"))]);
    assert_eq!(commands(1), commands(leader));
}

#[test]
fn members_that_drew_the_same_wait_do_not_split_the_votes_for_ever() {
    let mut splits = 0;
    for seed in 0..200 {
        let mut group = Group::of(0);
        let genesis = Membership::of_voters([Member(1), Member(2)]);
        for id in [1, 2] {
            // With 3 ticks there are 3 waits, so a third of all seeds draws the same at first.
            let config = Config { election_ticks: 3, ..Config::new(Member(id), seed) };
            let member = RaftGroup::new(config, Recovered::genesis(genesis.clone()), None);
            group.members.insert(id, member.expect("good"));
        }
        let term = |group: &Group| {
            let statuses = group.members.values().map(Consensus::status);
            let mut leaders = statuses.filter(|status| status.leadership.role == Role::Leader);
            leaders.next().map(|leader| leader.leadership.term)
        };
        for ticks in 0.. {
            if let Some(term) = term(&group) {
                splits += usize::from(term > Term(2));
                break;
            }
            assert!(ticks < 100, "seed {seed}: nobody leads after {ticks} ticks");
            // All tick before any message travels, so that equal waits do collide.
            group.tick(1);
        }
    }
    assert!(splits > 20, "votes were split {splits} times");
}

#[test]
fn a_minority_says_why_it_refuses() {
    let mut group = Group::of(3);
    group.elect(1);
    group.members.retain(|id, _| *id == 1);
    group.tick(30);
    let status = group.at(1).status();
    assert_ne!(status.leadership.role, Role::Leader, "it stepped down");
    let refusal = status.refusal().expect("a reason");
    assert_eq!(refusal, "1 of 3 voters answer and 2 are needed; silent: 2, 3");
    assert_eq!(group.at(1).propose(command("x")), Err(Refused::NotLeader { leader: None }));
    let text = Refused::NotLeader { leader: None }.to_string();
    assert_eq!(text, "this member does not lead; no leader is known");
}

#[test]
fn reads_are_confirmed_by_a_majority_or_lost() {
    let mut group = Group::of(3);
    group.elect(1);
    group.at(1).read(7).expect("it leads");
    group.at(1).read(8).expect("it leads");
    group.settle(1);
    assert_eq!(group.reads, [], "nobody confirmed yet");
    let rounds = group.wire.len();
    assert_eq!(rounds, 2, "both reads share one message to each member");
    group.quiesce();
    let index = LogIndex(2);
    let confirmed = |context| ReadAnswer::Confirmed { context, index };
    assert_eq!(group.reads, [confirmed(7), confirmed(8)]);
    group.members.retain(|id, _| *id == 1);
    group.at(1).read(9).expect("it believes so");
    group.tick(30);
    assert_eq!(group.reads[2..], [ReadAnswer::Lost { context: 9 }]);
    assert_eq!(group.at(1).read(10), Err(Refused::NotLeader { leader: None }));
}

#[test]
fn a_newcomer_gets_a_snapshot_catches_up_and_is_promoted() {
    let mut group = Group::of(1);
    group.quiesce();
    assert_eq!(
        group.at(1).propose_membership(MembershipChange::Promote(Member(2))),
        Err(Refused::NotLearner(Member(2)))
    );
    group.at(1).propose_membership(MembershipChange::AddLearner(Member(2))).expect("the first change");
    group.quiesce();
    group.add(2, Recovered::joining());
    group.tick(5);
    assert!(group.is_snapshot_needed && group.wanted.is_empty(), "the genesis does not know the newcomer");
    let early = group.at(1).propose_membership(MembershipChange::Promote(Member(2)));
    assert!(
        matches!(early, Err(Refused::TooFarBehind { .. })),
        "it has nothing, however little that is: {early:?}"
    );
    let applied = group.at(1).status().handed_out;
    let mark = group.at(1).mark(applied).expect("it was handed out");
    group.at(1).compact(&mark, applied).expect("it is durable");
    group.tick(5);
    assert_eq!(group.wanted[0].mark, mark, "the leader says so");
    assert_eq!(group.offered.take().expect("the newcomer hears of it").mark, mark);
    let other = SnapshotMark { index: LogIndex(1), ..mark.clone() };
    assert!(!group.at(2).snapshot_arrived(&other), "nobody waits for that");
    assert!(group.at(2).snapshot_arrived(&mark));
    assert!(!group.at(2).snapshot_arrived(&mark), "once");
    group.settle(2);
    assert_eq!(group.persists[&2].last().expect("it wrote").install, Some(mark));
    group.tick(5);
    group.at(1).propose_membership(MembershipChange::Promote(Member(2))).expect("it has caught up");
    group.quiesce();
    assert_eq!(group.at(2).status().membership, Membership::of_voters([Member(1), Member(2)]));
    let transfer = group.at(1).propose_membership(MembershipChange::Remove(Member(1)));
    assert_eq!(transfer, Err(Refused::TransferFirst));
    group.at(1).transfer_leader(Member(2)).expect("it is a voter");
    group.quiesce();
    assert_eq!(group.at(2).status().leadership.role, Role::Leader);
    group.tick(1);
    group.at(2).propose_membership(MembershipChange::Remove(Member(1))).expect("a majority answers");
    group.quiesce();
    group.at(2).propose(command("alone")).expect("it leads");
    group.quiesce();
    assert_eq!(group.at(2).status().membership, Membership::of_voters([Member(2)]));
}

#[test]
fn changes_that_endanger_the_group_are_refused() {
    let mut group = Group::of(3);
    group.elect(1);
    group.members.remove(&3);
    group.tick(5);
    let mut remove = |id| group.at(1).propose_membership(MembershipChange::Remove(Member(id)));
    assert_eq!(remove(9), Err(Refused::NotMember(Member(9))));
    assert_eq!(remove(0), Err(Refused::NoSuchNumber));
    assert!(remove(3).is_ok(), "it is silent, and not needed");
    let mut group = Group::of(3);
    group.elect(1);
    group.members.remove(&3);
    group.tick(25);
    let leader = if group.at(1).status().leadership.role == Role::Leader { 1 } else { 2 };
    let other = Member(3 - leader);
    let refused = group.at(leader).propose_membership(MembershipChange::Remove(other));
    assert_eq!(refused, Err(Refused::QuorumAtRisk { needed: 2, active: 1 }));
    let again = group.at(leader).propose_membership(MembershipChange::AddLearner(other));
    assert_eq!(again, Err(Refused::AlreadyMember(other)));
    group.at(leader).propose_membership(MembershipChange::AddLearner(Member(4))).expect("one change");
    let second = group.at(leader).propose_membership(MembershipChange::AddLearner(Member(5)));
    assert_eq!(second, Err(Refused::ChangeUnderWay));
}

#[test]
fn a_change_of_members_is_not_forgotten_in_a_crash() {
    let mut group = Group::of(2);
    group.elect(1);
    group.tick(3);
    group.slow = vec![1];
    group.at(1).propose_membership(MembershipChange::Remove(Member(2))).expect("it may go");
    group.settle(1);
    group.sync(1);
    group.quiesce();
    let status = group.at(1).status();
    assert_eq!(status.membership, Membership::of_voters([Member(1)]));
    assert!(!status.is_membership_durable, "a crash now would bring back the need for 2's vote");
    let persist = group.persists[&1].iter().rev().find(|persist| persist.must_sync).expect("the commit");
    assert_eq!(persist.hard_state.expect("in it").commit, status.handed_out);
    group.sync(1);
    assert!(group.at(1).status().is_membership_durable);
}

#[test]
fn a_learner_that_lost_its_leader_gives_its_vote() {
    // It may have a vote and not know it yet. How long it waits depends on the seed.
    for seed in 0..100 {
        let mut membership = Membership::of_voters([Member(1)]);
        membership.learners.insert(Member(2));
        let config = Config::new(Member(2), seed);
        let mut learner = RaftGroup::new(config, Recovered::genesis(membership), None).expect("good");
        let heartbeat = MessageBody::Heartbeat { commit: LogIndex(1), round: None };
        learner.receive(Member(1), Message { term: Term(2), body: heartbeat }).expect("it leads");
        (0..40).for_each(|_| learner.tick());
        while let Some(ready) = learner.take_ready() {
            if let Some(persist) = ready.persist {
                learner.persisted(persist.number);
            }
        }
        let canvass = Canvass { last: position(2, 2), commit: position(1, 1) };
        let ask = Message { term: Term(3), body: MessageBody::AskPreVote(canvass) };
        learner.receive(Member(1), ask).expect("it may ask");
        let answer = learner.take_ready().expect("an answer").send.remove(0).message.body;
        let granted = MessageBody::PreVote { granted: true, commit: Position::default() };
        assert_eq!(answer, granted, "seed {seed}");
    }
}

#[test]
fn proposals_have_bounds() {
    let mut group = Group::of(1);
    group.settle(1);
    assert_eq!(group.at(1).propose(Bytes::new()), Err(Refused::EmptyCommand));
    let long = group.at(1).propose(Bytes::from(vec![0; 201]));
    assert_eq!(long, Err(Refused::CommandTooLong { bytes: 201, limit: 200 }));
    let config = Config {
        message_bytes_max: 300,
        command_bytes_max: 200,
        uncommitted_bytes_max: 300,
        ..Config::new(Member(1), 1)
    };
    let genesis = Recovered::genesis(Membership::of_voters([Member(1)]));
    let mut slow = RaftGroup::new(config, genesis, None).expect("good");
    slow.propose(Bytes::from(vec![0; 200])).expect("the first");
    assert_eq!(slow.propose(Bytes::from(vec![0; 200])), Err(Refused::Busy));
}

#[test]
fn many_proposals_travel_in_messages_of_bounded_size() {
    let mut group = Group::of(2);
    group.elect(1);
    for _ in 0..10 {
        group.at(1).propose(Bytes::from(vec![0; 100])).expect("it leads");
    }
    group.settle(1);
    let weight = |message: &Message| match &message.body {
        MessageBody::Append { entries, .. } => entries.iter().map(Entry::weight).sum(),
        _ => 0,
    };
    let weights: Vec<usize> = group.wire.iter().map(|(_, _, message)| weight(message)).collect();
    assert_eq!(weights, [296; 5], "two entries of 148 bytes in each");
    group.quiesce();
    assert_eq!(group.at(2).status().last, LogIndex(12));
}

#[test]
fn marks_stand_for_what_was_handed_out() {
    let mut group = Group::of(1);
    group.quiesce();
    assert_eq!(group.at(1).mark(LogIndex(3)), None);
    let mark = group.at(1).mark(LogIndex(2)).expect("handed out");
    assert_eq!(mark.position(), position(2, 2));
    let wrong = SnapshotMark { term: Term(1), ..mark.clone() };
    assert_eq!(group.at(1).compact(&wrong, LogIndex(2)), Err(Refused::NoSnapshotThere(LogIndex(2))));
    group.at(1).compact(&mark, LogIndex(2)).expect("it fits");
    let genesis = SnapshotMark::genesis(mark.membership.clone());
    assert_eq!(group.at(1).compact(&genesis, LogIndex(1)), Err(Refused::NoSnapshotThere(LogIndex(1))));
    assert_eq!(group.at(1).status().snapshot, LogIndex(2));
}

#[test]
fn what_is_recovered_is_checked() {
    let genesis = || Recovered::genesis(Membership::of_voters([Member(1), Member(2)]));
    let start =
        |recovered| RaftGroup::new(Config::new(Member(1), 1), recovered, None).map(|group| group.status());
    let with = |entries: Vec<Entry>, term, commit| {
        let hard_state = HardState { term: Term(term), vote: None, commit: LogIndex(commit) };
        Recovered { hard_state, entries, ..genesis() }
    };
    let nothing = |term, index| entry(term, index, EntryBody::Nothing);
    assert_eq!(start(with(vec![nothing(2, 2), nothing(2, 4)], 2, 1)), Err(BadRecovery::Broken(LogIndex(4))));
    assert_eq!(
        start(with(vec![nothing(3, 2)], 2, 1)),
        Err(BadRecovery::OldHardState { term: Term(2), log: Term(3) })
    );
    assert_eq!(
        start(Recovered { mark: SnapshotMark::default(), ..with(vec![nothing(1, 1)], 2, 1) }),
        Err(BadRecovery::BadMark)
    );
    let torn = start(with(vec![nothing(2, 2)], 2, 9)).expect("the rest was torn off");
    assert_eq!(torn.commit, LogIndex(2));
    let nobody = RaftGroup::new(Config::new(Member(0), 1), genesis(), None).map(|_| ());
    assert_eq!(nobody, Err(BadRecovery::Config(BadConfig::NoNumber)));
    let hasty = Config { election_ticks: 2, ..Config::new(Member(1), 1) };
    assert_eq!(hasty.check(), Err(BadConfig::Ticks));
}

#[test]
fn a_group_hides_behind_the_trait_and_moves_between_threads() {
    let genesis = Recovered::genesis(Membership::of_voters([Member(1)]));
    let group = RaftGroup::new(Config::new(Member(1), 1), genesis, None).expect("good");
    let mut hidden: Box<dyn Consensus + Send> = Box::new(group);
    assert!(hidden.take_ready().is_some());
}

#[test]
fn log_lines_go_to_the_sink() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let sink: consensus::LogSink = Arc::new(move |severity: Severity, line: &str| {
        kept.lock().expect("no panic").push((severity, line.to_owned()));
    });
    let genesis = Recovered::genesis(Membership::of_voters([Member(1)]));
    RaftGroup::new(Config::new(Member(1), 1), genesis, Some(sink)).expect("good");
    let lines = lines.lock().expect("no panic");
    let elected = lines.iter().find(|(_, line)| line.starts_with("became leader at term 2"));
    assert_eq!(elected.map(|(severity, _)| *severity), Some(Severity::Event), "{lines:?}");
}

#[test]
fn messages_survive_their_encoding() {
    let membership = Membership::of_voters([Member(1), Member(2)]);
    let entries = vec![
        entry(3, 5, EntryBody::Nothing),
        entry(3, 6, EntryBody::Command(command("x"))),
        entry(4, 7, EntryBody::Membership(MembershipChange::Remove(Member(9)))),
    ];
    for body in [
        MessageBody::Append { after: position(2, 4), entries, commit: LogIndex(3) },
        MessageBody::Snapshot(SnapshotMark { index: LogIndex(9), term: Term(4), membership }),
        MessageBody::HeartbeatAnswer { commit: LogIndex(3), round: Some(8) },
    ] {
        let message = Message { term: Term(4), body };
        message.check().expect("it makes sense");
        let bytes = postcard::to_allocvec(&message).expect("it can be encoded");
        assert_eq!(postcard::from_bytes::<Message>(&bytes).expect("it can be decoded"), message);
    }
}

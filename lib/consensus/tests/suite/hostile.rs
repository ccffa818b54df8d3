//! Nonsense from peers is refused by name or ignored, and never a panic.

use bytes::Bytes;
use consensus::{
    Canvass, Config, Consensus, Entry, EntryBody, INDEX_MAX, LogIndex, Member, Membership, MembershipChange,
    Message, MessageBody, Position, RaftGroup, Recovered, Rejected, SnapshotMark, TERM_MAX, Term,
};
use proptest::prelude::*;

const ME: Member = Member(1);

/// Numbers that are near each other, and some at the edges.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..12, 1 => Just(u64::MAX), 1 => Just(INDEX_MAX.0), 1 => Just(TERM_MAX.0), 1 => any::<u64>()]
}

fn index() -> impl Strategy<Value = LogIndex> {
    number().prop_map(LogIndex)
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof![9 => (0u64..6).prop_map(Term), 1 => number().prop_map(Term)]
}

fn position() -> impl Strategy<Value = Position> {
    (term(), index()).prop_map(|(term, index)| Position { term, index })
}

fn member() -> impl Strategy<Value = Member> {
    (0u64..6).prop_map(Member)
}

fn change() -> impl Strategy<Value = MembershipChange> {
    prop_oneof![
        member().prop_map(MembershipChange::AddLearner),
        member().prop_map(MembershipChange::Promote),
        member().prop_map(MembershipChange::Remove),
    ]
}

fn body() -> impl Strategy<Value = EntryBody> {
    prop_oneof![
        Just(EntryBody::Nothing),
        (0usize..20).prop_map(|len| EntryBody::Command(Bytes::from(vec![1; len]))),
        change().prop_map(EntryBody::Membership),
    ]
}

/// Entries that follow upon a position, as those of a leader do, or anything.
fn append() -> impl Strategy<Value = MessageBody> {
    let fitting =
        (position(), prop::collection::vec(body(), 0..6), index()).prop_map(|(after, bodies, commit)| {
            let entry = |(place, body)| Entry {
                term: after.term.max(Term(1)),
                index: LogIndex(after.index.0.saturating_add(1 + place)),
                body,
            };
            MessageBody::Append { after, entries: (0u64..).zip(bodies).map(entry).collect(), commit }
        });
    let entry = (term(), index(), body()).prop_map(|(term, index, body)| Entry { term, index, body });
    let any = (position(), prop::collection::vec(entry, 0..4), index())
        .prop_map(|(after, entries, commit)| MessageBody::Append { after, entries, commit });
    prop_oneof![3 => fitting, 1 => any]
}

fn mark() -> impl Strategy<Value = SnapshotMark> {
    let members = || prop::collection::btree_set(member(), 0..4);
    (index(), term(), members(), members()).prop_map(|(index, term, voters, learners)| SnapshotMark {
        index,
        term,
        membership: Membership { voters, learners },
    })
}

fn message() -> impl Strategy<Value = Message> {
    let canvass = || (position(), position()).prop_map(|(last, commit)| Canvass { last, commit });
    let body = prop_oneof![
        canvass().prop_map(MessageBody::AskPreVote),
        (any::<bool>(), position()).prop_map(|(granted, commit)| MessageBody::PreVote { granted, commit }),
        (canvass(), any::<bool>())
            .prop_map(|(canvass, is_transfer)| MessageBody::AskVote { canvass, is_transfer }),
        (any::<bool>(), position()).prop_map(|(granted, commit)| MessageBody::Vote { granted, commit }),
        append(),
        append(),
        (index(), index()).prop_map(|(matched, commit)| MessageBody::Appended { matched, commit }),
        (index(), position(), index()).prop_map(|(at, hint, commit)| MessageBody::Mismatch {
            at,
            hint,
            commit
        }),
        (index(), prop::option::of(0u64..3))
            .prop_map(|(commit, round)| MessageBody::Heartbeat { commit, round }),
        (index(), prop::option::of(0u64..3))
            .prop_map(|(commit, round)| MessageBody::HeartbeatAnswer { commit, round }),
        mark().prop_map(MessageBody::Snapshot),
        Just(MessageBody::TakeOver),
    ];
    (term(), body).prop_map(|(term, body)| Message { term, body })
}

/// What happens to a member.
#[derive(Clone, Debug)]
enum Step {
    Receive(Member, Message),
    Ticks(u8),
    Campaign,
    Persist,
    Propose,
    Change(MembershipChange),
    Read,
    Transfer(Member),
    Unreachable(Member),
    SnapshotSent(Member, bool),
    /// The offered snapshot arrives.
    Arrived,
    /// Another does.
    ArrivedOther(SnapshotMark),
    Compact(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (member(), message()).prop_map(|(from, message)| Step::Receive(from, message)),
        2 => (1u8..30).prop_map(Step::Ticks),
        1 => Just(Step::Campaign),
        4 => Just(Step::Persist),
        2 => Just(Step::Propose),
        1 => change().prop_map(Step::Change),
        1 => Just(Step::Read),
        1 => member().prop_map(Step::Transfer),
        1 => member().prop_map(Step::Unreachable),
        1 => (member(), any::<bool>()).prop_map(|(member, is_sent)| Step::SnapshotSent(member, is_sent)),
        1 => Just(Step::Arrived),
        1 => mark().prop_map(Step::ArrivedOther),
        1 => (0u64..5).prop_map(Step::Compact),
    ]
}

/// One member among liars.
struct Victim {
    group: RaftGroup,
    newest: Option<u64>,
    offered: Option<SnapshotMark>,
}

impl Victim {
    fn new(recovered: Recovered) -> Victim {
        let config = Config { message_bytes_max: 200, command_bytes_max: 100, ..Config::new(ME, 7) };
        let group = RaftGroup::new(config, recovered, None).expect("good settings");
        Victim { group, newest: None, offered: None }
    }

    fn step(&mut self, step: Step) {
        let group = &mut self.group;
        // What is refused is refused; that it is refused without a panic is what is tested.
        match step {
            Step::Receive(from, message) => drop(group.receive(from, message)),
            Step::Ticks(ticks) => (0..ticks).for_each(|_| group.tick()),
            Step::Campaign => group.campaign(),
            Step::Persist => {
                if let Some(number) = self.newest.take() {
                    group.persisted(number);
                }
            }
            Step::Propose => drop(group.propose(Bytes::from_static(b"command"))),
            Step::Change(change) => drop(group.propose_membership(change)),
            Step::Read => drop(group.read(1)),
            Step::Transfer(to) => drop(group.transfer_leader(to)),
            Step::Unreachable(member) => group.report_unreachable(member),
            Step::SnapshotSent(member, is_sent) => group.report_snapshot(member, is_sent),
            Step::Arrived => {
                if let Some(mark) = self.offered.take() {
                    group.snapshot_arrived(&mark);
                }
            }
            Step::ArrivedOther(mark) => drop(group.snapshot_arrived(&mark)),
            Step::Compact(keep) => self.compact(keep),
        }
        while let Some(ready) = self.group.take_ready() {
            self.newest = ready.persist.map(|persist| persist.number).or(self.newest);
            self.offered = ready.snapshot_offered.map(|offer| offer.mark).or(self.offered.take());
        }
        let status = self.group.status();
        assert!(status.handed_out <= status.commit && status.commit <= status.last);
        assert!(status.progress.values().all(|progress| progress.next > progress.matched));
    }

    fn compact(&mut self, keep: u64) {
        let applied = self.group.status().handed_out;
        if let Some(mark) = self.group.mark(applied) {
            let keep_after = LogIndex(applied.0.saturating_sub(keep));
            self.group.compact(&mark, keep_after).expect("it gave this mark");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_never_panics(
        kind in 0..4,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let members = |count: u64| Membership::of_voters((1..=count).map(Member));
        let recovered = match kind {
            0 => Recovered::joining(),
            1 => Recovered::genesis(members(1)),
            2 => Recovered::genesis(members(2)),
            _ => Recovered::genesis(members(3)),
        };
        let mut victim = Victim::new(recovered);
        for step in steps {
            victim.step(step);
        }
    }
}

fn follower() -> Victim {
    let members = Membership::of_voters([ME, Member(2), Member(3)]);
    let mut victim = Victim::new(Recovered::genesis(members));
    let heartbeat = MessageBody::Heartbeat { commit: LogIndex(1), round: None };
    victim.step(Step::Receive(Member(2), Message { term: Term(2), body: heartbeat }));
    victim
}

fn rejected(victim: &mut Victim, from: u64, term: u64, body: MessageBody) -> Rejected {
    victim.group.receive(Member(from), Message { term: Term(term), body }).expect_err("nonsense")
}

#[test]
fn nonsense_is_refused_by_name() {
    let victim = &mut follower();
    let heartbeat = |commit| MessageBody::Heartbeat { commit: LogIndex(commit), round: None };
    assert_eq!(rejected(victim, 0, 2, heartbeat(1)), Rejected::BadSender(Member(0)));
    assert_eq!(rejected(victim, 1, 2, heartbeat(1)), Rejected::BadSender(ME));
    assert_eq!(rejected(victim, 2, 0, heartbeat(1)), Rejected::TermOutOfRange(Term(0)));
    assert_eq!(rejected(victim, 2, u64::MAX, heartbeat(1)), Rejected::TermOutOfRange(Term(u64::MAX)));
    assert_eq!(rejected(victim, 2, 2, heartbeat(u64::MAX)), Rejected::IndexOutOfRange(LogIndex(u64::MAX)));
    assert_eq!(
        rejected(victim, 3, 2, heartbeat(1)),
        Rejected::SecondLeader { from: Member(3), term: Term(2), leader: Member(2) }
    );
    assert_eq!(
        rejected(victim, 2, 2, heartbeat(9)),
        Rejected::LostEntries { commit: LogIndex(9), last: LogIndex(1) }
    );
    let vote = MessageBody::Vote { granted: true, commit: Position::default() };
    assert_eq!(rejected(victim, 7, 2, vote), Rejected::NotMember(Member(7)));
    let after = Position { term: Term(1), index: LogIndex(1) };
    let gap = Entry { term: Term(2), index: LogIndex(3), body: EntryBody::Nothing };
    let append = MessageBody::Append { after, entries: vec![gap], commit: LogIndex(1) };
    assert_eq!(rejected(victim, 2, 2, append), Rejected::BrokenEntries(LogIndex(3)));
    let empty = SnapshotMark { index: LogIndex(5), term: Term(2), membership: Membership::default() };
    assert_eq!(rejected(victim, 2, 2, MessageBody::Snapshot(empty)), Rejected::BrokenSnapshotMark);
    let others = Membership::of_voters([Member(2), Member(3)]);
    let foreign = SnapshotMark { index: LogIndex(5), term: Term(2), membership: others };
    assert_eq!(rejected(victim, 2, 2, MessageBody::Snapshot(foreign)), Rejected::NotInSnapshot);
    let newcomer = &mut Victim::new(Recovered::joining());
    let from_nothing =
        MessageBody::Append { after: Position::default(), entries: vec![], commit: LogIndex(0) };
    assert_eq!(rejected(newcomer, 2, 2, from_nothing), Rejected::NeedsSnapshot);
}

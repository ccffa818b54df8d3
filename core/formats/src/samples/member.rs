//! Members of the KV's group.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use consensus::{
    Canvass, Entry, EntryBody, LogIndex, Member, Membership, MembershipChange, MessageBody, Position,
    SnapshotMark, Term,
};
use glossary::{ClusterIdentity, GroupId};

use super::all;
use crate::Message;
use crate::kv_table::GroupHead;
use crate::message::member::{MemberBody, MemberMessage, MemberOf};
use crate::message::standing::{DiskRoom, Fingerprint, Standing};

pub(super) fn messages() -> Vec<Message> {
    let said = all(said).map(|body| MemberBody::Consensus(consensus::Message { term: Term(300), body }));
    let bodies = said.chain(all(body));
    let message = |body| MemberMessage { cluster: ClusterIdentity([0xef; 16]), body };
    let mut messages: Vec<_> = bodies.map(|body| Message::Member(message(body))).collect();
    let message = message(MemberBody::Sleep { term: Term(300), last: LogIndex(301) });
    messages.push(Message::MemberOf(MemberOf { group: GroupId(300), message }));
    messages
}

fn position() -> Position {
    Position { term: Term(2), index: LogIndex(301) }
}

fn canvass() -> Canvass {
    Canvass { last: position(), commit: Position { term: Term(2), index: LogIndex(300) } }
}

fn mark() -> SnapshotMark {
    let membership = Membership { voters: [Member(1), Member(2)].into(), learners: [Member(3)].into() };
    SnapshotMark { index: LogIndex(302), term: Term(3), membership }
}

fn entries() -> Vec<Entry> {
    all(entry_body).map(|body| Entry { term: Term(3), index: LogIndex(303), body }).collect()
}

fn entry_body(last: Option<&EntryBody>) -> Option<EntryBody> {
    use MembershipChange::{AddLearner, Promote, Remove};
    Some(match last {
        None => EntryBody::Nothing,
        Some(EntryBody::Nothing) => EntryBody::Command(vec![1, 2].into()),
        Some(EntryBody::Command(_)) => EntryBody::Membership(AddLearner(Member(4))),
        Some(EntryBody::Membership(AddLearner(_))) => EntryBody::Membership(Promote(Member(4))),
        Some(EntryBody::Membership(Promote(_))) => EntryBody::Membership(Remove(Member(4))),
        Some(EntryBody::Membership(Remove(_))) => return None,
    })
}

fn said(last: Option<&MessageBody>) -> Option<MessageBody> {
    let (commit, at) = (LogIndex(300), LogIndex(301));
    Some(match last {
        None => MessageBody::AskPreVote(canvass()),
        Some(MessageBody::AskPreVote(_)) => MessageBody::PreVote { granted: true, commit: position() },
        Some(MessageBody::PreVote { .. }) => MessageBody::AskVote { canvass: canvass(), is_transfer: true },
        Some(MessageBody::AskVote { .. }) => MessageBody::Vote { granted: false, commit: position() },
        Some(MessageBody::Vote { .. }) => {
            MessageBody::Append { after: position(), entries: entries(), commit }
        }
        Some(MessageBody::Append { .. }) => MessageBody::Appended { matched: at, commit },
        Some(MessageBody::Appended { .. }) => MessageBody::Mismatch { at, hint: position(), commit },
        Some(MessageBody::Mismatch { .. }) => MessageBody::Heartbeat { commit, round: Some(9) },
        Some(MessageBody::Heartbeat { .. }) => MessageBody::HeartbeatAnswer { commit, round: None },
        Some(MessageBody::HeartbeatAnswer { .. }) => MessageBody::Snapshot(mark()),
        Some(MessageBody::Snapshot(_)) => MessageBody::TakeOver,
        Some(MessageBody::TakeOver) => return None,
    })
}

fn body(last: Option<&MemberBody>) -> Option<MemberBody> {
    Some(match last {
        None => MemberBody::Consensus(consensus::Message { term: Term(1), body: MessageBody::TakeOver }),
        Some(MemberBody::Consensus(_)) => MemberBody::Fetch { mark: mark(), offset: 8192 },
        Some(MemberBody::Fetch { .. }) => {
            MemberBody::Piece { mark: mark(), sequence: 7, offset: 8192, length: 12_288, bytes: vec![5, 6] }
        }
        Some(MemberBody::Piece { .. }) => MemberBody::NoSnapshot { mark: mark() },
        Some(MemberBody::NoSnapshot { .. }) => MemberBody::Addressed {
            from: Member(2),
            to: Member(0x1_0003),
            message: consensus::Message { term: Term(1), body: MessageBody::TakeOver },
        },
        Some(MemberBody::Addressed { .. }) => standing(DiskRoom::Nothing),
        Some(MemberBody::Standing(Standing { room: DiskRoom::Nothing, .. })) => standing(DiskRoom::Removals),
        Some(MemberBody::Standing(Standing { room: DiskRoom::Removals, .. })) => standing(DiskRoom::Enough),
        Some(MemberBody::Standing(Standing { room: DiskRoom::Enough, .. })) => {
            MemberBody::Sleep { term: Term(2), last: LogIndex(300) }
        }
        Some(MemberBody::Sleep { .. }) => MemberBody::Alive,
        Some(MemberBody::Alive) => MemberBody::FetchPage { mark: mark(), is_exact: false, after: vec![1, 2] },
        Some(MemberBody::FetchPage { .. }) => page(None),
        Some(MemberBody::Page { head: None, .. }) => page(Some(Box::new(GroupHead {
            mark: mark(),
            generation: 3,
            index: 300,
            scheme: 1,
            pairs: 2,
            pairs_hash: u64::MAX,
            sessions: 1,
            sessions_hash: 7,
        }))),
        Some(MemberBody::Page { .. }) => MemberBody::WantsLead { root: LogIndex(300) },
        Some(MemberBody::WantsLead { .. }) => MemberBody::AskLevel,
        Some(MemberBody::AskLevel) => MemberBody::Level { member: Member(0x1_0003), level: 300 },
        Some(MemberBody::Level { .. }) => return None,
    })
}

fn page(head: Option<Box<GroupHead>>) -> MemberBody {
    let rows = vec![(vec![4, 9], vec![1, 2, 3, 4, 5])];
    MemberBody::Page { mark: mark(), after: vec![1, 2], rows, head }
}

fn standing(room: DiskRoom) -> MemberBody {
    let fingerprint = Fingerprint { scheme: 1, index: LogIndex(300), hash: u64::MAX - 7 };
    MemberBody::Standing(Standing { fingerprint, room })
}

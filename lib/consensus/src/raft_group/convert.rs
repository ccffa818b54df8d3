//! Between our types and those of the `raft` crate.

use alloc::vec::Vec;

use bytes::Bytes;
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Entry as RaftEntry, EntryType,
    HardState as RaftHardState, Message as RaftMessage, MessageType, Snapshot, SnapshotMetadata,
};

use crate::{
    Canvass, Entry, EntryBody, HardState, LogIndex, Member, Membership, MembershipChange, Message,
    MessageBody, Position, SnapshotMark, Term,
};

/// The context by which raft knows a vote that the leader itself asked for.
const TRANSFER: &[u8] = b"CampaignTransfer";

pub(super) fn raft_entry(entry: &Entry) -> RaftEntry {
    let mut raft = RaftEntry { term: entry.term.0, index: entry.index.0, ..RaftEntry::default() };
    match &entry.body {
        EntryBody::Nothing => {}
        EntryBody::Command(command) => raft.data = command.clone(),
        EntryBody::Membership(change) => {
            raft.entry_type = EntryType::EntryConfChangeV2;
            raft.context = change_context(*change);
        }
    }
    raft
}

pub(super) fn entry(raft: &RaftEntry) -> Entry {
    let body = if raft.entry_type == EntryType::EntryNormal {
        if raft.data.is_empty() { EntryBody::Nothing } else { EntryBody::Command(raft.data.clone()) }
    } else {
        change_of(&raft.context).map_or(EntryBody::Nothing, EntryBody::Membership)
    };
    Entry { term: Term(raft.term), index: LogIndex(raft.index), body }
}

/// Raft decodes a change of membership only where it is proposed; we decode it from the context, so that its own
/// encoding is never needed.
pub(super) fn change_context(change: MembershipChange) -> Bytes {
    let kind = match change {
        MembershipChange::AddLearner(_) => 1,
        MembershipChange::Promote(_) => 2,
        MembershipChange::Remove(_) => 3,
    };
    let mut bytes = Vec::from([kind]);
    bytes.extend_from_slice(&change.member().0.to_be_bytes());
    Bytes::from(bytes)
}

fn change_of(context: &[u8]) -> Option<MembershipChange> {
    let (kind, member) = context.split_first()?;
    let member = Member(u64::from_be_bytes(member.try_into().ok()?));
    match kind {
        1 => Some(MembershipChange::AddLearner(member)),
        2 => Some(MembershipChange::Promote(member)),
        3 => Some(MembershipChange::Remove(member)),
        _ => None,
    }
}

pub(super) fn conf_change(change: MembershipChange) -> ConfChangeV2 {
    let change_type = match change {
        MembershipChange::AddLearner(_) => ConfChangeType::AddLearnerNode,
        MembershipChange::Promote(_) => ConfChangeType::AddNode,
        MembershipChange::Remove(_) => ConfChangeType::RemoveNode,
    };
    let single = ConfChangeSingle { change_type, node_id: change.member().0, ..ConfChangeSingle::default() };
    ConfChangeV2 { changes: Vec::from([single]).into(), ..ConfChangeV2::default() }
}

pub(super) fn conf_state(membership: &Membership) -> ConfState {
    ConfState {
        voters: membership.voters.iter().map(|member| member.0).collect(),
        learners: membership.learners.iter().map(|member| member.0).collect(),
        ..ConfState::default()
    }
}

pub(super) fn hard_state(raft: &RaftHardState) -> HardState {
    let vote = (raft.vote != 0).then_some(Member(raft.vote));
    HardState { term: Term(raft.term), vote, commit: LogIndex(raft.commit) }
}

pub(super) fn raft_hard_state(state: &HardState) -> RaftHardState {
    RaftHardState {
        term: state.term.0,
        vote: state.vote.map_or(0, |member| member.0),
        commit: state.commit.0,
        ..RaftHardState::default()
    }
}

pub(super) fn snapshot(mark: &SnapshotMark) -> Snapshot {
    let mut metadata =
        SnapshotMetadata { index: mark.index.0, term: mark.term.0, ..SnapshotMetadata::default() };
    metadata.set_conf_state(conf_state(&mark.membership));
    let mut snapshot = Snapshot::default();
    snapshot.set_metadata(metadata);
    snapshot
}

pub(super) fn mark(snapshot: &Snapshot) -> SnapshotMark {
    let metadata = snapshot.get_metadata();
    let members = |ids: &[u64]| ids.iter().copied().map(Member).collect();
    let state = metadata.get_conf_state();
    let membership = Membership { voters: members(&state.voters), learners: members(&state.learners) };
    SnapshotMark { index: LogIndex(metadata.index), term: Term(metadata.term), membership }
}

/// Our message of raft's; none for those that stay inside or that we never cause.
pub(super) fn message(raft: &RaftMessage) -> Option<Message> {
    let commit = LogIndex(raft.commit);
    let committed = Position { term: Term(raft.commit_term), index: commit };
    let at = Position { term: Term(raft.log_term), index: LogIndex(raft.index) };
    let canvass = Canvass { last: at, commit: committed };
    let granted = !raft.reject;
    let body = match raft.msg_type {
        MessageType::MsgRequestPreVote => MessageBody::AskPreVote(canvass),
        MessageType::MsgRequestPreVoteResponse => MessageBody::PreVote { granted, commit: committed },
        MessageType::MsgRequestVote => {
            MessageBody::AskVote { canvass, is_transfer: raft.context == TRANSFER }
        }
        MessageType::MsgRequestVoteResponse => MessageBody::Vote { granted, commit: committed },
        MessageType::MsgAppend => {
            MessageBody::Append { after: at, entries: raft.entries.iter().map(entry).collect(), commit }
        }
        MessageType::MsgAppendResponse if raft.reject => MessageBody::Mismatch {
            at: LogIndex(raft.index),
            hint: Position { term: Term(raft.log_term), index: LogIndex(raft.reject_hint) },
            commit,
        },
        MessageType::MsgAppendResponse => MessageBody::Appended { matched: LogIndex(raft.index), commit },
        MessageType::MsgHeartbeat => MessageBody::Heartbeat { commit, round: round(&raft.context) },
        MessageType::MsgHeartbeatResponse => {
            MessageBody::HeartbeatAnswer { commit, round: round(&raft.context) }
        }
        MessageType::MsgSnapshot => MessageBody::Snapshot(mark(raft.get_snapshot())),
        MessageType::MsgTimeoutNow => MessageBody::TakeOver,
        _ => return None,
    };
    Some(Message { term: Term(raft.term), body })
}

/// Raft's message of ours, which was checked.
pub(super) fn raft_message(me: Member, from: Member, message: &Message) -> RaftMessage {
    let mut raft = RaftMessage { from: from.0, to: me.0, term: message.term.0, ..RaftMessage::default() };
    match &message.body {
        MessageBody::AskPreVote(canvass) => ask(&mut raft, MessageType::MsgRequestPreVote, canvass),
        MessageBody::AskVote { canvass, is_transfer } => {
            ask(&mut raft, MessageType::MsgRequestVote, canvass);
            if *is_transfer {
                raft.context = Bytes::from_static(TRANSFER);
            }
        }
        MessageBody::PreVote { granted, commit } => {
            vote(&mut raft, MessageType::MsgRequestPreVoteResponse, *granted, *commit);
        }
        MessageBody::Vote { granted, commit } => {
            vote(&mut raft, MessageType::MsgRequestVoteResponse, *granted, *commit);
        }
        MessageBody::Append { after, entries, commit } => {
            raft.msg_type = MessageType::MsgAppend;
            (raft.index, raft.log_term, raft.commit) = (after.index.0, after.term.0, commit.0);
            raft.entries = entries.iter().map(raft_entry).collect::<Vec<_>>().into();
        }
        MessageBody::Appended { matched, commit } => {
            raft.msg_type = MessageType::MsgAppendResponse;
            (raft.index, raft.commit) = (matched.0, commit.0);
        }
        MessageBody::Mismatch { at, hint, commit } => {
            raft.msg_type = MessageType::MsgAppendResponse;
            raft.reject = true;
            (raft.index, raft.commit) = (at.0, commit.0);
            (raft.reject_hint, raft.log_term) = (hint.index.0, hint.term.0);
        }
        MessageBody::Heartbeat { commit, round } => {
            raft.msg_type = MessageType::MsgHeartbeat;
            (raft.commit, raft.context) = (commit.0, round_context(*round));
        }
        MessageBody::HeartbeatAnswer { commit, round } => {
            raft.msg_type = MessageType::MsgHeartbeatResponse;
            (raft.commit, raft.context) = (commit.0, round_context(*round));
        }
        MessageBody::Snapshot(mark) => {
            raft.msg_type = MessageType::MsgSnapshot;
            raft.set_snapshot(snapshot(mark));
        }
        MessageBody::TakeOver => raft.msg_type = MessageType::MsgTimeoutNow,
    }
    raft
}

fn ask(raft: &mut RaftMessage, kind: MessageType, canvass: &Canvass) {
    raft.msg_type = kind;
    (raft.index, raft.log_term) = (canvass.last.index.0, canvass.last.term.0);
    (raft.commit, raft.commit_term) = (canvass.commit.index.0, canvass.commit.term.0);
}

fn vote(raft: &mut RaftMessage, kind: MessageType, granted: bool, commit: Position) {
    raft.msg_type = kind;
    raft.reject = !granted;
    (raft.commit, raft.commit_term) = (commit.index.0, commit.term.0);
}

/// A round of reads as raft carries it.
pub(super) fn round_context(round: Option<u64>) -> Bytes {
    round.map_or_else(Bytes::new, |round| Bytes::copy_from_slice(&round.to_be_bytes()))
}

pub(super) fn round(context: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(context.try_into().ok()?))
}

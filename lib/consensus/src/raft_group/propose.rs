//! What a leader is asked to append.

use bytes::Bytes;
use raft::eraftpb::{Entry as RaftEntry, Message as RaftMessage, MessageType};

use super::RaftGroup;
use super::convert;
use crate::{LogIndex, Member, Membership, MembershipChange, Position, Refused, SnapshotMark};

impl RaftGroup {
    pub(super) fn propose_command(&mut self, command: Bytes) -> Result<Position, Refused> {
        self.check_leading()?;
        if command.is_empty() {
            return Err(Refused::EmptyCommand);
        }
        let limit = self.config.command_bytes_max as usize;
        if command.len() > limit {
            return Err(Refused::CommandTooLong { bytes: command.len(), limit });
        }
        let entry = RaftEntry { data: command, ..RaftEntry::default() };
        // The library's own call would copy the command.
        let mut message = RaftMessage { from: self.config.me.0, ..RaftMessage::default() };
        message.msg_type = MessageType::MsgPropose;
        message.entries = alloc::vec::Vec::from([entry]).into();
        self.node.raft.step(message).map_err(|_| Refused::Busy)?;
        Ok(self.last_position())
    }

    pub(super) fn propose_change(&mut self, change: MembershipChange) -> Result<Position, Refused> {
        self.check_leading()?;
        self.check_change(change)?;
        // The library would silently append an empty entry in place of a change that comes too early.
        if self.node.raft.has_pending_conf() || !self.node.raft.commit_to_current_term() {
            return Err(Refused::ChangeUnderWay);
        }
        let context = convert::change_context(change).to_vec();
        let change = convert::conf_change(change);
        self.node.propose_conf_change(context, change).map_err(|_| Refused::Busy)?;
        Ok(self.last_position())
    }

    fn check_leading(&self) -> Result<(), Refused> {
        let raft = &self.node.raft;
        match raft.lead_transferee {
            _ if !self.is_leader() => Err(Refused::NotLeader { leader: self.leader() }),
            Some(member) => Err(Refused::HandingOver(Member(member))),
            None => Ok(()),
        }
    }

    fn check_change(&self, change: MembershipChange) -> Result<(), Refused> {
        let membership = self.memberships.current();
        let member = change.member();
        match change {
            _ if member.0 == 0 => return Err(Refused::NoSuchNumber),
            MembershipChange::AddLearner(_) if membership.contains(member) => {
                return Err(Refused::AlreadyMember(member));
            }
            MembershipChange::Promote(_) if !membership.learners.contains(&member) => {
                return Err(Refused::NotLearner(member));
            }
            MembershipChange::Promote(_) => self.check_caught_up(member)?,
            MembershipChange::Remove(_) if !membership.contains(member) => {
                return Err(Refused::NotMember(member));
            }
            MembershipChange::Remove(_) if member == self.config.me => return Err(Refused::TransferFirst),
            MembershipChange::AddLearner(_) | MembershipChange::Remove(_) => {}
        }
        let after = membership.after(change).ok_or(Refused::TooManyMembers)?;
        let quorum = self.heard.quorum(self.config.me, &after);
        if after.voters != membership.voters && !quorum.is_active() {
            return Err(Refused::QuorumAtRisk { needed: quorum.needed, active: quorum.active });
        }
        Ok(())
    }

    /// However short the log is, one that has not taken anything of it yet has not caught up: a voter that has nothing may
    /// never get anything, where the others can't go on without it.
    fn check_caught_up(&self, member: Member) -> Result<(), Refused> {
        let matched = self.node.raft.prs().get(member.0).map_or(0, |progress| progress.matched);
        let has_nothing = matched <= SnapshotMark::genesis(Membership::default()).index.0;
        let behind = self.node.raft.raft_log.last_index().saturating_sub(matched);
        if behind > self.config.learner_lag_max || has_nothing {
            return Err(Refused::TooFarBehind { member, behind });
        }
        Ok(())
    }

    fn last_position(&self) -> Position {
        Position { term: self.term(), index: LogIndex(self.node.raft.raft_log.last_index()) }
    }
}

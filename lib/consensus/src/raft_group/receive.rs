//! What is looked at before the library sees a message.
//!
//! **Overtaken mismatches.** The library (0.7.0; mended upstream by pull request 557, not published) lets a mismatch
//! move `next` of a probed member to or below what that member acknowledged. Take a leader that probes at 5; the
//! member's mismatch "not 5, try 3" is delayed or doubled; probing goes on from 3 and the member acknowledges 5; then
//! a message is lost and the leader probes again, at 5. Now the old mismatch arrives and looks as if it answered this
//! probe: `next` falls to 4. If the entries before have been forgotten meanwhile, a member that lacks nothing is
//! sent a snapshot. Why the guard is right: a member acknowledges only what is durable and what its leader wrote, and
//! nothing in this term can replace that. So a mismatch of this term at an index that the member acknowledged was
//! sent earlier, whatever the order of arrival, and is dropped; and a hint below what was acknowledged is raised to
//! it, for the same reason. Messages of other terms never come so far: progress begins anew in every term.
//!
//! **Panics.** The library trusts its peers and panics where one says what cannot be: a commit beyond the log, a
//! snapshot that names no voters, a vote that arrives before the candidate's own writes are done (in which case a
//! new leader's log would not be durable), terms and indices that overflow. All are refused here by name. What remains
//! is what no member can see alone: a peer that lies about its vote, about what is durable, or about what is
//! committed within the log can break the promises of the log, as in any Raft. Peers are authenticated for that.

use raft::StateRole;

use super::RaftGroup;
use super::convert;
use crate::{LogIndex, Member, Message, MessageBody, Position, Rejected, SnapshotMark, SnapshotOffer, Term};

impl RaftGroup {
    pub(super) fn receive_checked(&mut self, from: Member, mut message: Message) -> Result<(), Rejected> {
        message.check()?;
        self.check_sender(from, &message)?;
        // Of older terms the library reads nothing but the term.
        if message.term >= self.term() {
            self.check_against_log(from, &message)?;
        }
        self.heard.note(from, self.memberships.current());
        if message.term == self.term() && self.is_leader() {
            self.mend_mismatch(from, &mut message)?;
        }
        if let MessageBody::Snapshot(mark) = &message.body
            && message.term >= self.term()
            && self.is_needed(mark)
        {
            self.snapshots.on_offer(SnapshotOffer { from, mark: mark.clone() });
            // It holds the offer back, and hears that its leader is alive.
            message.body = MessageBody::Heartbeat { commit: LogIndex(0), round: None };
        }
        let message = convert::raft_message(self.config.me, from, &message);
        // Its errors are messages of kinds or from members that were refused above.
        let _ = self.node.step(message);
        self.after_step();
        Ok(())
    }

    fn check_sender(&self, from: Member, message: &Message) -> Result<(), Rejected> {
        if from.0 == 0 || from == self.config.me {
            return Err(Rejected::BadSender(from));
        }
        // Only answers must come from members: a leader or candidate may have been added by entries that are not
        // here yet.
        if message.is_answer() && !self.memberships.current().contains(from) {
            return Err(Rejected::NotMember(from));
        }
        match self.leader() {
            Some(leader) if message.is_from_leader() && message.term == self.term() && leader != from => {
                Err(Rejected::SecondLeader { from, term: message.term, leader })
            }
            _ => Ok(()),
        }
    }

    fn check_against_log(&self, from: Member, message: &Message) -> Result<(), Rejected> {
        let last = LogIndex(self.node.raft.raft_log.last_index());
        match &message.body {
            MessageBody::Append { after, .. } => {
                let is_new = self.node.store().is_empty_newcomer() && self.node.raft.snap().is_none();
                if is_new && after.index.0 == 0 { Err(Rejected::NeedsSnapshot) } else { Ok(()) }
            }
            MessageBody::Heartbeat { commit, .. } if *commit > last => {
                Err(Rejected::LostEntries { commit: *commit, last })
            }
            MessageBody::Appended { matched, .. }
                if self.is_leader() && message.term == self.term() && *matched > last =>
            {
                Err(Rejected::BeyondLog { from, matched: *matched, last })
            }
            MessageBody::Snapshot(mark) if !mark.membership.contains(self.config.me) => {
                Err(Rejected::NotInSnapshot)
            }
            MessageBody::PreVote { granted: true, .. } | MessageBody::Vote { granted: true, .. }
                if self.is_log_under_way() =>
            {
                Err(Rejected::NotDurable)
            }
            MessageBody::TakeOver if self.is_log_under_way() => Err(Rejected::NotDurable),
            _ => Ok(()),
        }
    }

    /// See the head of this file.
    fn mend_mismatch(&mut self, from: Member, message: &mut Message) -> Result<(), Rejected> {
        if self.has_planted(super::PlantedBug::OvertakenMismatchCounts) {
            return Ok(());
        }
        let MessageBody::Mismatch { at, hint, .. } = &mut message.body else { return Ok(()) };
        let raft = &mut self.node.raft;
        let Some(progress) = raft.mut_prs().get_mut(from.0) else { return Ok(()) };
        let matched = progress.matched;
        if at.0 <= matched {
            progress.recent_active = true;
            return Err(Rejected::Overtaken(from));
        }
        let probe = match hint.term {
            Term(0) => hint.index.0,
            term => raft.raft_log.find_conflict_by_term(hint.index.0, term.0).0,
        };
        if probe < matched {
            *hint = Position { term: Term(0), index: LogIndex(matched) };
        }
        Ok(())
    }

    /// Whether the data of a snapshot is needed: the log does not have its last entry anyway.
    fn is_needed(&self, mark: &SnapshotMark) -> bool {
        let log = &self.node.raft.raft_log;
        mark.index.0 > log.committed && !log.match_term(mark.index.0, mark.term.0)
    }

    /// The data of an offered snapshot has arrived.
    pub(super) fn install_arrived(&mut self, mark: &SnapshotMark) -> bool {
        if self.snapshots.end(mark).is_none() || self.is_leader() || !self.is_needed(mark) {
            return false;
        }
        match self.leader() {
            // Whoever offered it, it holds committed entries, and these are the present leader's too.
            Some(leader) => {
                let message = Message { term: self.term(), body: MessageBody::Snapshot(mark.clone()) };
                let message = convert::raft_message(self.config.me, leader, &message);
                let _ = self.node.step(message);
            }
            None => {
                let term = self.node.raft.term;
                if self.node.raft.state != StateRole::Follower {
                    self.node.raft.become_follower(term, raft::INVALID_ID);
                }
                self.node.raft.restore(convert::snapshot(mark));
            }
        }
        self.after_step();
        self.node.raft.snap().is_some()
    }
}

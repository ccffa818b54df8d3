//! What is to be done, collected.

use alloc::vec::Vec;

use raft::Ready as RaftReady;
use raft::eraftpb::{Entry as RaftEntry, EntryType, Message as RaftMessage, MessageType};

use super::RaftGroup;
use super::convert;
use super::memberships::Memberships;
use super::pipeline::Entering;
use crate::{
    Append, Entry, EntryBody, Leadership, LogIndex, Member, MembershipChange, Message, MessageBody, Outgoing,
    Persist, Position, Ready, SnapshotWanted,
};

impl RaftGroup {
    pub(super) fn collect_ready(&mut self) -> Option<Ready> {
        self.lead_if_alone();
        self.begin_round();
        if !self.has_ready() {
            return None;
        }
        let mut raft = self.node.ready();
        let is_leader = self.is_leader();
        for read in raft.take_read_states() {
            if let Some(round) = convert::round(&read.request_ctx) {
                self.reads.confirm(round, LogIndex(read.index));
            }
        }
        let mut messages = raft.take_messages();
        messages.append(&mut raft.take_persisted_messages());
        let committed = raft.take_committed_entries();
        let is_change = committed.iter().any(|entry| entry.entry_type != EntryType::EntryNormal);
        let persist = self.collect_persist(&mut raft, is_change);
        let entering = Entering {
            number: raft.number(),
            state: convert::hard_state(&self.node.raft.hard_state()),
            must_sync: persist.as_ref().is_some_and(|persist| persist.must_sync),
            is_log: persist
                .as_ref()
                .is_some_and(|persist| persist.install.is_some() || persist.append.is_some()),
            bytes: persist.as_ref().and_then(|persist| persist.append.as_ref()).map_or(0, bytes_of),
            is_leader,
            messages: self.outgoing(&messages),
        };
        self.node.advance_append_async(raft);
        let snapshots_wanted = messages.iter().filter_map(wanted).collect();
        let committed = self.hand_out(&committed);
        self.enter_pipeline(entering);
        Some(Ready {
            persist,
            send: self.pipeline.take_released(),
            committed,
            reads: self.reads.take_answers(),
            leadership: self.tell_leadership(),
            snapshots_wanted,
            snapshot_needed: self.node.store().take_newer_needed(),
            snapshot_offered: self.snapshots.tell(),
        })
    }

    fn has_ready(&self) -> bool {
        self.node.has_ready()
            || self.pipeline.has_released()
            || self.reads.has_answers()
            || self.snapshots.untold().is_some()
            || self.node.store().is_newer_needed()
            || self.told != self.leadership()
    }

    /// A leader cannot answer reads before it has committed an entry of its term; until then they wait.
    fn begin_round(&mut self) {
        if self.is_leader()
            && self.node.raft.commit_to_current_term()
            && let Some(round) = self.reads.begin_round()
        {
            self.node.read_index(convert::round_context(Some(round)).to_vec());
        }
    }

    /// A member may lose what it knows of commits in a crash, but not of one that changed the members: else it would
    /// wait for the vote of a member that was removed, and is switched off.
    fn collect_persist(&mut self, raft: &mut RaftReady, is_change: bool) -> Option<Persist> {
        let mut hard_state = raft.hs().map(convert::hard_state);
        if is_change {
            hard_state = Some(convert::hard_state(&self.node.raft.hard_state()));
            self.changing = Some(raft.number());
        }
        let install = (!raft.snapshot().is_empty()).then(|| convert::mark(raft.snapshot()));
        if let Some(mark) = &install {
            self.node.mut_store().install(mark.clone());
            self.memberships = Memberships::new(mark);
            self.handed_out = mark.index;
            self.installing = Some((raft.number(), mark.index));
        }
        let entries = raft.take_entries();
        let append = (!entries.is_empty()).then(|| Append {
            after: self.node.mut_store().append(&entries),
            entries: entries.iter().map(convert::entry).collect(),
        });
        let is_empty = hard_state.is_none() && install.is_none() && append.is_none();
        let (number, must_sync) = (raft.number(), raft.must_sync() || is_change);
        (!is_empty).then_some(Persist { number, hard_state, install, append, must_sync })
    }

    fn enter_pipeline(&mut self, entering: Entering) {
        let entering = if entering.is_leader && self.has_planted(super::PlantedBug::LeaderBeforeItsTerm) {
            self.pipeline.release(entering)
        } else {
            entering
        };
        if let Some(settled) = self.pipeline.enter(entering) {
            self.on_settled(settled);
        }
    }

    /// All up to this ready is durable.
    pub(super) fn on_settled(&mut self, number: u64) {
        self.node.on_persist_ready(number);
        if let Some((_, index)) = self.installing.take_if(|(installing, _)| *installing <= number) {
            self.advance_applied(index);
        }
        self.changing.take_if(|changing| *changing <= number);
        self.after_step();
    }

    /// Hands out committed entries. Changes of membership come into force here.
    fn hand_out(&mut self, committed: &[RaftEntry]) -> Vec<Entry> {
        let entries: Vec<Entry> = committed.iter().map(convert::entry).collect();
        for entry in &entries {
            assert!(entry.index == self.handed_out.next(), "entries are handed out without gaps");
            self.handed_out = entry.index;
            if let EntryBody::Membership(change) = entry.body {
                self.change_membership(entry.index, change);
            }
        }
        if !entries.is_empty() {
            self.advance_applied(self.handed_out);
        }
        entries
    }

    fn change_membership(&mut self, index: LogIndex, change: MembershipChange) {
        let Some(after) = self.memberships.current().after(change) else { return };
        self.memberships.enter(index, after);
        if matches!(change, MembershipChange::Remove(_))
            && self.has_planted(super::PlantedBug::RemovedVoterCounts)
        {
            return;
        }
        self.node.apply_conf_change(&convert::conf_change(change)).expect("the change was checked");
        let is_removed = !self.memberships.current().voters.contains(&self.config.me);
        if is_removed && self.is_leader() {
            // The library would go on leading and panic at the next acknowledgement.
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, raft::INVALID_ID);
            self.after_step();
        }
    }

    fn advance_applied(&mut self, index: LogIndex) {
        if index.0 > self.node.raft.raft_log.applied() {
            self.node.advance_apply_to(index.0);
        }
    }

    fn tell_leadership(&mut self) -> Option<Leadership> {
        let now = self.leadership();
        let is_news = now != self.told;
        self.told = now;
        is_news.then_some(now)
    }

    fn outgoing(&self, messages: &[RaftMessage]) -> Vec<Outgoing> {
        let limit = self.config.message_bytes_max as usize;
        let mut outgoing = Vec::new();
        for raft in messages {
            if let Some(message) = convert::message(raft) {
                let to = Member(raft.to);
                outgoing.extend(split(message, limit).into_iter().map(|message| Outgoing { to, message }));
            }
        }
        outgoing
    }
}

fn bytes_of(append: &Append) -> u64 {
    append.entries.iter().map(|entry| entry.weight() as u64).sum()
}

fn wanted(message: &RaftMessage) -> Option<SnapshotWanted> {
    (message.msg_type == MessageType::MsgSnapshot)
        .then(|| SnapshotWanted { member: Member(message.to), mark: convert::mark(message.get_snapshot()) })
}

/// The library joins entries that were proposed one by one without a bound; here they are cut into messages again.
fn split(message: Message, limit: usize) -> Vec<Message> {
    let Message { term, body: MessageBody::Append { after, entries, commit } } = message else {
        return Vec::from([message]);
    };
    let mut parts: Vec<(Position, Vec<Entry>)> = Vec::from([(after, Vec::new())]);
    let mut weight = 0;
    for entry in entries {
        let (_, part) = parts.last_mut().expect("there is always a part");
        weight += entry.weight();
        match part.last().map(Entry::position) {
            Some(last) if weight > limit => {
                weight = entry.weight();
                parts.push((last, Vec::from([entry])));
            }
            _ => part.push(entry),
        }
    }
    let message = |(after, entries)| Message { term, body: MessageBody::Append { after, entries, commit } };
    parts.into_iter().map(message).collect()
}

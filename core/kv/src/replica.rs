//! The member of the group that this KV is: what it was told, and what it wants written and sent.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use consensus::{
    Entry, EntryBody, Leadership, LogIndex, Member, Membership, MessageBody, Recovered, SnapshotMark, Status,
};
use formats::message::member::{MemberBody, MemberMessage, MemberOf, server_of};
use formats::{Effect, Message};
use glossary::{ClusterIdentity, GroupId, NodeId};
use step::{Bug, Effects};

use crate::config::Config;
use crate::group::{Group, settings};
use crate::held::Held;
use crate::unwritten::{Anew, Taken, Unwritten};

/// A group of one forgets entries in memory once they have so many bytes: nobody else will ask for them.
const FORGET_BYTES: usize = 1 << 20;

/// Nodes that are remembered to have said who they are: more than a group can have members.
const HEARD_MAX: usize = 64;

/// A member of the group.
#[derive(Debug)]
pub(crate) struct Replica<C> {
    /// Of which group.
    of: GroupId,
    pub(crate) group: C,
    pub(crate) cluster: ClusterIdentity,
    me: Member,
    /// What it goes up to.
    pub(crate) level: u32,
    /// Drawn at its start.
    pub(crate) seed: u64,
    bug: Option<Bug>,
    nodes: BTreeMap<Member, NodeId>,
    kept_entries: u64,
    pub(crate) leadership: Leadership,
    /// Who belongs to the group, as [`consensus::Status`] has it.
    pub(crate) membership: Membership,
    /// Whether nobody else has a vote.
    pub(crate) is_alone: bool,
    /// Whether there are others, with a vote or without.
    pub(crate) has_others: bool,
    /// The members that nodes said they are.
    heard: BTreeMap<NodeId, Member>,
    pub(crate) unwritten: Unwritten,
    /// The next batch begins the log anew with this.
    begins: Option<Anew>,
    /// It asks for no votes: it has nothing to answer from.
    pub(crate) is_mute: bool,
    /// Bytes of entries that were applied and are still in memory.
    kept_bytes: usize,
    /// What may wait a moment before it is said.
    pub(crate) held: Held,
}

impl<C: Group> Replica<C> {
    pub(crate) fn open<F>(
        config: &Config<F>,
        of: GroupId,
        seed: u64,
        recovered: Recovered,
        begins: Option<Anew>,
    ) -> Result<Self, String> {
        let Recovered { hard_state, mark, entries } = recovered.clone();
        let unwritten = Unwritten::new(hard_state, mark.index, entries);
        let mut consensus = C::open(settings(config.me, seed), recovered)
            .map_err(|error| format!("the KV's log makes no member of its group: {error}"))?;
        consensus.plant(config.bug);
        let leadership = consensus.status().leadership;
        let mut replica = Replica {
            of,
            group: consensus,
            cluster: config.cluster,
            me: config.me,
            level: config.level,
            seed,
            bug: config.bug,
            nodes: config.nodes.clone(),
            kept_entries: config.kept_entries,
            leadership,
            membership: Membership::default(),
            is_alone: false,
            has_others: false,
            heard: BTreeMap::new(),
            unwritten,
            begins,
            is_mute: false,
            kept_bytes: 0,
            held: Held::default(),
        };
        replica.on_members();
        Ok(replica)
    }

    /// Whether this planted mistake is to be made.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Others belong to the group than before. Who leads is told apart from that ([`consensus::Ready::leadership`]):
    /// whoever waits for a leader's answer must hear when it leads no more.
    pub(crate) fn on_members(&mut self) {
        let membership = self.group.status().membership;
        self.is_alone = membership.is_led_by_none_but(self.me);
        self.has_others = !self.is_alone || !membership.learners.is_empty();
        self.membership = membership;
    }

    /// What the state stands for, as it is now.
    pub(crate) fn mark(&self) -> Option<SnapshotMark> {
        self.group.mark(self.unwritten.applied())
    }

    /// A checkpoint is durable, or a state is kept for others: it stands for what is before it.
    pub(crate) fn on_state_kept(&mut self, mark: &SnapshotMark) {
        let kept = if self.has_others { self.kept_entries } else { 0 };
        // It is refused where a group of one has forgotten more by itself.
        let _ = self.group.compact(mark, LogIndex(mark.index.0.saturating_sub(kept)));
    }

    pub(crate) fn persisted(&mut self, number: u64) {
        self.group.persisted(number);
    }

    /// Whether something is to be written for which somebody waits.
    pub(crate) fn is_due(&self) -> bool {
        self.unwritten.is_due()
    }

    /// Whether something is to be written, though nobody may wait for it.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten.is_there()
    }

    /// With what the log must begin anew.
    pub(crate) fn begins(&self) -> Option<&Anew> {
        self.begins.as_ref()
    }

    /// All that is to be written.
    pub(crate) fn take_unwritten(&mut self, anew: Option<&Anew>) -> Taken {
        let Some(Anew { upon, .. }) = anew else { return self.unwritten.take(None) };
        let install = self.begins.take().and_then(|begins| begins.install).or_else(|| {
            // With it the log alone says what the group's member is, whatever becomes of its state.
            self.mark().filter(|mark| upon.is_some() && *mark != SnapshotMark::default())
        });
        self.unwritten.take(Some(&Anew { upon: *upon, install }))
    }

    /// The entry after the last applied one is applied.
    pub(crate) fn on_applied(&mut self, entry: &Entry) {
        self.unwritten.on_applied(entry.index);
        if matches!(entry.body, EntryBody::Membership(_)) {
            self.on_members();
        }
        self.kept_bytes += entry.weight();
        if !self.has_others && self.kept_bytes >= FORGET_BYTES {
            self.kept_bytes = 0;
            if let Some(mark) = self.mark() {
                // The files have them. A member that joins needs a state of its own.
                let _ = self.group.compact(&mark, mark.index);
            }
        }
    }

    /// How far the log is applied.
    pub(crate) fn applied(&self) -> LogIndex {
        self.unwritten.applied()
    }

    pub(crate) fn tick(&mut self) {
        self.group.tick();
    }

    /// The next batch begins the log anew.
    pub(crate) fn begin_with(&mut self, anew: Anew) {
        self.begins = Some(anew);
        self.kept_bytes = 0;
    }

    /// Why nothing can be changed through this member, in words, and who it is to its group.
    pub(crate) fn status(&self) -> Status {
        self.group.status()
    }

    /// Of which group it is a member.
    pub(crate) fn of(&self) -> GroupId {
        self.of
    }

    /// The group begins here: so the log says.
    pub(crate) fn begin_group(&mut self, mark: &SnapshotMark) {
        self.unwritten.begin_group(mark);
    }

    /// This member.
    pub(crate) fn me(&self) -> Member {
        self.me
    }

    /// Whether it belongs to the group, as far as it knows.
    pub(crate) fn is_member(&self) -> bool {
        self.group.status().membership.contains(self.me)
    }

    /// The member that a node is, as it said last, or as is known from the settings.
    pub(crate) fn member_at(&self, node: NodeId) -> Option<Member> {
        let told = || self.nodes.iter().find(|(_, at)| **at == node).map(|(member, _)| *member);
        self.heard.get(&node).copied().or_else(told)
    }

    /// Who said something to whom: none where that can't be, or is not for this member.
    pub(crate) fn address(&mut self, node: NodeId, from: Member, to: Member) -> Option<Member> {
        let is_it = self.node_of(from) == node && from != self.me && to == self.me;
        if is_it && (self.heard.len() < HEARD_MAX || self.heard.contains_key(&node)) {
            self.heard.insert(node, from);
        }
        is_it.then_some(from)
    }

    /// Where a member is: where the settings say, or at its server's place for a KV.
    pub(crate) fn node_of(&self, member: Member) -> NodeId {
        let place = || NodeId::kv_of(server_of(member));
        self.nodes.get(&member).copied().unwrap_or_else(place)
    }

    /// Whether this member has nothing of the log yet, and yet is asked for its vote by one that knows of commits. It
    /// may be a member that lost its disk, and what it had acknowledged with it: it must not help to elect a leader that
    /// lacks that. One that leads already brings it up to date.
    pub(crate) fn is_asked_too_early(&self, message: &consensus::Message) -> bool {
        let (MessageBody::AskVote { canvass, .. } | MessageBody::AskPreVote(canvass)) = &message.body else {
            return false;
        };
        let genesis = SnapshotMark::genesis(Membership::default()).index;
        canvass.commit.index > genesis && self.group.status().last <= genesis
    }

    /// Sends to another member.
    pub(crate) fn send(&self, to: Member, body: MemberBody, effects: &mut Effects<Effect>) {
        self.send_to_node(self.node_of(to), body, effects);
    }

    /// Sends to a server, whichever member that is.
    pub(crate) fn send_to_node(&self, to: NodeId, body: MemberBody, effects: &mut Effects<Effect>) {
        let message = MemberMessage { cluster: self.cluster, body };
        let message = match self.of {
            GroupId::ROOT => Message::Member(message),
            group => Message::MemberOf(MemberOf { group, message }),
        };
        effects.push(Effect::Send { to, message });
    }

    /// Says something about the log to another member.
    pub(crate) fn say(&mut self, to: Member, message: consensus::Message, effects: &mut Effects<Effect>) {
        if self.is_mute && matches!(message.body, MessageBody::AskVote { .. } | MessageBody::AskPreVote(_)) {
            return;
        }
        if let Some(message) = self.held.pass(to, message) {
            self.send(to, MemberBody::Addressed { from: self.me, to, message }, effects);
        }
    }

    /// Says what waited long enough.
    pub(crate) fn say_held(&mut self, effects: &mut Effects<Effect>) {
        for (to, message) in self.held.take() {
            self.send(to, MemberBody::Addressed { from: self.me, to, message }, effects);
        }
    }
}

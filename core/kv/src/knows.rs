//! Which versions of functions members know, so that no command is logged that one of them can't apply.
//!
//! A member whose functions are newer than the first writes so into the map, under a key of its own, and in the root group
//! the level of its program (`level.rs`): it asks its leader as anybody would, and again until it has applied that itself. So
//! what is known survives leaders and starts, is in every snapshot, and costs nothing after that. Who has written nothing knows
//! the first versions.

use alloc::vec::Vec;
use consensus::Member;
use core::iter;
use formats::kv_store::{self, knows_key};
use formats::message::kv::{FunctionId, KvBody, KvCommand, KvError, KvRequest, KvStep};
use formats::{Effect, Message};
use glossary::GroupId;
use step::{Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::device::Device;
use crate::group::Group;
use crate::hash;
use crate::hosted::Hosted;
use crate::records::Saying;

/// What a member has said of itself to its leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcing {
    /// Its sessions before this one, which are forgotten.
    forgotten: u64,
    /// Whether the session was seen in the state.
    is_begun: bool,
    /// Its last command.
    sequence: u64,
    saying: Saying,
}

/// The versions of functions that a command needs, others than the first.
pub(crate) fn needs(command: &KvCommand) -> impl Iterator<Item = (FunctionId, u32)> {
    let steps: &[KvStep] = match command {
        KvCommand::Sequence(steps) | KvCommand::Steps(steps) => steps,
        KvCommand::Function { .. } => &[],
    };
    steps.iter().filter_map(|step| match step {
        KvStep::Function { function, version, .. } if *version > 0 => Some((*function, *version)),
        _ => None,
    })
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Refuses a command that a member of the group can't apply, as far as it has said.
    pub(crate) fn check_known(&self, command: &KvCommand) -> Result<(), KvError> {
        for (function, version) in needs(command) {
            if let Some(member) = self.members().find(|member| self.version_at(*member, function) < version) {
                return Err(KvError::TooNew { function, version, member });
            }
        }
        Ok(())
    }

    /// The members, this one first.
    fn members(&self) -> impl Iterator<Item = Member> {
        let me = self.replica.me();
        let membership = self.replica.status().membership;
        let others = membership.voters.into_iter().chain(membership.learners);
        iter::once(me).chain(others.filter(move |member| *member != me))
    }

    fn version_at(&self, member: Member, function: FunctionId) -> u32 {
        if member == self.replica.me() {
            return self.state.version(function);
        }
        let known = self.announced(member);
        known.iter().find(|(known, _)| *known == function).map_or(0, |(_, version)| *version)
    }

    /// What a member has said that it knows.
    fn announced(&self, member: Member) -> Vec<(FunctionId, u32)> {
        // Nobody writes anything else there; who does is taken for one that knows the first versions.
        self.state.map.get(&knows_key(member)).and_then(kv_store::decode_knows).unwrap_or_default()
    }

    /// A command of this member's own. Nobody waits for the answer.
    pub(crate) fn own_command(&mut self, command: KvCommand) -> KvRequest {
        let mut session = self.own_session();
        let sessions = &self.state.sessions;
        let is_forgotten = sessions.answer(session, self.announcing.sequence + 1).is_some();
        if !sessions.has(session) && (self.announcing.is_begun || is_forgotten) {
            let forgotten = self.announcing.forgotten + 1;
            self.announcing =
                Announcing { forgotten, saying: self.announcing.saying, ..Announcing::default() };
            session = self.own_session();
        }
        self.announcing.is_begun = self.state.sessions.has(session);
        self.announcing.sequence += 1;
        let sequence = self.announcing.sequence;
        let answered_below = if self.announcing.is_begun { sequence } else { 1 };
        let body = KvBody::Command { session, sequence, answered_below, command };
        KvRequest { request: sequence, body }
    }

    fn own_session(&self) -> u64 {
        let own = self.replica.seed ^ self.replica.me().0;
        match self.announcing.forgotten {
            0 => own,
            forgotten => hash::mix([own, forgotten]),
        }
    }

    /// What is known here, others than the first versions; in the root group the level too.
    fn known(&self) -> Vec<(FunctionId, u32)> {
        let mut known = self.state.versions();
        if self.replica.of() == GroupId::ROOT && self.replica.level > 0 {
            known.push((FunctionId::LEVEL, self.replica.level));
        }
        known
    }

    /// Whether what is known here is in the map.
    pub(crate) fn has_announced(&self) -> bool {
        self.announced(self.replica.me()) == self.known()
    }

    /// A tick is over: says to the leader what is known here, where that is not in the map.
    pub(crate) fn announce(
        &mut self,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let Some(leader) = self.leadership().leader.filter(|_| !self.has_announced()) else { return };
        if !self.announcing.saying.is_due() {
            return;
        }
        let me = self.replica.me();
        let steps =
            alloc::vec![KvStep::Set { key: knows_key(me), value: kv_store::encode_knows(&self.known()) }];
        if leader == me {
            // What is refused now is tried again.
            let _ = self.say(steps, device, counters, effects);
            return;
        }
        let request = self.own_command(KvCommand::Sequence(steps));
        let message = Message::to_kv(self.replica.of(), request);
        effects.push(Effect::Send { to: self.replica.node_of(leader), message });
    }
}

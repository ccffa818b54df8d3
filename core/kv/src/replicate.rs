//! Serving as a member of the group: what is proposed, and what the group wants done.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use consensus::{
    Entry, EntryBody, Leadership, LogIndex, Member, MembershipChange, MessageBody, ReadAnswer, Ready,
    Refused, Rejected, Role,
};
use formats::Effect;
use formats::kv_store::{decode_entry, encode_entry};
use formats::message::kv::{KvAnswer, KvCommand, KvError, KvStep};
use formats::message::member::{MemberBody, MemberMessage};
use glossary::NodeId;
use step::{Bug, Effects, Function};

use crate::asked::Asked;
use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::group::Group;
use crate::hosted::{Hosted, reply};
use crate::limits::{MAX_PROPOSAL_BYTES, MAX_UNDER_WAY};
use crate::proposals::Proposal;
use crate::sleep;

impl<F: Function, C: Group> Hosted<F, C> {
    /// Whether nobody else has a vote.
    pub(crate) fn is_alone(&self) -> bool {
        self.replica.is_alone
    }

    pub(crate) fn leadership(&self) -> Leadership {
        self.replica.leadership
    }

    /// Does what the group wants, until it wants nothing.
    pub(crate) fn pump(
        &mut self,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        while let Some(ready) = self.replica.group.take_ready() {
            self.on_ready(ready, counters, effects)?;
        }
        while let Some(questions) = self.proposals.ready(self.replica.unwritten.applied()) {
            questions.into_iter().for_each(|asked| self.settle(asked, counters, effects));
        }
        self.wake(counters, effects);
        Ok(())
    }

    /// Another member says something.
    pub(crate) fn on_member(
        &mut self,
        from: NodeId,
        message: MemberMessage,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let member = match message.body {
            _ if message.cluster != self.replica.cluster => None,
            MemberBody::Addressed { from: member, to, .. } => self.replica.address(from, member, to),
            _ => self.replica.member_at(from),
        };
        let Some(member) = member else {
            counters.add(Counter::Rejected, 1);
            return Ok(());
        };
        if sleep::wakes(&message.body) {
            self.wake_up();
        }
        match message.body {
            MemberBody::Sleep { term, last } => self.on_sleep(member, term, last),
            MemberBody::Consensus(message) | MemberBody::Addressed { message, .. } => {
                self.receive(member, message, counters)?;
            }
            MemberBody::Standing(standing) => self.on_standing(member, standing, counters),
            body => self.on_transfer(member, body, effects),
        }
        self.pump(counters, effects)
    }

    fn receive(
        &mut self,
        from: Member,
        message: consensus::Message,
        counters: &mut Counters,
    ) -> Result<(), String> {
        // A member without its state would only disturb who leads.
        let is_unable = self.healing.is_some() && message.body == MessageBody::TakeOver;
        if is_unable || self.replica.is_asked_too_early(&message) {
            counters.add(Counter::Rejected, 1);
            return Ok(());
        }
        match self.replica.group.receive(from, message) {
            Ok(()) => Ok(()),
            Err(Rejected::LostEntries { commit, last }) => Err(format!(
                "this member of the KV's group lost what it had written: its leader counts on entries up to {commit}, \
                 the log here ends at {last}, perhaps since its disk was replaced; let this server join its group under a new \
                 number (ovs kv rejoin)"
            )),
            Err(_) => {
                counters.add(Counter::Rejected, 1);
                Ok(())
            }
        }
    }

    fn on_ready(
        &mut self,
        ready: Ready,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        if let Some(persist) = ready.persist {
            let is_vote = persist.append.is_none() && persist.install.is_none();
            if is_vote && self.replica.has(Bug::KvVotesBeforeSync) {
                self.replica.persisted(persist.number);
            }
            let installed = persist.install.clone();
            self.replica.unwritten.push(persist);
            if let Some(mark) = installed {
                self.install(&mark, counters);
                self.replica.on_members();
            }
        }
        for outgoing in ready.send {
            self.replica.say(outgoing.to, outgoing.message, effects);
        }
        for entry in ready.committed {
            self.on_committed(entry, counters, effects)?;
        }
        for read in ready.reads {
            match read {
                ReadAnswer::Confirmed { context, index } => self.proposals.confirm(context, index),
                ReadAnswer::Lost { context } => {
                    let asked = self.proposals.lose(context);
                    self.turn_away(asked, &KvError::Unavailable, effects);
                }
            }
        }
        if let Some(leadership) = ready.leadership {
            self.on_leadership(leadership, effects);
        }
        if ready.snapshot_needed {
            self.freeze();
        }
        if let Some(offer) = ready.snapshot_offered {
            self.on_offered(offer, effects);
        }
        Ok(())
    }

    fn on_committed(
        &mut self,
        entry: Entry,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let (own, lost) = self.proposals.take(entry.position());
        self.turn_away(lost, &KvError::Unavailable, effects);
        if let EntryBody::Membership(MembershipChange::Remove(_)) = entry.body {
            self.on_removed();
        }
        if let Some(healing) = &mut self.healing {
            healing.miss(entry.clone());
            self.replica.on_applied(&entry);
            self.settle_changes(entry.position(), effects);
            return Ok(());
        }
        // It goes on, and wants no state.
        self.unreadable = None;
        match (&entry.body, own) {
            (EntryBody::Command(_), Some(asked)) => {
                asked.into_iter().for_each(|asked| self.settle(asked, counters, effects));
            }
            (EntryBody::Command(command), None) => self.apply_entry(entry.index, command, counters)?,
            (EntryBody::Nothing | EntryBody::Membership(_), _) => {}
        }
        self.replica.on_applied(&entry);
        self.pass(counters);
        self.settle_changes(entry.position(), effects);
        Ok(())
    }

    /// Applies the commands of an entry that nobody here waits for.
    pub(crate) fn apply_entry(
        &mut self,
        index: LogIndex,
        command: &[u8],
        counters: &mut Counters,
    ) -> Result<(), String> {
        let commands = decode_entry(command).ok_or_else(|| {
            format!(
                "entry {index} of the KV's group makes no sense here: a newer program wrote it; start that program"
            )
        })?;
        let applied = commands.len().saturating_sub(self.passed_over(index));
        for command in commands.iter().take(applied) {
            if let Some((function, version)) = self.state.lacks(&command.command) {
                return Err(format!(
                    "entry {index} of the KV's group needs version {version} of function {}, which this program lacks: a \
                     newer one wrote it; start that program",
                    function.0
                ));
            }
            counters.add(Counter::Commands, 1);
            self.state.apply(command);
        }
        Ok(())
    }

    fn on_leadership(&mut self, leadership: Leadership, effects: &mut Effects<Effect>) {
        let was_leader = self.replica.leadership.role == Role::Leader;
        let is_same = was_leader && self.replica.leadership.term == leadership.term;
        self.replica.leadership = leadership;
        if leadership.role == Role::Leader && !is_same {
            self.begin_changes();
        }
        if was_leader && !(is_same && leadership.role == Role::Leader) {
            // What was proposed may be committed or not: whoever asked asks again, and hears it from its session.
            let open = self.proposals.take_all();
            self.turn_away(open, &KvError::Unavailable, effects);
            self.give_up_changes(effects);
            let waiting = self.queue.take_all();
            self.turn_away(waiting, &KvError::NotLeader { leader: leadership.leader }, effects);
        }
    }

    /// Proposes what waits. Alone, one batch at a time, when the log can write: what comes while it is written is the next.
    pub(crate) fn propose(
        &mut self,
        can_write: bool,
        device: &Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        if !self.queue.is_empty() {
            self.wake_up();
        }
        if self.is_alone() {
            if let Some(batch) = can_write.then(|| self.next_batch(counters, effects)).flatten() {
                self.propose_all(batch, effects);
            }
        } else {
            while !self.queue.is_empty() && self.may_propose(device) {
                let batch = self.queue.take_batch();
                let (commands, questions): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|asked| asked.command().is_some());
                self.propose_all(commands, effects);
                if self.replica.has(Bug::KvReadsWithoutQuorum) {
                    questions.into_iter().for_each(|asked| self.settle(asked, counters, effects));
                } else {
                    self.ask(questions, effects);
                }
            }
        }
        self.pump(counters, effects)
    }

    /// Questions pass what waits for room.
    fn may_propose(&self, device: &Device) -> bool {
        let (proposals, rounds) = self.proposals.count();
        (proposals < MAX_UNDER_WAY || self.is_stuck(device)) && rounds < MAX_UNDER_WAY
    }

    /// Makes entries of requests that begin with a command: of several, where they are large.
    fn propose_all(&mut self, asked: Vec<Asked>, effects: &mut Effects<Effect>) {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for asked in asked {
            if bytes >= MAX_PROPOSAL_BYTES && asked.command().is_some() {
                self.propose_one(core::mem::take(&mut part), effects);
                bytes = 0;
            }
            bytes += asked.command().map_or(0, |_| asked.bytes());
            part.push(asked);
        }
        if !part.is_empty() {
            self.propose_one(part, effects);
        }
    }

    fn propose_one(&mut self, asked: Vec<Asked>, effects: &mut Effects<Effect>) {
        let commands: Vec<_> = asked.iter().filter_map(Asked::command).collect();
        let command = encode_entry(commands.into_iter());
        match self.replica.group.propose(command.into()) {
            Ok(position) => {
                if self.replica.has(Bug::KvAnswersBeforeQuorum) {
                    answer_early(&asked, effects);
                }
                self.proposals.push(Proposal { position, asked });
            }
            Err(refused) => self.turn_away(asked, &refusal(refused), effects),
        }
    }

    fn ask(&mut self, questions: Vec<Asked>, effects: &mut Effects<Effect>) {
        if questions.is_empty() {
            return;
        }
        let proposed = self.proposals.last();
        let context = self.proposals.ask(questions, proposed);
        if let Err(refused) = self.replica.group.read(context) {
            let asked = self.proposals.lose(context);
            self.turn_away(asked, &refusal(refused), effects);
        }
    }
}

/// A planted mistake: of commands that nothing is asserted of it is known what will be answered.
fn answer_early(asked: &[Asked], effects: &mut Effects<Effect>) {
    let is_sure = |command: &KvCommand| match command {
        KvCommand::Sequence(steps) => {
            steps.iter().all(|step| matches!(step, KvStep::Set { .. } | KvStep::Delete { .. }))
        }
        KvCommand::Function { .. } | KvCommand::Steps(_) => false,
    };
    for asked in asked.iter().filter(|asked| asked.command().is_some_and(|logged| is_sure(&logged.command))) {
        reply(asked.from, asked.request, KvAnswer::Done(Vec::new()), effects);
    }
}

fn refusal(refused: Refused) -> KvError {
    match refused {
        Refused::NotLeader { leader } => KvError::NotLeader { leader },
        _ => KvError::Unavailable,
    }
}

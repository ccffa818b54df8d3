//! Requests: answered at once, gathered for the next batch, or turned away.

use alloc::vec::Vec;
use consensus::{Leadership, Role};
use formats::Effect;
use formats::journal::PAGE;
use formats::kv_store::LoggedCommand;
use formats::message::kv::{Consistency, KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvRequest};
use glossary::NodeId;
use step::{Bug, Effects, Function};

use crate::asked::{Asked, What};
use crate::counters::{Counter, Counters};
use crate::device::Device;
use crate::group::Group;
use crate::hosted::{Hosted, reply};
use crate::limits;

impl<F: Function, C: Group> Hosted<F, C> {
    /// A request came. `None`: its answer comes later, or has been on its way already.
    pub(crate) fn on_request(
        &mut self,
        from: NodeId,
        request: KvRequest,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<KvAnswer> {
        let is_bug = self.replica.has(Bug::KvHealingServes) && matches!(request.body, KvBody::Query(_));
        if let Some(answer) = self.without_state().filter(|_| !is_bug) {
            counters.add(Counter::NotNow, 1);
            return Some(answer);
        }
        let what = match request.body {
            KvBody::Query(query) => {
                match self.on_query((from, request.request), query, None, device, counters, effects) {
                    Ok(what) => what,
                    Err(answer) => return answer,
                }
            }
            KvBody::Read { consistency, query } => {
                let place = (from, request.request);
                match self.on_query(place, query, Some(consistency), device, counters, effects) {
                    Ok(what) => what,
                    Err(answer) => return answer,
                }
            }
            KvBody::Command { session, sequence, answered_below, command } => {
                let command = LoggedCommand { session, sequence, answered_below, command };
                if let Some(answer) = self.without_log(&command, device, counters, effects) {
                    return answer;
                }
                match self.admit(from, command, device.now, counters) {
                    Ok(what) => what,
                    Err(error) => return Some(KvAnswer::Failed(error)),
                }
            }
        };
        self.queue.push(Asked { from, request: request.request, what }).err().map(|_| {
            counters.add(Counter::NotNow, 1);
            KvAnswer::Failed(KvError::Unavailable)
        })
    }

    /// A question came: what waits for its turn, or the answer, if there is one by now.
    fn on_query(
        &mut self,
        asked: (NodeId, u64),
        query: KvQuery,
        consistency: Option<Consistency>,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<What, Option<KvAnswer>> {
        if let Err(error) = limits::check_query(&query) {
            counters.add(Counter::TooLarge, 1);
            return Err(Some(KvAnswer::Failed(error)));
        }
        let at_least = match (&query, consistency) {
            // Its index says what it sees, wherever it is asked.
            (KvQuery::Watch { after, .. }, _) => Some(*after),
            (_, Some(Consistency::AtLeast(index))) => Some(index),
            (_, Some(Consistency::Stale)) => Some(0),
            (_, Some(Consistency::Linearizable) | None) => None,
        };
        if let Some(at_least) = at_least {
            return Err(self.read_at(asked, at_least, query, device, counters, effects));
        }
        let is_indexed = consistency.is_some();
        if self.is_settled(device) || self.replica.has(Bug::KvFollowerAnswers) {
            return Err(Some(self.query(&query, is_indexed, counters)));
        }
        if self.is_asleep() && self.not_leading().is_none() && self.replica.has(Bug::KvSleeperAnswers) {
            return Err(Some(self.query(&query, is_indexed, counters)));
        }
        self.not_leading().map_or(Ok(What::Query { query, is_indexed }), |answer| Err(Some(answer)))
    }

    /// What becomes of a command that need not, or can't, be logged; `Some(None)` when it is on its way.
    fn without_log(
        &mut self,
        command: &LoggedCommand,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<Option<KvAnswer>> {
        if let Err(error) = limits::check_command(&command.command) {
            counters.add(Counter::TooLarge, 1);
            return Some(Some(KvAnswer::Failed(error)));
        }
        let again = self.state.sessions.answer(command.session, command.sequence);
        let is_stuck = self.is_stuck(device);
        if again.is_some() || self.queue.holds(command.session, command.sequence) {
            counters.add(Counter::CommandsAgain, 1);
            // Who asks again is told why it waits. It may be applied once there is room.
            return Some(again.or_else(|| is_stuck.then_some(KvAnswer::Failed(KvError::Full))));
        }
        if let Some(answer) = self.not_leading() {
            return Some(Some(answer));
        }
        if let Err(error) = self.check_known(&command.command) {
            return Some(Some(KvAnswer::Failed(error)));
        }
        if is_stuck {
            return Some(Some(KvAnswer::Failed(KvError::Full)));
        }
        if !has_room_for(device, &command.command) {
            device.room.turned_away(logged_bytes(&command.command));
            counters.add(Counter::Refused, 1);
            device.await_room(effects);
            return Some(Some(KvAnswer::Failed(KvError::Full)));
        }
        None
    }

    /// Whether no command can be kept before somebody makes room.
    pub(crate) fn is_stuck(&self, device: &Device) -> bool {
        device.log.is_full() || !self.can_keep(device.disk_room())
    }

    /// Whether a question can be answered now: nobody else can have changed anything, and no command that came before
    /// it waits, or the disk is full and nobody knows when one will go on.
    fn is_settled(&self, device: &Device) -> bool {
        self.is_alone() && (device.log.is_full() || (self.queue.is_empty() && self.proposals.is_empty()))
    }

    /// What to answer where another member is to be asked.
    fn not_leading(&self) -> Option<KvAnswer> {
        let Leadership { role, leader, .. } = self.leadership();
        (role != Role::Leader).then_some(KvAnswer::Failed(KvError::NotLeader { leader }))
    }

    fn query(&self, query: &KvQuery, is_indexed: bool, counters: &mut Counters) -> KvAnswer {
        counters.add(Counter::Queries, 1);
        if is_indexed { self.state.query_at(query) } else { self.state.query(query) }
    }

    /// Answers a request whose turn has come: a command that is durable, or a question after it.
    pub(crate) fn settle(&mut self, asked: Asked, counters: &mut Counters, effects: &mut Effects<Effect>) {
        let Asked { from, request, what } = asked;
        let body = match what {
            What::Query { query, is_indexed } => self.query(&query, is_indexed, counters),
            What::Command(command) => {
                counters.add(Counter::Commands, 1);
                self.queue.settle(&command);
                self.state.apply(&command)
            }
            What::OfUnknown(command) => {
                return self.settle_unknown((from, request), command, counters, effects);
            }
        };
        reply(from, request, body, effects);
    }

    /// The requests for the next entries, with a command among them. Questions that stand alone are answered.
    pub(crate) fn next_batch(
        &mut self,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<Vec<Asked>> {
        while !self.queue.is_empty() {
            let batch = self.queue.take_batch();
            if batch.iter().any(|asked| asked.command().is_some()) {
                return Some(batch);
            }
            batch.into_iter().for_each(|asked| self.settle(asked, counters, effects));
        }
        None
    }

    /// Requests come to nothing here.
    pub(crate) fn turn_away(
        &mut self,
        asked: impl IntoIterator<Item = Asked>,
        error: &KvError,
        effects: &mut Effects<Effect>,
    ) {
        for asked in asked {
            if let Some(command) = asked.command() {
                self.queue.settle(command);
            }
            reply(asked.from, asked.request, KvAnswer::Failed(error.clone()), effects);
        }
    }

    /// The disk is full: commands that wait are turned away, and those that are proposed wait for room, since they
    /// may be on the disk. Questions are answered, at once where no other member needs to be asked.
    pub(crate) fn on_full(&mut self, counters: &mut Counters, effects: &mut Effects<Effect>) {
        let (commands, questions): (Vec<_>, Vec<_>) =
            self.queue.take_all().into_iter().partition(|asked| asked.command().is_some());
        self.turn_away(commands, &KvError::Full, effects);
        if self.is_alone() {
            let proposed = self.proposals.take_questions();
            proposed.into_iter().chain(questions).for_each(|asked| self.settle(asked, counters, effects));
        } else {
            // They had their place in the queue.
            questions.into_iter().for_each(|asked| drop(self.queue.push(asked)));
        }
    }
}

/// Whether a command may be logged: what is reserved for checkpoints stays free.
fn has_room_for(device: &Device, command: &KvCommand) -> bool {
    let bytes = device.queued() + logged_bytes(command);
    device.room.has(bytes, device.reserve(limits::only_removes(command)))
}

/// Bytes of the log that a command takes alone.
fn logged_bytes(command: &KvCommand) -> u64 {
    limits::command_bytes(command) as u64 + PAGE
}

//! Requests: answered at once, gathered for the next batch, or turned away.

use alloc::vec::Vec;
use formats::Effect;
use formats::journal::PAGE;
use formats::kv_store::LoggedCommand;
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvRequest};
use glossary::NodeId;
use step::{Effects, Function};

use crate::asked::{Asked, Batch, What};
use crate::counters::{Counter, Counters};
use crate::limits;
use crate::serving::{Serving, reply};

impl<F: Function> Serving<F> {
    /// A request came. `None`: its answer comes later, or has been on its way already.
    pub(crate) fn on_request(
        &mut self,
        from: NodeId,
        request: KvRequest,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<KvAnswer> {
        let what = match request.body {
            KvBody::Query(query) => {
                if let Err(error) = limits::check_query(&query) {
                    counters.add(Counter::TooLarge, 1);
                    return Some(KvAnswer::Failed(error));
                }
                if self.is_settled() {
                    return Some(self.query(&query, counters));
                }
                What::Query(query)
            }
            KvBody::Command { session, sequence, answered_below, command } => {
                let command = LoggedCommand { session, sequence, answered_below, command };
                if let Some(answer) = self.without_log(&command, counters, effects) {
                    return answer;
                }
                What::Command(command)
            }
        };
        self.queue.push(Asked { from, request: request.request, what }).err().map(|_| {
            counters.add(Counter::NotNow, 1);
            KvAnswer::Failed(KvError::Unavailable)
        })
    }

    /// What becomes of a command that need not, or can't, be logged; `Some(None)` when it is on its way.
    fn without_log(
        &mut self,
        command: &LoggedCommand,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<Option<KvAnswer>> {
        if let Err(error) = limits::check_command(&command.command) {
            counters.add(Counter::TooLarge, 1);
            return Some(Some(KvAnswer::Failed(error)));
        }
        let again = self.state.sessions.answer(command.session, command.sequence);
        if again.is_some() || self.queue.holds(command.session, command.sequence) {
            counters.add(Counter::CommandsAgain, 1);
            return Some(again);
        }
        if self.log.is_full() {
            return Some(Some(KvAnswer::Failed(KvError::Full)));
        }
        if !self.has_room_for(&command.command) {
            self.room.turned_away(logged_bytes(&command.command));
            counters.add(Counter::Refused, 1);
            self.await_room(effects);
            return Some(Some(KvAnswer::Failed(KvError::Full)));
        }
        None
    }

    /// Whether a command may be logged: what is reserved for snapshots stays free.
    fn has_room_for(&self, command: &KvCommand) -> bool {
        let bytes = self.queue.bytes() + logged_bytes(command);
        let rounds = if limits::only_removes(command) { 1 } else { 2 };
        self.room.has(bytes, rounds * self.state.snapshot_bytes())
    }

    /// Whether a question can be answered now: no command that came before it waits, or the disk is full and
    /// nobody knows when one will go on.
    fn is_settled(&self) -> bool {
        self.log.is_full() || (self.queue.is_empty() && self.log.batch().is_none())
    }

    fn query(&self, query: &KvQuery, counters: &mut Counters) -> KvAnswer {
        counters.add(Counter::Queries, 1);
        self.state.query(query)
    }

    /// Answers a request whose turn has come: a command that is durable, or a question after it.
    pub(crate) fn settle(&mut self, asked: Asked, counters: &mut Counters, effects: &mut Effects<Effect>) {
        let body = match &asked.what {
            What::Query(query) => self.query(query, counters),
            What::Command(command) => {
                counters.add(Counter::Commands, 1);
                self.queue.settle(command);
                self.state.apply(command)
            }
        };
        reply(asked.from, asked.request, body, effects);
    }

    /// The requests for the next batch, with a command among them. Questions that stand alone are answered.
    pub(crate) fn next_batch(
        &mut self,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Option<Batch> {
        while !self.queue.is_empty() {
            let batch = self.queue.take_batch();
            if batch.asked.iter().any(|asked| asked.command().is_some()) {
                return Some(batch);
            }
            batch.asked.into_iter().for_each(|asked| self.settle(asked, counters, effects));
        }
        None
    }

    /// The disk is full: questions are answered, commands that wait are turned away, and those that are being
    /// written wait for room, since they may be on the disk.
    pub(crate) fn on_full(&mut self, counters: &mut Counters, effects: &mut Effects<Effect>) {
        let mut questions = Vec::new();
        if let Some(batch) = self.log.batch_mut() {
            let (commands, others) =
                core::mem::take(&mut batch.asked).into_iter().partition(|asked| asked.command().is_some());
            (batch.asked, questions) = (commands, others);
        }
        for asked in questions.into_iter().chain(self.queue.take_all()) {
            match asked.command() {
                None => self.settle(asked, counters, effects),
                Some(command) => {
                    self.queue.settle(command);
                    reply(asked.from, asked.request, KvAnswer::Failed(KvError::Full), effects);
                }
            }
        }
    }
}

/// Bytes of the log that a command takes alone.
fn logged_bytes(command: &KvCommand) -> u64 {
    limits::command_bytes(command) as u64 + PAGE
}

//! Requests and answers.

use alloc::vec::Vec;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus, Serves};
use formats::message::asd::{AsdAnswer, AsdBody, AsdError, AsdReply, AsdRequest};
use formats::{Effect, Message};
use glossary::{ByteCount, NodeId};

use crate::batch::Answer;
use crate::counters::Counter;
use crate::limits::max_body;
use crate::queue::Waiting;
use crate::{Asd, Outbox, Phase};

impl Asd {
    pub(crate) fn on_request(&mut self, from: NodeId, request: AsdRequest, effects: &mut Outbox) {
        let AsdRequest { request, osd, body } = request;
        let refuse = |error| Answer { to: from, request, body: AsdAnswer::Failed(error) };
        if osd != self.config.identity {
            // Somebody's map of disks is out of date, or disks were swapped (row 120).
            return self.send(refuse(AsdError::WrongOsd(self.config.identity)), effects);
        }
        let is_applying = matches!(body, AsdBody::Apply { .. });
        match self.phase {
            Phase::Serving => {}
            Phase::NoRoom if !is_applying => {}
            Phase::Unreadable(_) => return self.send(refuse(AsdError::Stopped), effects),
            Phase::NoRoom => return self.send(refuse(AsdError::Full), effects),
            _ => return self.send(refuse(AsdError::Unavailable), effects),
        }
        match body {
            AsdBody::Apply { purpose, asserts, updates, payload } => {
                let room = max_body(self.config.segment_bytes);
                let waiting = Waiting::new((from, request), purpose, asserts, updates, &payload, room);
                let queued =
                    waiting.and_then(|waiting| self.queue.push(waiting).map_err(|_| AsdError::Unavailable));
                if let Err(error) = queued {
                    self.counters.count(Counter::Refused);
                    self.send(refuse(error), effects);
                }
            }
            AsdBody::Get { key } => self.get(from, request, key, effects),
            AsdBody::ReadBlocks { key, first, count } => {
                self.read_blocks((from, request), key, (first, count), effects);
            }
            AsdBody::List { prefix, from: first, limit } => {
                self.list((from, request), (prefix, first), limit, effects);
            }
        }
    }

    pub(crate) fn on_admin(&mut self, from: NodeId, request: AdminRequest, effects: &mut Outbox) {
        let body = match request.body {
            AdminBody::Status => AdminAnswer::Status(self.status()),
            _ => AdminAnswer::Failed("an ASD has no vDisks".into()),
        };
        let reply = AdminReply { request: request.request, body };
        effects.push(Effect::Send { to: from, message: Message::AdminReply(reply) });
    }

    fn status(&self) -> RoleStatus {
        let mut counters = self.counters.clone();
        counters.add(Counter::DamagedValues, self.index.damaged());
        RoleStatus::Asd {
            used: ByteCount(self.segments.used()),
            capacity: ByteCount(self.marks.capacity()),
            dead: ByteCount(self.segments.dead()),
            keys: self.index.len(),
            serves: self.serves(),
            counters: counters.values().to_vec(),
        }
    }

    fn serves(&self) -> Serves {
        match &self.phase {
            Phase::Serving => Serves::Yes,
            Phase::New | Phase::Recovering(_) | Phase::Rewriting(_) | Phase::Syncing | Phase::Opening => {
                Serves::NotYet("starting: it reads its log".into())
            }
            // Both look for room again by themselves.
            Phase::Paused => Serves::NotYet("the device is full: it can't start".into()),
            Phase::NoRoom => Serves::NotYet("the device is full: it can only be read".into()),
            Phase::Draining => Serves::NotYet("a write failed: it reads its log again".into()),
            Phase::Stopped(why) | Phase::Unreadable(why) => Serves::No(why.clone()),
        }
    }

    pub(crate) fn send(&mut self, answer: Answer, effects: &mut Outbox) {
        if answer.body == AsdAnswer::Applied {
            self.counters.count(Counter::Applies);
        }
        let reply = AsdReply { request: answer.request, body: answer.body };
        effects.push(Effect::Send { to: answer.to, message: Message::AsdReply(reply) });
    }

    pub(crate) fn send_all(&mut self, answers: Vec<Answer>, effects: &mut Outbox) {
        answers.into_iter().for_each(|answer| self.send(answer, effects));
    }

    /// Answers that nothing can be said about: what they asked for may have been done.
    pub(crate) fn refuse_all(&mut self, answers: Vec<Answer>, effects: &mut Outbox) {
        for answer in answers {
            self.send(Answer { body: AsdAnswer::Failed(AsdError::Unavailable), ..answer }, effects);
        }
    }
}

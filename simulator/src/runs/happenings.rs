//! What a run makes of each thing that happens: mail for those outside, alarms, deaths.

use formats::Message;
use glossary::NodeId;

use super::alarm::Alarm;
use super::operator::OPERATOR;
use super::run::Run;
use crate::checkers::Promise;
use crate::cluster::Cluster;
use crate::disk::Crash;
use crate::engine::{ASKERS, Happening, OUTSIDE};

impl<C: Cluster> Run<C> {
    pub(super) fn on_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Mail { to, message, .. } if to == OPERATOR => self.on_operator_mail(message),
            Happening::Mail { to, from, message } if to >= ASKERS => self.on_asker_mail(to, from, message),
            Happening::Mail { to, message, .. } => self.on_guest_mail(to, message),
            Happening::Alarm(number) => self.on_alarm(Alarm::from_number(number)),
            Happening::Died { node, how } => self.on_died(node, how),
            Happening::LostPower { node } => self.remember_crash(node, Crash::Power),
            Happening::Halted { node, how, reason } => self.on_halted(node, how, reason),
        }
    }

    pub(super) fn on_alarm(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Guest(index) => {
                let edge_lives = self.engine.is_alive(self.guests[index].spec.edge);
                let now = self.engine.now();
                self.guests[index].on_alarm(now, edge_lives);
                self.post(index);
                let rests = self.guests[index].rests();
                self.alarm(rests, Alarm::Guest(index));
            }
            Alarm::Asker(index) => {
                let now = self.engine.now();
                let history = self.history_of(index);
                self.askers[index].on_alarm(now, &mut self.asked[history], &mut self.next_value);
                self.post_asker(index);
                let rests = self.askers[index].rests();
                self.alarm(rests, Alarm::Asker(index));
            }
            Alarm::Start(node) => self.start(node),
            Alarm::Mend(node) => self.mend(node),
            Alarm::Ask => self.ask(),
            Alarm::Change => self.change(),
            Alarm::Group => self.change_groups(),
            Alarm::Aim => self.take_aim(),
            Alarm::Deadline(_) => {} // of a wait that ended well
        }
    }

    pub(super) fn on_guest_mail(&mut self, to: NodeId, message: Message) {
        let index = (to.0 - OUTSIDE.0) as usize;
        let now = self.engine.now();
        self.guests[index].on_message(now, message);
        self.post(index);
    }

    pub(super) fn on_asker_mail(&mut self, to: NodeId, from: NodeId, message: Message) {
        let (index, now) = ((to.0 - ASKERS.0) as usize, self.engine.now());
        let from = self.engine.cluster.address_of(from);
        if let Message::KvReply(reply) = message {
            let history = self.history_of(index);
            let wrong = self.askers[index].on_reply(now, from, reply, &mut self.asked[history]);
            wrong.into_iter().for_each(|wrong| self.complain(Promise::P6, wrong));
            self.post_asker(index);
        }
    }

    pub(super) fn post_asker(&mut self, index: usize) {
        let id = self.askers[index].id;
        for (to, message) in self.askers[index].take_outbox() {
            if self.engine.trace.is_on() {
                self.engine
                    .say(|name| format!("{} asks: {}", name(id), crate::trace::message_text(&message)));
            }
            self.engine.send(id, to, message);
        }
    }

    pub(super) fn post(&mut self, index: usize) {
        let id = self.guests[index].id;
        for (to, message) in self.guests[index].take_outbox() {
            if self.engine.trace.is_on() {
                self.engine
                    .say(|name| format!("{} asks: {}", name(id), crate::trace::message_text(&message)));
            }
            self.engine.send(id, to, message);
        }
    }
}

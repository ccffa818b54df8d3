//! Carrying out what a step wants, one effect after another, with death between any two.

use formats::message::member::{MemberBody, MemberMessage};
use formats::{Effect, Message, kv_level};
use glossary::{GroupId, NodeId};
use step::Effects;

use super::{Engine, Happening, Item};
use crate::checkers::Promise;
use crate::cluster::Cluster;
use crate::disk::Crash;
use crate::{Kind, trace};

impl<C: Cluster> Engine<C> {
    pub(super) fn carry_out(&mut self, node: NodeId, outbox: &mut Effects<Effect>) {
        let count = outbox.as_slice().len();
        let life = self.node(node).life;
        for (index, effect) in outbox.drain().enumerate() {
            if self.is_struck(node) {
                if index > 0 && index < count {
                    self.count(Kind::CrashWithinStep);
                }
                self.meet_doom(node);
            }
            if !self.lives(node, life) {
                break;
            }
            self.digest.effect(&effect);
            self.say(|name| format!("{}   {}", name(node), trace::effect(&effect, name)));
            self.carry_out_one(node, effect);
        }
    }

    /// Whether a node's time has come, counted in effects.
    fn is_struck(&mut self, node: NodeId) -> bool {
        match &mut self.node_mut(node).doom {
            Some(doom) if doom.effects == 0 => true,
            Some(doom) => {
                doom.effects -= 1;
                false
            }
            None => false,
        }
    }

    /// Kills a doomed node, and those that die with it.
    pub(super) fn meet_doom(&mut self, node: NodeId) {
        let Some(doom) = self.node_mut(node).doom.take() else { return };
        self.kill(node, doom.how);
        for other in doom.with {
            self.kill(other, doom.how);
        }
    }

    /// No member is told what its program can't know, but one that is to join, which is asked for that.
    fn check_level(&mut self, node: NodeId, to: NodeId, message: &Message) {
        let (Some((_, said)), Some(to)) = (of_group(message), self.cluster.node_at(to)) else { return };
        let level = kv_level::of_message(&said.body);
        if level > self.cluster.level_of(to) && said.body != MemberBody::AskLevel {
            self.complain(
                Promise::P5,
                format!("node {} tells {} what only level {level} knows", node.0, to.0),
            );
        }
    }

    fn carry_out_one(&mut self, node: NodeId, effect: Effect) {
        let now = self.now;
        let life = self.node(node).life;
        match effect {
            Effect::Send { to, message } => {
                if let (Some((group, said)), Some(to)) = (of_group(&message), self.cluster.node_at(to))
                    && let MemberBody::Addressed { message: said, .. } = &said.body
                    && let Some(wrong) = self.groups.on_message(group, node, to, said)
                {
                    self.complain(Promise::P5, wrong);
                }
                self.check_level(node, to, &message);
                self.send(node, to, message);
            }
            Effect::Disk { operation, what } => {
                let (ticket, takes) = self.node_mut(node).folder.begin(now, operation, what);
                self.push(now.after(takes), Item::DiskEnds { node, life, ticket });
            }
            Effect::Work { job, work } => {
                let at = now.after(self.random.microseconds(10, 300));
                self.push(at, Item::WorkEnds { node, life, job, work });
            }
            Effect::SetTimer { timer, after } => {
                let node_state = self.node_mut(node);
                node_state.settings += 1;
                let setting = node_state.settings;
                let rings = node_state.clock.reading(now).after(after);
                node_state.timers.insert(timer, (setting, rings));
                let at = node_state.clock.when(now, after);
                self.push(at, Item::TimerRings { node, life, timer, setting });
            }
            Effect::ClearTimer(timer) => {
                self.node_mut(node).timers.remove(&timer);
            }
            Effect::Halt { reason } => {
                let how = self.node_mut(node).die(Crash::Process);
                self.happenings.push_back(Happening::Halted { node, how, reason });
            }
        }
    }
}

/// What a member of a group says to another, and of which group.
fn of_group(message: &Message) -> Option<(GroupId, &MemberMessage)> {
    match message {
        Message::Member(said) => Some((GroupId::ROOT, said)),
        Message::MemberOf(said) => Some((said.group, &said.message)),
        _ => None,
    }
}

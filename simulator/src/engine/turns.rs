//! Turns of nodes: what waits for one is given to its machine, event by event.

use formats::Event;
use glossary::NodeId;
use step::Machine;

use super::{Engine, Item};
use crate::checkers::Promise;
use crate::cluster::Cluster;
use crate::trace;

/// How often gauges are read: every so many turns of a node.
const GAUGE_TURNS: u64 = 16;

impl<C: Cluster> Engine<C> {
    pub(super) fn enqueue(&mut self, node: NodeId, event: Event) {
        self.node_mut(node).inbox.push_back(event);
        self.schedule_turn(node);
    }

    pub(super) fn schedule_turn(&mut self, node: NodeId) {
        if self.node(node).turn_comes {
            return;
        }
        let at = self.now.after(self.random.microseconds(1, 15)).max(self.node(node).paused_until);
        let life = self.node(node).life;
        self.node_mut(node).turn_comes = true;
        self.push(at, Item::Turn { node, life });
    }

    /// Delivers some or all of what waits, then `TurnEnd`.
    pub(super) fn turn(&mut self, node: NodeId) {
        self.node_mut(node).turn_comes = false;
        if self.now < self.node(node).paused_until {
            return self.schedule_turn(node);
        }
        let waiting = self.node(node).inbox.len() as u64;
        let count = if self.random.chance(2_500) { self.random.between(1, waiting.max(1)) } else { waiting };
        let life = self.node(node).life;
        for _ in 0..count {
            let Some(event) = self.node_mut(node).inbox.pop_front() else { break };
            self.step(node, event);
            if !self.lives(node, life) {
                return;
            }
        }
        self.step(node, Event::TurnEnd);
        if self.lives(node, life) {
            self.node_mut(node).turns += 1;
            self.read_gauges(node);
            if !self.node(node).inbox.is_empty() {
                self.schedule_turn(node);
            }
        }
    }

    pub(super) fn step(&mut self, node: NodeId, event: Event) {
        let now = self.now;
        self.steps += 1;
        self.digest.word(now.0 ^ u64::from(node.0) << 56);
        self.digest.event(&event);
        if event != Event::TurnEnd {
            let from =
                if let Event::Message { from, .. } = &event { self.cluster.node_at(*from) } else { None };
            self.say(|name| {
                let from = from.map(|from| format!("{}: ", name(from))).unwrap_or_default();
                format!("{} > {from}{}", name(node), trace::event(&event))
            });
        }
        let mut outbox = core::mem::take(&mut self.outbox);
        let index = node.0 as usize;
        let reading = self.nodes[index].clock.reading(now);
        let machine = self.nodes[index].machine.as_mut().expect("only the living step");
        machine.step(reading, event, &mut outbox);
        let looks = self.cluster.looks(machine);
        self.carry_out(node, &mut outbox);
        self.outbox = outbox;
        for (group, look) in looks {
            let wrong = self.groups.look(group, node, look);
            wrong.into_iter().for_each(|wrong| self.complain(Promise::P5, wrong));
        }
    }

    pub(super) fn read_gauges(&mut self, node: NodeId) {
        if !self.node(node).turns.is_multiple_of(GAUGE_TURNS) {
            return;
        }
        let machine = self.nodes[node.0 as usize].machine.as_ref().expect("only the living have turns");
        let over: Vec<_> =
            self.cluster.gauges(node, machine).into_iter().filter(|g| g.value > g.bound).collect();
        for gauge in over {
            let what =
                format!("{}: {} is {}, above {}", self.name(node), gauge.name, gauge.value, gauge.bound);
            self.complain(Promise::P9, what);
        }
    }
}

//! Lives of nodes: how they start, die, stand still, and get another disk.

use core::time::Duration;

use formats::Event;
use glossary::NodeId;

use super::node::Doom;
use super::{Engine, Happening, Item};
use crate::Random;
use crate::cluster::Cluster;
use crate::disk::{Crash, Folder};

impl<C: Cluster> Engine<C> {
    /// Whether a node lives.
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.node(node).machine.is_some()
    }

    /// Whether a node's death has been decided on.
    pub fn is_doomed(&self, node: NodeId) -> bool {
        self.node(node).doom.is_some()
    }

    /// Starts a new life of a dead node.
    pub fn start(&mut self, node: NodeId) {
        assert!(!self.is_alive(node), "a node lives one life at a time");
        let machine = self.cluster.build(node);
        let seed = self.random.seed();
        self.node_mut(node).machine = Some(machine);
        self.say(|name| format!("=== {} starts", name(node)));
        self.enqueue(node, Event::Start { seed });
    }

    /// Decides a node's death: after so many more effects, or when the time has come without them. Others
    /// die at the same instant.
    pub fn doom(&mut self, node: NodeId, effects: u32, at_most: Duration, how: Crash, with: Vec<NodeId>) {
        if self.is_alive(node) {
            let life = self.node(node).life;
            self.node_mut(node).doom = Some(Doom { effects, how, with });
            let at = self.now.after(at_most);
            self.push(at, Item::DoomComes { node, life });
        }
    }

    /// Ends a node's life, here and now.
    pub fn kill(&mut self, node: NodeId, how: Crash) {
        let was_alive = self.is_alive(node);
        let how = self.node_mut(node).die(how);
        if was_alive {
            self.say(|name| format!("=== {} dies: {how:?}", name(node)));
            self.happenings.push_back(Happening::Died { node, how });
        } else if how == Crash::Power {
            self.say(|name| format!("=== {} was dead and loses its power", name(node)));
            self.happenings.push_back(Happening::LostPower { node });
        }
    }

    /// Stops a node for a while; its clock goes on.
    pub fn pause(&mut self, node: NodeId, duration: Duration) {
        let until = self.now.after(duration);
        self.say(|name| format!("=== {} stands still until {until}", name(node)));
        self.node_mut(node).paused_until = until;
    }

    /// A node's clock leaps ahead. Timers whose time has come by that ring at once, in any order.
    pub fn leap(&mut self, node: NodeId, by: Duration) {
        self.say(|name| format!("=== the clock of {} leaps by {by:?}", name(node)));
        let now = self.now;
        let state = self.node_mut(node);
        state.clock.leap(by);
        let (life, reading) = (state.life, state.clock.reading(now));
        let mut set_anew = Vec::new();
        for (timer, (setting, rings)) in &mut state.timers {
            state.settings += 1;
            *setting = state.settings;
            let at = state.clock.when(now, rings.since(reading));
            set_anew.push((at, Item::TimerRings { node, life, timer: *timer, setting: *setting }));
        }
        set_anew.into_iter().for_each(|(at, item)| self.push(at, item));
    }

    /// A dead node gets an empty disk.
    pub fn replace_disk(&mut self, node: NodeId) {
        assert!(!self.is_alive(node), "a disk is replaced while nobody uses it");
        let spec = self.cluster.layout().node(node).clone();
        let disk = Random::stream(self.random.word(), "replaced disk");
        let gone = core::mem::replace(
            &mut self.node_mut(node).folder,
            Folder::new(&spec.files, spec.capacity, disk),
        );
        self.tally.merge(gone.tally());
        self.cluster.lose_disk(node);
        self.groups.forget(node);
        self.say(|name| format!("=== {} gets an empty disk", name(node)));
    }

    pub(super) fn lives(&self, node: NodeId, life: u64) -> bool {
        self.is_alive(node) && self.node(node).life == life
    }
}

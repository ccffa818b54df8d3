//! How nodes die and start again within a run.

use core::time::Duration;

use glossary::NodeId;

use super::alarm::Alarm;
use super::run::Run;
use crate::Moment;
use crate::checkers::Promise;
use crate::cluster::{Cluster, Part};
use crate::disk::Crash;

/// Halts after which a node whose disk is damaged is left alone.
const HALTS_MAX: u32 = 5;

impl<C: Cluster> Run<C> {
    /// Starts every node that is dead and not retired, in any order.
    pub(super) fn start_all(&mut self) {
        let mut dead: Vec<_> = self.nodes().filter(|&node| !self.engine.is_alive(node)).collect();
        dead.retain(|node| !self.retired.contains(node));
        self.random.shuffle(&mut dead);
        for node in dead {
            let after = self.random.microseconds(1, 20_000);
            self.alarm(after, Alarm::Start(node));
        }
    }

    pub(super) fn start(&mut self, node: NodeId) {
        if self.engine.is_alive(node) || self.retired.contains(&node) {
            return;
        }
        self.engine.start(node);
        // Starting is when most is at stake: some starts end in another crash.
        let faults_left = self.struck < self.plan.faults.len();
        if faults_left && self.random.chance(1_000) {
            let how = *self.random.pick(&[Crash::Process, Crash::Power]);
            let effects = self.random.below(40) as u32;
            self.engine.doom(node, effects, Duration::from_millis(20), how, Vec::new());
        } else if faults_left && self.members > 1 && self.part(node) == Part::Kv && self.random.chance(2_000)
        {
            // Or in the election that it meets or causes. It comes back while that is still going on.
            let (effects, back) = (self.random.below(120) as u32, self.random.microseconds(1_000, 30_000));
            self.downs.insert(node, back);
            self.engine.doom(node, effects, Duration::from_secs(2), Crash::Power, Vec::new());
        }
    }

    pub(super) fn on_died(&mut self, node: NodeId, how: Crash) {
        let kind = match how {
            Crash::Process => crate::Kind::ProcessCrash,
            Crash::Power => crate::Kind::PowerLoss,
        };
        self.engine.count(kind);
        if self.disaster == Moment::NEVER {
            self.crashes.insert(self.engine.now());
        }
        self.remember_death(node, how);
        let usual = self.random.microseconds(5_000, 300_000);
        let down = self.downs.remove(&node).unwrap_or(usual);
        self.alarm(down, Alarm::Start(node));
    }

    pub(super) fn remember_crash(&mut self, node: NodeId, how: Crash) {
        let now = self.engine.now();
        for guest in &mut self.guests {
            guest.history.crashed(now, node == guest.spec.volume_driver, how);
        }
    }

    pub(super) fn remember_death(&mut self, node: NodeId, how: Crash) {
        self.remember_crash(node, how);
        let now = self.engine.now();
        for guest in self.guests.iter_mut().filter(|guest| node == guest.spec.edge) {
            guest.on_edge_died(now);
        }
    }

    pub(super) fn on_halted(&mut self, node: NodeId, how: Crash, reason: String) {
        let name = self.engine.name(node);
        self.engine.say(|_| format!("=== {name} halts: {reason}"));
        self.remember_death(node, how);
        let halts = self.halts.entry(node).or_default();
        *halts += 1;
        let is_excused = self.is_injured() || self.hard_times.iter().any(|(troubled, ..)| *troubled == node);
        if !is_excused {
            self.complain(Promise::P10, format!("{name} halts without a reason of ours: {reason}"));
        }
        if self.halts[&node] >= HALTS_MAX && (self.is_injured() || self.plan.damageable.contains(&node)) {
            self.retired.insert(node);
        } else if self.halts[&node] > 4 * HALTS_MAX {
            self.complain(Promise::P10, format!("{name} halts again and again: {reason}"));
            self.retired.insert(node);
        } else {
            let down = self.random.microseconds(50_000, 500_000);
            self.alarm(down, Alarm::Start(node));
        }
    }
}

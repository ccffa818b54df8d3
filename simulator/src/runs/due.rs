//! When the faults of the plan come.

use super::run::Run;
use crate::cluster::{Cluster, Part};
use crate::disk::Crash;
use crate::faults::{CRASHES_MIN, Fault};
use crate::workload::Guest;

impl<C: Cluster> Run<C> {
    /// Brings the faults whose number of operations has been reached.
    pub(super) fn strike_what_is_due(&mut self) {
        let operations: usize = self.guests.iter().map(Guest::operations).sum();
        while let Some((after, fault)) = self.plan.faults.get(self.struck) {
            if *after > operations as u64 {
                return;
            }
            let fault: Fault = fault.clone();
            self.struck += 1;
            self.strike(fault);
        }
        self.make_up_for_crashes();
    }

    /// Whether every fault of the plan has come, and as many crashes as every run has.
    pub(super) fn is_struck(&self) -> bool {
        self.struck == self.plan.faults.len() && self.crashes.len() as u64 >= CRASHES_MIN
    }

    /// A crash of the plan that was to hit who was dead already was none: another comes for it.
    pub(super) fn make_up_for_crashes(&mut self) {
        if self.is_struck() || self.struck < self.plan.faults.len() {
            return;
        }
        let node = self.engine.cluster.layout().of(Part::VolumeDriver)[0];
        if !self.engine.is_alive(node) || self.nodes().any(|node| self.engine.is_doomed(node)) {
            return;
        }
        let effects = self.random.below(60) as u32;
        let down = self.random.microseconds(1_000, 500_000);
        self.strike(Fault::Crash { node, how: Crash::Process, with: Vec::new(), effects, down });
    }
}

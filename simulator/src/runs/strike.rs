//! How faults of the plan come about, and what an operator does about broken disks.

use core::time::Duration;

use glossary::NodeId;

use super::alarm::Alarm;
use super::run::Run;
use crate::cluster::Cluster;
use crate::disk::Crash;
use crate::faults::{DiskFault, Fault};
use crate::{Kind, Moment};

impl<C: Cluster> Run<C> {
    pub(super) fn strike(&mut self, fault: Fault) {
        self.engine.say(|_| format!("=== {fault:?}"));
        let now = self.engine.now();
        match fault {
            Fault::Crash { node, how, with, effects, down } => {
                let is_everything = with.len() + 1 == self.nodes().count() && !with.is_empty();
                if is_everything && how == Crash::Power {
                    self.engine.count(Kind::Blackout);
                }
                for dying in with.iter().chain([&node]) {
                    // Those that die together come back one after another.
                    let later = self.random.microseconds(0, 100_000);
                    self.downs.insert(*dying, down + later);
                }
                self.engine.doom(node, effects, Duration::from_millis(30), how, with);
            }
            Fault::Pause { node, lasts } => {
                self.engine.count(Kind::Pause);
                self.engine.pause(node, lasts);
            }
            Fault::Leap { nodes, by, stall } => {
                for node in nodes {
                    self.engine.count(Kind::ClockLeap);
                    self.engine.leap(node, by);
                    if !stall.is_zero() {
                        self.engine.pause(node, stall);
                    }
                }
            }
            Fault::Storm { weather, lasts } => self.engine.network.storm(now.after(lasts), weather),
            Fault::Partition { from, to, one_way, lasts } => {
                self.engine.count(if one_way { Kind::OneWayPartition } else { Kind::Partition });
                self.engine.network.cut(&from, &to, now.after(lasts));
                if !one_way {
                    self.engine.network.cut(&to, &from, now.after(lasts));
                }
            }
            Fault::SlowLink { from, to, by, lasts } => {
                self.engine.network.slow(&from, &to, now.after(lasts), by);
                self.engine.network.slow(&to, &from, now.after(lasts), by);
            }
            Fault::TableRot { node, places, down } => {
                self.downs.insert(node, down);
                if self.engine.is_alive(node) {
                    self.engine.kill(node, Crash::Process);
                }
                let hits = (0..places).filter(|_| self.engine.folder_mut(node).rot_table()).count();
                self.engine.say(|name| format!("=== the table of {} rots in {hits} places", name(node)));
            }
            Fault::Disk { node, what } => self.strike_disk(now, node, what),
        }
    }

    fn strike_disk(&mut self, now: Moment, node: NodeId, what: DiskFault) {
        let count = self.random.between(1, 3) as u32;
        let folder = self.engine.folder_mut(node);
        let mut mended_after = self.random.microseconds(100_000, 800_000);
        match what {
            DiskFault::Reads(lasts) => {
                folder.faults.reads_fail_until = now.after(lasts);
                mended_after += lasts;
            }
            DiskFault::Write => folder.faults.writes_to_fail += 1,
            DiskFault::Sync => folder.faults.syncs_to_fail += 1,
            DiskFault::Full(left, lasts) => folder.fill(left, now.after(lasts)),
            DiskFault::Slow(factor, lasts) => {
                folder.faults.slow_until = now.after(lasts);
                folder.faults.slow_factor = factor;
            }
            DiskFault::Lose => folder.faults.writes_to_lose += count,
            DiskFault::Misdirect => folder.faults.writes_to_misdirect += count,
            DiskFault::Rot => {
                let places: Vec<_> = (0..count).filter_map(|_| folder.rot()).collect();
                self.engine.trace.say(now, || format!("=== rot at {places:?}"));
            }
        }
        self.was_full |= matches!(what, DiskFault::Full(..));
        if what.is_hard() {
            self.hard_times.push((node, now, Moment::NEVER));
        }
        if what.is_hard() && !what.is_damage() {
            self.alarm(mended_after, Alarm::Mend(node));
        }
    }

    /// The operator comes to a node whose disk was in trouble, and starts it anew: the process, or the machine
    /// where a sync has failed.
    pub(super) fn mend(&mut self, node: NodeId) {
        // What has not struck by now won't.
        let faults = &mut self.engine.folder_mut(node).faults;
        (faults.writes_to_fail, faults.syncs_to_fail) = (0, 0);
        let now = self.engine.now();
        let open = self.hard_times.iter_mut().filter(|(troubled, _, end)| *troubled == node && *end > now);
        open.for_each(|(_, _, end)| *end = now);
        if self.engine.is_alive(node) {
            self.engine.kill(node, Crash::Process);
        }
    }
}

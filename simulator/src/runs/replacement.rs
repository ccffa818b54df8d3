//! All servers that the KV's group began with are replaced by others, one by one, while roles run that were told of them alone.

use core::time::Duration;

use super::alarm::Alarm;
use super::run::Run;
use crate::Kind;
use crate::cluster::{Cluster, Part};
use crate::workload::Task;

/// How long it may take, with rests between.
const PATIENCE: Duration = Duration::from_secs(300);

/// Operations of each guest while it begins, and when it is over.
const WORK: u32 = 20;

/// Calls of each asker while it begins.
const ASKED: u32 = 6;

impl<C: Cluster> Run<C> {
    /// Replaces them where that is drawn; false when it comes to no end.
    pub(super) fn replace_members(&mut self) -> bool {
        let layout = self.engine.cluster.layout();
        if !layout.is_replaced {
            return true;
        }
        let servers = layout.of(Part::Kv);
        let (first, others) = servers.split_at(layout.voters);
        // An alarm of the changes before may still come.
        self.run_until(Duration::from_secs(1), |_| false);
        self.engine.say(|_| "=== all members of the KV's group are replaced".into());
        self.changes.replace(first, others);
        self.alarm(Duration::from_micros(1), Alarm::Change);
        self.task_askers(ASKED);
        for patience in [PATIENCE, super::phases::PATIENCE] {
            self.task(|_| Task::Work(WORK));
            if !self.run_until(patience, Run::is_idle) {
                self.stuck("the replacement");
                return false;
            }
        }
        self.engine.count(Kind::Replacement);
        true
    }
}

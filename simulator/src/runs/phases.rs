//! The course of a run: work under fire, peace, audit, disaster, audit, and then a last injury or a farewell.

use core::time::Duration;

use super::alarm::Alarm;
use super::run::Run;
use crate::checkers::{self, Promise, Violation};
use crate::cluster::{Cluster, Part};
use crate::disk::Crash;
use crate::workload::{Guest, Operation, Outcome, Request, Task};
use crate::{Kind, Moment};

/// How long guests may wait for everything they asked for once nothing goes wrong any more (P10).
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Operations of each guest before the disaster and before the last injury, so that there is something that
/// nothing else holds.
const LAST_WORDS: u32 = 40;

/// Calls that each asker of the KV makes in the storm, and in each audit.
const ASKED: u32 = 60;
const ASKED_LAST: u32 = 6;

/// How long the storm may last: faults and the waits that they cause.
const STORM_MAX: Duration = Duration::from_secs(1800);

impl<C: Cluster> Run<C> {
    /// Runs it all.
    pub(super) fn play(&mut self, operations: u64) {
        self.begin();
        if !self.run_until(PATIENCE, Run::has_begun) {
            return self.stuck("the prologue");
        }
        self.start_all();
        self.wake_guests();
        let share = (operations / self.guests.len() as u64) as u32 + 1;
        self.task(|_| Task::Work(share));
        self.task_askers(ASKED);
        let is_through = |run: &Self| run.is_struck() && run.is_idle();
        if !self.run_until(STORM_MAX, is_through) {
            return self.stuck("the storm");
        }
        self.make_peace();
        if self.audit("the peace") && self.replace_members() && self.disaster() && self.bury() {
            self.last_injury();
            if !self.is_injured() && self.violations.is_empty() {
                self.farewell();
            }
        }
    }

    /// Checks everything that guests saw.
    pub(super) fn judge(&mut self) {
        for guest in &self.guests {
            self.violations.extend(checkers::check(&guest.history));
            (0..guest.growths()).for_each(|_| self.engine.count(Kind::Growth));
        }
        for index in 0..self.guests.len() {
            let operations = self.guests[index].history.operations.clone();
            let unexcused = operations.iter().filter(|operation| !self.is_excused(index, operation));
            let unexcused: Vec<Violation> =
                unexcused.take(3).map(|operation| self.refused(operation)).collect();
            self.violations.extend(unexcused);
        }
        let complaints = self.engine.complaints().iter().map(|complaint| Violation {
            promise: complaint.promise,
            at: complaint.at,
            range: 0..0,
            what: complaint.what.clone(),
        });
        self.violations.extend(complaints);
        for history in &self.asked {
            if let Some(what) = crate::kv::check(history) {
                let at = self.engine.now();
                self.violations.push(Violation { promise: Promise::P5, at, range: 0..0, what });
            }
        }
        self.violations.sort_by_key(|violation| (violation.at, violation.promise));
    }

    /// Ends everything that is wrong, except what is damaged.
    fn make_peace(&mut self) {
        self.engine.say(|_| "=== peace".into());
        self.engine.network.heal();
        for node in self.nodes() {
            let faults = &mut self.engine.folder_mut(node).faults;
            faults.end();
            if faults.lies {
                self.alarm(Duration::from_micros(1), Alarm::Mend(node));
            }
        }
        let now = self.engine.now();
        self.hard_times.iter_mut().for_each(|(_, _, end)| *end = now.min(*end));
        self.start_all();
    }

    /// Has every guest read everything; false when that can't be done.
    fn audit(&mut self, when: &str) -> bool {
        self.task(|_| Task::Audit(0));
        self.task_askers(ASKED_LAST);
        let is_done = self.run_until(PATIENCE, Run::is_idle);
        if !is_done {
            self.stuck(when);
        }
        is_done
    }

    /// Everything is pushed to the ASDs and loses its power; as many ASDs as can be done without stay dead.
    fn disaster(&mut self) -> bool {
        if !self.engine.cluster.layout().can_sync {
            return true;
        }
        if self.random.coin() && !self.hoard() {
            return false;
        }
        self.push_all();
        if !self.run_until(PATIENCE, Run::is_pushed) {
            self.complain(Promise::P10, "nothing goes wrong, and yet not everything gets to the ASDs".into());
            return false;
        }
        let lies = self.engine.cluster.redundancy(&self.engine.view());
        lies.into_iter().for_each(|lie| self.complain(Promise::P7, lie));
        self.engine.say(|_| "=== everything loses its power".into());
        self.engine.count(Kind::Blackout);
        self.disaster = self.engine.now();
        let mut sound = self.engine.cluster.layout().of(Part::Asd);
        sound.retain(|asd| !self.plan.damageable.contains(asd));
        self.random.shuffle(&mut sound);
        let spare = self.engine.cluster.layout().damaged_asds_max - self.plan.damageable.len();
        self.retired.extend(sound.into_iter().take(spare));
        for node in self.nodes() {
            self.engine.kill(node, Crash::Power);
            self.engine.folder_mut(node).faults.end();
        }
        self.audit("the disaster")
    }

    /// The disks of the ASDs get slow at syncing, and there is something new to push: who answers before the
    /// sync is caught by the power cut, which comes right after the last answer.
    fn hoard(&mut self) -> bool {
        let until = self.engine.now().after(2 * PATIENCE);
        for asd in self.engine.cluster.layout().of(Part::Asd) {
            self.engine.folder_mut(asd).faults.syncs_slow_until = until;
        }
        self.task(|_| Task::Work(LAST_WORDS));
        let is_done = self.run_until(PATIENCE, |run| run.guests.iter().all(Guest::is_idle));
        if !is_done {
            self.stuck("the hoarding");
        }
        is_done
    }

    /// Some runs end with rot where there is no redundancy. Errors are right then, wrong bytes are not.
    fn last_injury(&mut self) {
        if !self.engine.cluster.layout().tells_rot || !self.random.chance(4_000) {
            return;
        }
        // What was never synced could be a torn tail as well: nobody could tell rot from it.
        for last in [Task::Work(LAST_WORDS), Task::Flush] {
            self.task(|_| last);
            if !self.run_until(PATIENCE, |run| run.guests.iter().all(Guest::is_idle)) {
                return self.stuck("the last words");
            }
        }
        // Long enough for everything that marks what is synced to be written.
        self.run_until(Duration::from_secs(10), |_| false);
        let nodes: Vec<_> = self.nodes().collect();
        let victims =
            nodes.into_iter().filter(|&node| matches!(self.part(node), Part::VolumeDriver | Part::Kv));
        let victim = *self.random.pick(&victims.collect::<Vec<_>>());
        self.last_injury = self.engine.now();
        self.engine.groups.end();
        // Data outnumbers logs by far, and only a log can be taken for one that ends earlier.
        let in_logs = self.random.coin();
        for _ in 0..self.random.between(1, 3) {
            let is_meant = |name: &str| !in_logs || name.contains("log-");
            let place = self.engine.folder_mut(victim).rot_in_any_file(is_meant);
            self.engine.say(|name| format!("=== rot on {} at {place:?}", name(victim)));
        }
        // What the others remember must not hide what the victim has forgotten.
        for node in self.nodes() {
            self.engine.kill(node, Crash::Process);
        }
        self.task(|_| Task::Audit(0));
        self.run_until(Duration::from_secs(20), |run| run.guests.iter().all(Guest::is_idle));
    }

    pub(super) fn stuck(&mut self, when: &str) {
        let dead = self.nodes().filter(|&node| !self.engine.is_alive(node));
        let dead: Vec<String> = dead.map(|node| self.engine.name(node)).collect();
        let waits = self.guests.iter().map(|guest| {
            let pending = guest.history.operations.iter().filter(|o| o.outcome == Outcome::Pending);
            let first = pending.clone().next().map(|o| format!("{:?} of {}", o.request, o.sent));
            format!("{} waits for {} answers, first {first:?}", guest.spec.vdisk, pending.count())
        });
        let askers = self.askers.iter().filter_map(|asker| Some((asker.id, asker.waits_for()?)));
        let askers = askers.map(|(id, call)| format!("{} waits for {call:?}", self.engine.name(id)));
        let waits: Vec<String> = waits.chain(askers).chain(self.changes.waits_for()).collect();
        let waits: Vec<String> = waits.into_iter().chain(self.groups.waits_for()).collect();
        let promise = if self.disaster < Moment::NEVER { Promise::P7 } else { Promise::P10 };
        let what = format!("guests got stuck in {when}: {}; dead: {}", waits.join(", "), dead.join(", "));
        self.complain(promise, what);
    }

    /// Whether an error that a guest got is right.
    fn is_excused(&self, index: usize, operation: &Operation) -> bool {
        use formats::message::guest::GuestError;
        let Outcome::Failed(error) = &operation.outcome else { return true };
        let owner = self.guests[index].spec.volume_driver;
        let aftermath = Duration::from_secs(5);
        let is_hard = self.hard_times.iter().any(|&(node, from, to)| {
            node == owner && from <= operation.ended && to.after(aftermath) >= operation.sent
        });
        match error {
            _ if operation.ended >= self.last_injury => true,
            GuestError::NotFound => operation.request == Request::Attach,
            GuestError::NoSpace => self.was_full,
            GuestError::OutOfBounds => false,
            GuestError::Io(_) => is_hard,
        }
    }

    fn refused(&self, operation: &Operation) -> Violation {
        let promise = if operation.ended > self.disaster { Promise::P7 } else { Promise::P10 };
        let what =
            format!("{:?} (sent {}) failed: {:?}", operation.request, operation.sent, operation.outcome);
        Violation { promise, at: operation.ended, range: operation.request.range(), what }
    }
}

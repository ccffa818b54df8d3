//! The end of a run: vDisks are deleted, and nothing of them stays on the disks.

use core::time::Duration;
use std::collections::BTreeMap;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus, Serves};
use glossary::NodeId;

use super::run::Run;
use crate::checkers::Promise;
use crate::cluster::{Cluster, Part};
use crate::disk::Crash;

/// How long the room may take to come back: every ASD is looked through in turn, and what crashes left may be found
/// in the second round of one only.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long everything is left to itself.
const AFTERMATH: Duration = Duration::from_secs(10);

/// What is still to be answered, by the number of the operator's request.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    /// vDisks that are to be deleted, by their guests.
    deletions: BTreeMap<u64, usize>,
    /// ASDs that hold something, and how many keys when they were last asked.
    leftovers: BTreeMap<u64, (NodeId, Option<u64>)>,
}

impl Farewell {
    /// What is asked again until it is answered: everything is deleted before ASDs are asked.
    pub(super) fn requests<C: Cluster>(&self, run: &Run<C>) -> Vec<(NodeId, Message)> {
        let admin = |request, body| Message::Admin(AdminRequest { request, body });
        let deletions = self.deletions.iter().map(|(&request, &index)| {
            let spec = &run.guests[index].spec;
            let body = AdminBody::DeleteVdisk { name: spec.vdisk.clone() };
            (spec.volume_driver, admin(request, body))
        });
        let leftovers =
            self.leftovers.iter().map(|(&request, &(asd, _))| (asd, admin(request, AdminBody::Status)));
        deletions.chain(leftovers).collect()
    }

    /// Somebody answered.
    pub(super) fn on_reply(&mut self, reply: &AdminReply) {
        match &reply.body {
            AdminAnswer::Done => drop(self.deletions.remove(&reply.request)),
            // The answer to an earlier question was lost.
            AdminAnswer::Failed(why) if why.starts_with("there is no vDisk") => {
                self.deletions.remove(&reply.request);
            }
            AdminAnswer::Status(RoleStatus::Asd { keys, serves, .. }) => {
                // One that can't serve says nothing of what it holds.
                if *keys == 0 || *serves != Serves::Yes {
                    self.leftovers.remove(&reply.request);
                } else if let Some((_, left)) = self.leftovers.get_mut(&reply.request) {
                    *left = Some(*keys);
                }
            }
            AdminAnswer::Failed(_)
            | AdminAnswer::Status(_)
            | AdminAnswer::NotYet(_)
            | AdminAnswer::NotAllowed(_)
            | AdminAnswer::KvGroups(_)
            | AdminAnswer::KvLevels(_)
            | AdminAnswer::Fingerprint(_) => {}
        }
    }
}

impl<C: Cluster> Run<C> {
    /// Some ASDs are away meanwhile: any number, for nothing is read any more.
    fn send_away(&mut self) -> Vec<NodeId> {
        let mut away = self.engine.cluster.layout().of(Part::Asd);
        away.retain(|asd| !self.retired.contains(asd) && self.random.chance(3_000));
        self.retired.extend(&away);
        away.iter().for_each(|asd| self.engine.kill(*asd, Crash::Process));
        away
    }

    /// Deletes every vDisk and waits until no ASD that lives holds anything.
    pub(super) fn farewell(&mut self) {
        if !self.engine.cluster.layout().can_sync {
            return;
        }
        self.engine.say(|_| "=== vDisks are deleted".into());
        let away = self.send_away();
        for index in 0..self.guests.len() {
            let request = self.next_request();
            self.farewell.deletions.insert(request, index);
        }
        self.ask_soon();
        if !self.run_until(PATIENCE, |run| run.farewell.deletions.is_empty()) {
            return self.complain(Promise::P10, "nothing goes wrong, and yet vDisks can't be deleted".into());
        }
        // Long enough for what a deletion does after it was answered.
        self.run_until(AFTERMATH, |_| false);
        self.retired.retain(|node| !away.contains(node));
        if self.random.coin() {
            let objects = self.engine.cluster.layout().of(Part::Objects);
            objects.into_iter().for_each(|node| self.engine.kill(node, Crash::Process));
        }
        self.start_all();
        self.run_until(AFTERMATH, |_| false);
        for asd in self.engine.cluster.layout().of(Part::Asd) {
            if self.engine.is_alive(asd) {
                let request = self.next_request();
                self.farewell.leftovers.insert(request, (asd, None));
            }
        }
        self.ask_soon();
        if !self.run_until(PATIENCE, |run| run.farewell.leftovers.is_empty()) {
            let left = self.farewell.leftovers.values();
            let left: Vec<String> =
                left.map(|(asd, keys)| format!("{} has {keys:?} keys", self.engine.name(*asd))).collect();
            let what = format!("all vDisks are deleted, and their room is not back: {}", left.join(", "));
            self.complain(Promise::P9, what);
        }
    }
}

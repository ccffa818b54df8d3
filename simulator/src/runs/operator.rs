//! What the operator asks of the cluster, and asks again until it is answered.

use core::time::Duration;

use formats::Message;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest};
use formats::message::kv::KvAnswer;
use glossary::NodeId;

use super::alarm::Alarm;
use super::run::Run;
use crate::cluster::{Cluster, Part};
use crate::engine::OUTSIDE;

/// The operator, who has disks replaced, machines restarted and vDisks pushed to the ASDs.
pub(super) const OPERATOR: NodeId = NodeId(OUTSIDE.0 + 900);

impl<C: Cluster> Run<C> {
    /// Has every vDisk pushed to the ASDs.
    pub(super) fn push_all(&mut self) {
        for index in 0..self.guests.len() {
            let request = self.next_request();
            self.pushes.insert(request, index);
        }
        self.ask_soon();
    }

    /// The number of the operator's next request.
    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The operator asks for what is to be asked.
    pub(super) fn ask_soon(&mut self) {
        self.alarm(Duration::from_micros(1), Alarm::Ask);
    }

    /// Whether every push was answered.
    pub(super) fn is_pushed(&self) -> bool {
        self.pushes.is_empty()
    }

    pub(super) fn ask(&mut self) {
        if let Some((to, message)) = self.prologue.last().cloned() {
            // The member that leads the KV's group takes what is for the KV.
            let members = self.engine.cluster.layout().of(Part::Kv);
            let to = if members.contains(&to) { *self.random.pick(&members) } else { to };
            self.engine.send(OPERATOR, to, message);
            return self.alarm(Duration::from_secs(1), Alarm::Ask);
        }
        let pushes: Vec<(u64, usize)> =
            self.pushes.iter().map(|(&request, &index)| (request, index)).collect();
        for (request, index) in &pushes {
            let spec = &self.guests[*index].spec;
            let body = AdminBody::SyncVdisk { name: spec.vdisk.clone() };
            let message = Message::Admin(AdminRequest { request: *request, body });
            self.engine.send(OPERATOR, spec.volume_driver, message);
        }
        let farewells = self.farewell.requests(self);
        let is_all = pushes.is_empty() && farewells.is_empty();
        farewells.into_iter().for_each(|(to, message)| self.engine.send(OPERATOR, to, message));
        if !is_all {
            self.alarm(Duration::from_secs(2), Alarm::Ask);
        }
    }

    pub(super) fn on_operator_mail(&mut self, message: Message) {
        match message {
            Message::AdminReply(reply) => {
                if reply.body == AdminAnswer::Done {
                    self.pushes.remove(&reply.request);
                }
                self.farewell.on_reply(&reply);
                self.on_change(&reply);
                self.on_groups(&reply);
            }
            Message::KvReply(reply) if matches!(reply.body, KvAnswer::Done(_)) => {
                self.prologue.pop();
                self.alarm(Duration::from_micros(1), Alarm::Ask);
            }
            _ => {}
        }
    }
}

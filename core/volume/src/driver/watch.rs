//! Which OSDs are gone: the objects client is asked from time to time, so that volumes can say what is lost before
//! anybody reads it.

use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, OsdState, RoleStatus};
use formats::{Effect, Message};
use glossary::OsdId;
use step::{Effects, TimerId};

use super::VolumeDriver;

/// The timer for asking; timers of volumes carry their id, and none has this one.
pub(super) const WATCH: TimerId = TimerId(u64::MAX);

impl VolumeDriver {
    /// Asks, and will again. An answer that is lost is made up for by the next.
    pub(super) fn watch_osds(&mut self, effects: &mut Effects<Effect>) {
        let request = AdminRequest { request: 0, body: AdminBody::Status };
        effects.push(Effect::Send { to: self.config.objects, message: Message::Admin(request) });
        effects.push(Effect::SetTimer { timer: WATCH, after: self.config.watch_every });
    }

    /// The objects client told.
    pub(super) fn osds_told(&mut self, reply: AdminReply) {
        let AdminAnswer::Status(RoleStatus::Objects { osds, .. }) = reply.body else { return };
        let gone = osds.into_iter().filter(|(_, state)| *state == OsdState::Gone).map(|(osd, _)| osd);
        let mut gone: alloc::vec::Vec<OsdId> = gone.collect();
        if gone.len() <= self.bearable() {
            gone.clear();
        }
        if gone != self.gone {
            self.gone = gone;
            self.touched.extend(self.volumes.keys());
        }
    }

    /// How many OSDs every object bears to lose: an upload counts at c fragments, and any k suffice.
    fn bearable(&self) -> usize {
        let policies = self.cluster.iter().flat_map(|cluster| &cluster.policies);
        policies.map(|policy| usize::from(policy.c.saturating_sub(policy.k))).min().unwrap_or(0)
    }
}

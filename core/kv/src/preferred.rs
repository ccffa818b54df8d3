//! The server whose member is to lead, where it can: a wish in the map, under a key of the group's own, so that every
//! leader knows of it. It is a wish for where requests come from, say, and never a condition: whoever leads goes on until the
//! preferred one has caught up, and leads again when that is gone.

use consensus::{Role, Status};
use formats::kv_store::{PREFERRED_KEY, decode_preferred};
use formats::message::member::server_of;
use formats::message::standing::DiskRoom;
use step::{Function, OrderedMap};

use crate::group::Group;
use crate::hosted::Hosted;

/// Entries that the preferred member may be behind: the group waits for them while leadership is handed over.
const BEHIND_MAX: u64 = 64;

impl<F: Function, C: Group> Hosted<F, C> {
    /// A leader hands over to the member that is preferred to it, once that answers, is nearly as far, and has said that its
    /// disk has room: otherwise leadership would come and go.
    pub(crate) fn prefer(&mut self, status: &Status) {
        let Some(server) = self.state.map.get(PREFERRED_KEY).and_then(decode_preferred) else { return };
        let is_free = status.leadership.role == Role::Leader && status.handing_over_to.is_none();
        if !is_free || server_of(status.me) == server {
            return;
        }
        let mut voters = status.membership.voters.iter().copied();
        let Some(member) = voters.find(|voter| server_of(*voter) == server) else { return };
        let is_near = status
            .progress
            .get(&member)
            .is_some_and(|progress| progress.matched.0.saturating_add(BEHIND_MAX) >= status.last.0);
        let can_lead = self.heard_room_of(member) == Some(DiskRoom::Enough);
        if is_near && can_lead && !status.quorum.silent.contains(&member) {
            // Where it is refused now it is tried again when members tell how they stand.
            let _ = self.replica.group.transfer_leader(member);
        }
    }
}

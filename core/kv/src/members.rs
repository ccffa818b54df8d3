//! Whom askers may ask ([`formats::kv_members`]): the leader of the root group keeps in its map which servers have members, voters
//! and learners, as it has applied them. Nothing is written while nothing changes.

use alloc::collections::BTreeSet;
use formats::Effect;
use formats::kv_members::{self, MEMBERS_KEY};
use formats::message::member::server_of;
use step::{Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::device::Device;
use crate::group::Group;
use crate::hosted::Hosted;

impl<F: Function, C: Group> Hosted<F, C> {
    /// A tick is over: a leader that finds other members than the map names names them. While that is under way, as a command
    /// or as a change of the group, it waits.
    pub(crate) fn name_members(
        &mut self,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        if !self.keeps_records() {
            return;
        }
        let membership = &self.replica.membership;
        let all = membership.voters.iter().chain(&membership.learners);
        let servers: BTreeSet<_> = all.map(|member| server_of(*member)).collect();
        let named = self.state.map.get(MEMBERS_KEY);
        let value = kv_members::encode(&servers);
        // Whoever was always alone has nobody who asks for others.
        if named == Some(value.as_slice()) || (named.is_none() && servers.len() == 1) {
            self.naming.settle();
        } else if self.naming.is_due() {
            self.keep_record(MEMBERS_KEY, value, device, counters, effects);
        }
    }
}

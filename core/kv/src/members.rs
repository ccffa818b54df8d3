//! Whom askers may ask ([`formats::kv_members`]): the leader of the root group keeps in its map which servers have members, voters
//! and learners, as it has applied them. Nothing is written while nothing changes.

use alloc::collections::BTreeSet;
use alloc::vec;
use consensus::Role;
use formats::Effect;
use formats::kv_members::{self, MEMBERS_KEY};
use formats::message::kv::KvStep;
use formats::message::member::server_of;
use glossary::GroupId;
use step::{Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::device::Device;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::knows::AGAIN_AFTER;

/// What a leader has said of the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Ticks since it was said, while the map doesn't have it.
    ticks: u32,
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// A tick is over: a leader that finds other members than the map names names them. While that is under way, as a command
    /// or as a change of the group, it waits.
    pub(crate) fn name_members(
        &mut self,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let is_whole = self.replica.of() == GroupId::ROOT && self.healing.is_none();
        if !is_whole || self.leadership().role != Role::Leader || !self.sees_all() {
            return;
        }
        let membership = &self.replica.membership;
        let all = membership.voters.iter().chain(&membership.learners);
        let servers: BTreeSet<_> = all.map(|member| server_of(*member)).collect();
        let named = self.state.map.get(MEMBERS_KEY);
        let value = kv_members::encode(&servers);
        // Whoever was always alone has nobody who asks for others.
        if named == Some(value.as_slice()) || (named.is_none() && servers.len() == 1) {
            self.naming.ticks = 0;
            return;
        }
        self.naming.ticks = (self.naming.ticks + 1) % AGAIN_AFTER;
        if self.naming.ticks == 1 {
            let (key, before) = (MEMBERS_KEY.to_vec(), named.map(<[u8]>::to_vec));
            let check = KvStep::Assert { key: key.clone(), value: before };
            // What is refused now is tried again.
            let _ = self.say(vec![check, KvStep::Set { key, value }], device, counters, effects);
        }
    }
}

//! What the leader of the root group keeps in its map of the group itself: its level (`level.rs`), who its members are
//! (`members.rs`). It is said as an ordinary command, which finds what it replaces or does nothing, and again until it is applied.

use alloc::vec;
use alloc::vec::Vec;
use consensus::Role;
use formats::Effect;
use formats::message::kv::KvStep;
use glossary::GroupId;
use step::{Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::device::Device;
use crate::group::Group;
use crate::hosted::Hosted;

/// What is said may be lost on its way: it is said again after so many ticks.
const AGAIN_AFTER: u32 = 20;

/// Ticks since something was said that is not applied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saying(u32);

impl Saying {
    /// A tick is over, and it is to be said. Whether now.
    pub(crate) fn is_due(&mut self) -> bool {
        self.0 = (self.0 + 1) % AGAIN_AFTER;
        self.0 == 1
    }

    /// It is as it should be.
    pub(crate) fn settle(&mut self) {
        self.0 = 0;
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Whether this member speaks for the root group: it leads, has all of its state, and no change of the group is under way.
    pub(crate) fn keeps_records(&self) -> bool {
        let is_whole = self.replica.of() == GroupId::ROOT && self.healing.is_none();
        is_whole && self.leadership().role == Role::Leader && self.sees_all()
    }

    /// Sets a record of the group.
    pub(crate) fn keep_record(
        &mut self,
        key: &[u8],
        value: Vec<u8>,
        device: &mut Device,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) {
        let before = self.state.map.get(key).map(<[u8]>::to_vec);
        let key = key.to_vec();
        let check = KvStep::Assert { key: key.clone(), value: before };
        // What is refused now is tried again.
        let _ = self.say(vec![check, KvStep::Set { key, value }], device, counters, effects);
    }
}

//! Groups that the cluster counts on, as the root group's map says ([`formats::kv_groups::WANTED_PREFIX`]): whoever leads the
//! root group makes those that are not there, and nobody drops them. So who needs one says so by an ordinary command, and
//! waits until it is there.

use alloc::string::String;
use consensus::Term;
use formats::Effect;
use formats::kv_groups::{GROUPS_MAX, WANTED_PREFIX, group_key, wanted_key, wanted_of};
use formats::message::kv_range::KvRange;
use glossary::GroupId;
use step::{Effects, Function, OrderedMap};

use crate::counters::Counters;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::serving::Serving;

/// A group that is to be made, one at a time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    name: Option<String>,
    /// In this term it was proposed: what was proposed in an earlier one may be lost.
    proposed_in: Option<Term>,
}

impl Missing {
    /// Whether another group than this one is made first.
    pub(crate) fn waits_before(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|missing| missing != name)
    }
}

impl<F: Function, C: Group> Serving<F, C> {
    /// The root group's map names other groups than before.
    pub(crate) fn look_for_missing(&mut self) {
        let name = self.root().missing().filter(|_| self.named().len() < GROUPS_MAX);
        self.missing = Missing { name, proposed_in: None };
    }

    /// The leader of the root group makes the group that is missing. What is refused now is tried again at the end of
    /// another turn.
    pub(crate) fn make_missing(&mut self, counters: &mut Counters, effects: &mut Effects<Effect>) {
        let Some(name) = &self.missing.name else { return };
        let (root, term) = (self.root(), self.root().leadership().term);
        if self.missing.proposed_in == Some(term) || !root.keeps_records() {
            return;
        }
        let steps = root.make_steps(group_key(name), root.replica.status().membership);
        let refused = self.with(GroupId::ROOT, |root, device| root.say(steps, device, counters, effects));
        if refused == Some(None) {
            self.missing.proposed_in = Some(term);
        }
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Whether the cluster counts on a group.
    pub(crate) fn is_wanted(&self, name: &str) -> bool {
        self.state.map.get(&wanted_key(name)).is_some()
    }

    /// The first group that the cluster counts on and that is not there.
    fn missing(&self) -> Option<String> {
        let wanted = KvRange::prefix(WANTED_PREFIX);
        let mut names = self.state.map.range(&wanted).filter_map(|(key, _)| wanted_of(key));
        names.find(|name| self.state.map.get(&group_key(name)).is_none())
    }
}

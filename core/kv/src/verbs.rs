//! Verbs of management that are about one group, and what they mean to the others.

use alloc::format;
use alloc::string::{String, ToString};
use consensus::{Member, Role};
use formats::message::admin::{AdminAnswer, KvGroupVerb};
use glossary::{GroupId, NodeId};
use step::Function;

use crate::group::Group;
use crate::hosted::Hosted;
use crate::serving::Serving;

impl<F: Function, C: Group> Serving<F, C> {
    /// An operator wants the root group changed, and with it all others. None: the answer comes later.
    pub(crate) fn on_group_verb(
        &mut self,
        from: NodeId,
        request: u64,
        verb: KvGroupVerb,
    ) -> Option<AdminAnswer> {
        if let KvGroupVerb::Remove { member } = verb
            && let Some(answer) = self.after_removal(member)
        {
            return Some(answer);
        }
        let act = |root: &mut Hosted<F, C>, device: &mut _| root.on_group_verb(from, request, verb, device);
        self.with(GroupId::ROOT, act).flatten()
    }

    /// What to say of a member that the root group has not, where this member leads it: its server may be switched off, or
    /// its disk emptied, once no group counts on it any more. None: it is no member that was removed lately.
    fn after_removal(&self, member: Member) -> Option<AdminAnswer> {
        let (root, status) = (self.root(), self.root().replica.status());
        if status.leadership.role != Role::Leader || status.membership.contains(member) {
            return None;
        }
        let counts_on = |group: &&GroupId| {
            let membership = self.groups[*group].replica.status().membership;
            **group != GroupId::ROOT && membership.contains(member)
        };
        if let Some(group) = self.groups.keys().find(counts_on) {
            return Some(AdminAnswer::NotYet(format!(
                "{member} left the root group, and {} goes on with it until others have all that it has: let its server \
                 run, and ask again",
                self.name(*group)
            )));
        }
        match root.has_left(member) {
            Some(true) => Some(AdminAnswer::Done),
            Some(false) => None,
            None => Some(AdminAnswer::NotYet(
                "the leader is not through with what was asked before; ask again".to_string(),
            )),
        }
    }

    /// A group in words.
    pub(crate) fn name(&self, group: GroupId) -> String {
        let named = self.named().into_iter().find(|(_, record)| record.group == group);
        named.map_or_else(|| format!("group {group}"), |(name, _)| format!("group '{name}'"))
    }
}

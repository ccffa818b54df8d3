//! Verbs of management that are about one group, and what they mean to the others.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use consensus::{Member, Role};
use formats::message::admin::{AdminAnswer, KvGroupVerb};
use glossary::{GroupId, NodeId};
use step::Function;

use crate::counters::Counters;
use crate::group::Group;
use crate::hosted::Hosted;
use crate::serving::Serving;
use crate::status;

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

    /// An operator wants something of a group beside the root group. None: the answer comes later.
    pub(crate) fn on_verb_of(
        &mut self,
        name: &str,
        (from, request): (NodeId, u64),
        verb: KvGroupVerb,
    ) -> Option<AdminAnswer> {
        let group = match self.find(name) {
            Ok(group) => group,
            Err(answer) => return Some(*answer),
        };
        match verb {
            KvGroupVerb::Add { .. } | KvGroupVerb::AddLearner { .. } | KvGroupVerb::Remove { .. } => {
                Some(AdminAnswer::Failed(
                    "a group has the members that the root group has: change those".to_string(),
                ))
            }
            // All groups have their checkpoints together.
            KvGroupVerb::Snapshot => self.on_group_verb(from, request, verb),
            KvGroupVerb::Transfer { .. } | KvGroupVerb::Fingerprint { .. } => {
                self.with(group, |hosted, device| hosted.on_group_verb(from, request, verb, device)).flatten()
            }
        }
    }

    /// What this member of a group says of itself.
    pub(crate) fn status_of(&self, name: &str, counters: &Counters) -> AdminAnswer {
        match self.find(name) {
            Ok(group) => status::of_group(&self.groups[&group], self.trouble_of(group), counters),
            Err(answer) => *answer,
        }
    }

    /// Why a member of a group can't serve, where it can't.
    fn trouble_of(&self, group: GroupId) -> Option<String> {
        let hosted = &self.groups[&group];
        let of_state = hosted.healing.as_ref().map(|_| self.healing_text(group));
        hosted.unreadable_text().or(of_state).or_else(|| hosted.difference())
    }

    /// Why a group beside the root group is not to be trusted here, or at another member.
    pub(crate) fn difference_elsewhere(&self) -> Option<String> {
        let mut others = self.groups.iter().filter(|(group, _)| **group != GroupId::ROOT);
        others.find_map(|(group, hosted)| Some(format!("{}: {}", self.name(*group), hosted.difference()?)))
    }

    /// The first group whose state is damaged.
    pub(crate) fn healing(&self) -> Option<GroupId> {
        let healing = |(_, hosted): &(&GroupId, &Hosted<F, C>)| hosted.healing.is_some();
        self.groups.iter().find(healing).map(|(group, _)| *group)
    }

    /// That the state of a group is damaged, in words.
    pub(crate) fn healing_text(&self, group: GroupId) -> String {
        let whose = if group == GroupId::ROOT { "the root group".to_string() } else { self.name(group) };
        format!(
            "what its table holds of {whose} is damaged: another member gives it anew, and until then it answers nothing \
             of that"
        )
    }

    /// What to say of names of groups while nobody here knows any.
    pub(crate) fn nameless(&self) -> AdminAnswer {
        AdminAnswer::NotYet(format!("{}; ask another server, or again", self.healing_text(GroupId::ROOT)))
    }

    /// The group of a name, where it is hosted here.
    fn find(&self, name: &str) -> Result<GroupId, Box<AdminAnswer>> {
        if self.root().healing.is_some() {
            return Err(Box::new(self.nameless()));
        }
        let Some((_, record)) = self.named().into_iter().find(|(named, _)| named == name) else {
            return Err(Box::new(AdminAnswer::Failed(format!(
                "there is no group '{name}', as far as this member knows: list them (ovs kv group list)"
            ))));
        };
        if self.groups.contains_key(&record.group) {
            return Ok(record.group);
        }
        Err(Box::new(AdminAnswer::NotYet("the group is being made; ask again".to_string())))
    }

    /// What to say of a member that the root group has not, where this member leads it: its server may be switched off, or
    /// its disk emptied, once no group counts on it any more. None: it is a member, or another leads.
    fn after_removal(&self, member: Member) -> Option<AdminAnswer> {
        let (root, status) = (self.root(), self.root().replica.status());
        let knows = status.leadership.role == Role::Leader && root.healing.is_none();
        if !knows || status.membership.contains(member) {
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
        // Groups may still be made with it, by commands that are not applied here.
        Some(match root.has_applied_all() && !root.state.names_groups {
            true => AdminAnswer::Done,
            false => AdminAnswer::NotYet(
                "the leader is not through with what was asked before; ask again".to_string(),
            ),
        })
    }

    /// A group in words.
    pub(crate) fn name(&self, group: GroupId) -> String {
        let named = self.named().into_iter().find(|(_, record)| record.group == group);
        named.map_or_else(|| format!("group {group}"), |(name, _)| format!("group '{name}'"))
    }
}

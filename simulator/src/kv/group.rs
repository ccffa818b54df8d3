//! The promises of a group to itself: one leader in a term, and members that applied as much have the same.

use std::collections::BTreeMap;

use ::kv::Look;

use crate::{Kind, Tally};
use consensus::{LogIndex, Message, MessageBody, Role, Term};
use glossary::{GroupId, NodeId};

/// What was seen of all members in all their lives.
#[derive(Clone, Debug, Default)]
pub struct GroupChecker {
    states: BTreeMap<LogIndex, (u64, NodeId)>,
    leaders: BTreeMap<Term, NodeId>,
    /// Snapshots that members took over in their present lives.
    installed: BTreeMap<NodeId, u64>,
    /// States that members were given anew in their present lives.
    healed: BTreeMap<NodeId, u64>,
    /// Whose group sleeps.
    asleep: BTreeMap<NodeId, bool>,
    /// For whom a node voted in a term.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The newest term in which a node said what it must not forget.
    terms: BTreeMap<NodeId, Term>,
    tally: Tally,
}

/// States that are remembered: members farther behind begin with a snapshot, whose state is compared later on.
const STATES_MAX: usize = 4096;

impl GroupChecker {
    /// Looks at a member after a step; says what is wrong.
    pub fn look(&mut self, node: NodeId, look: Look) -> Option<String> {
        let leadership = look.leadership;
        if leadership.role == Role::Leader {
            let leader = *self.leaders.entry(leadership.term).or_insert_with(|| {
                self.tally.add(Kind::Lead);
                node
            });
            if leader != node {
                return Some(format!("nodes {} and {} lead term {}", leader.0, node.0, leadership.term));
            }
        }
        if !look.is_ahead_of_all {
            return Some(format!("node {} would send what the others have", node.0));
        }
        let said = self.terms.get(&node).copied().unwrap_or_default();
        if leadership.term < said {
            return Some(format!("node {} has forgotten term {said}, and is in {}", node.0, leadership.term));
        }
        let installed = self.installed.insert(node, look.installed).unwrap_or_default();
        if look.installed > installed {
            self.tally.add(Kind::Installation);
        }
        let healed = self.healed.insert(node, look.healed).unwrap_or_default();
        if look.healed > healed {
            self.tally.add(Kind::Healing);
        }
        let was_asleep = self.asleep.insert(node, look.is_asleep).unwrap_or_default();
        if look.is_asleep && !was_asleep {
            self.tally.add(Kind::Sleep);
        }
        if look.differed > 0 {
            return Some(format!("node {} finds that another member differs from it", node.0));
        }
        let (hash, first) = *self.states.entry(look.applied).or_insert((look.hash, node));
        if self.states.len() > STATES_MAX {
            self.states.pop_first();
        }
        (hash != look.hash)
            .then(|| format!("nodes {} and {} differ at entry {}", first.0, node.0, look.applied))
    }

    /// A member says something to another; says what is wrong with that.
    pub fn on_message(&mut self, from: NodeId, to: NodeId, message: &Message) -> Option<String> {
        let is_vote = matches!(message.body, MessageBody::Vote { granted: true, .. });
        if is_vote || matches!(message.body, MessageBody::AskVote { .. } | MessageBody::Appended { .. }) {
            let term = self.terms.entry(from).or_default();
            *term = message.term.max(*term);
        }
        let first = is_vote.then(|| *self.votes.entry((from, message.term)).or_insert(to))?;
        (first != to)
            .then(|| format!("node {} votes for {} and {} in {}", from.0, first.0, to.0, message.term))
    }

    /// A node lost its disk, and is another member from now on.
    pub fn forget(&mut self, node: NodeId) {
        self.terms.remove(&node);
        self.votes.retain(|(voter, _), _| *voter != node);
    }
}

/// The same for every group of the KV.
#[derive(Clone, Debug, Default)]
pub struct GroupCheckers {
    of: BTreeMap<GroupId, GroupChecker>,
    is_over: bool,
}

impl GroupCheckers {
    /// Looks at a member of a group after a step; says what is wrong.
    pub fn look(&mut self, group: GroupId, node: NodeId, look: Look) -> Option<String> {
        // A member counts for all its groups together: that is told of once.
        let counted = if group == GroupId::ROOT { look } else { Look { installed: 0, healed: 0, ..look } };
        let wrong = self.of(group)?.look(node, counted)?;
        Some(format!("group {group}: {wrong}"))
    }

    /// A member of a group says something to another; says what is wrong with that.
    pub fn on_message(
        &mut self,
        group: GroupId,
        from: NodeId,
        to: NodeId,
        message: &Message,
    ) -> Option<String> {
        let wrong = self.of(group)?.on_message(from, to, message)?;
        Some(format!("group {group}: {wrong}"))
    }

    /// Who led a group last, and in which term.
    pub fn leader(&self, group: GroupId) -> Option<(Term, NodeId)> {
        self.of.get(&group)?.leaders.last_key_value().map(|(term, node)| (*term, *node))
    }

    /// The leader of a group, where it sleeps.
    pub fn sleeping_leader(&self, group: GroupId) -> Option<NodeId> {
        let of = self.of.get(&group)?;
        let (_, leader) = of.leaders.last_key_value()?;
        of.asleep.get(leader).copied().unwrap_or_default().then_some(*leader)
    }

    /// None when nothing more is demanded.
    fn of(&mut self, group: GroupId) -> Option<&mut GroupChecker> {
        (!self.is_over).then(|| self.of.entry(group).or_default())
    }

    /// What happened to all groups.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.of.values().for_each(|of| tally.merge(&of.tally));
        tally
    }

    /// A node lost its disk, and is another member from now on.
    pub fn forget(&mut self, node: NodeId) {
        self.of.values_mut().for_each(|of| of.forget(node));
    }

    /// Nothing more is demanded: disks were damaged beyond what the groups can make up for.
    pub fn end(&mut self) {
        self.is_over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::{Leadership, Position};

    fn look(applied: u64, hash: u64, term: u64, role: Role) -> Look {
        let leadership = Leadership { role, term: Term(term), leader: None };
        Look {
            applied: LogIndex(applied),
            hash,
            installed: 0,
            differed: 0,
            healed: 0,
            is_asleep: false,
            is_ahead_of_all: true,
            leadership,
        }
    }

    #[test]
    fn a_second_vote_and_a_forgotten_one_are_told() {
        let mut checker = GroupChecker::default();
        let body = MessageBody::Vote { granted: true, commit: Position::default() };
        let vote = Message { term: Term(4), body };
        assert_eq!(checker.on_message(NodeId(1), NodeId(2), &vote), None);
        assert_eq!(checker.on_message(NodeId(1), NodeId(2), &vote), None, "sent again");
        assert_eq!(checker.look(NodeId(1), look(5, 50, 4, Role::Follower)), None);
        assert!(
            checker
                .look(NodeId(1), look(5, 50, 3, Role::Follower))
                .is_some_and(|why| why.contains("forgotten"))
        );
        assert!(checker.on_message(NodeId(1), NodeId(3), &vote).is_some_and(|why| why.contains("votes")));
    }

    #[test]
    fn two_leaders_of_a_term_and_two_states_of_an_index_are_told() {
        let mut checker = GroupChecker::default();
        assert_eq!(checker.look(NodeId(1), look(5, 50, 2, Role::Leader)), None);
        assert_eq!(checker.look(NodeId(2), look(5, 50, 3, Role::Leader)), None);
        assert!(
            checker.look(NodeId(2), look(6, 60, 2, Role::Leader)).is_some_and(|why| why.contains("term"))
        );
        assert!(
            checker
                .look(NodeId(3), look(5, 51, 3, Role::Follower))
                .is_some_and(|why| why.contains("entry 5"))
        );
        let alarmed = Look { differed: 1, ..look(5, 50, 3, Role::Follower) };
        assert!(checker.look(NodeId(1), alarmed).is_some_and(|why| why.contains("differs")));
        let mut all = GroupCheckers::default();
        for group in [GroupId::ROOT, GroupId(1)] {
            assert_eq!(all.look(group, NodeId(1), look(5, u64::from(group.0), 2, Role::Follower)), None);
        }
        let wrong = all.look(GroupId(1), NodeId(2), look(5, 9, 2, Role::Follower));
        assert!(wrong.is_some_and(|why| why.starts_with("group 1: ")));
        all.end();
        assert_eq!(all.look(GroupId(1), NodeId(2), look(5, 9, 2, Role::Follower)), None);
    }
}

//! The promises of a group to itself: one leader in a term, and members that applied as much have the same.

use std::collections::BTreeMap;

use ::kv::Look;

use crate::{Kind, Tally};
use consensus::{LogIndex, Message, MessageBody, Role, Term};
use glossary::NodeId;

/// What was seen of all members in all their lives.
#[derive(Clone, Debug, Default)]
pub struct GroupChecker {
    states: BTreeMap<LogIndex, (u64, NodeId)>,
    leaders: BTreeMap<Term, NodeId>,
    /// Snapshots that members took over in their present lives.
    installed: BTreeMap<NodeId, u64>,
    /// For whom a node voted in a term.
    votes: BTreeMap<(NodeId, Term), NodeId>,
    /// The newest term in which a node said what it must not forget.
    terms: BTreeMap<NodeId, Term>,
    tally: Tally,
    is_over: bool,
}

/// States that are remembered: members farther behind begin with a snapshot, whose state is compared later on.
const STATES_MAX: usize = 4096;

impl GroupChecker {
    /// Looks at a member after a step; says what is wrong.
    pub fn look(&mut self, node: NodeId, look: Look) -> Option<String> {
        if self.is_over {
            return None;
        }
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
        (first != to && !self.is_over)
            .then(|| format!("node {} votes for {} and {} in {}", from.0, first.0, to.0, message.term))
    }

    /// What happened to the group.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A node lost its disk, and is another member from now on.
    pub fn forget(&mut self, node: NodeId) {
        self.terms.remove(&node);
        self.votes.retain(|(voter, _), _| *voter != node);
    }

    /// Nothing more is demanded: disks were damaged beyond what the group can make up for.
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
        checker.end();
        assert_eq!(checker.look(NodeId(3), look(5, 51, 3, Role::Follower)), None);
    }
}

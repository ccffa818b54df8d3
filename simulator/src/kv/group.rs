//! The promises of a group to itself: one leader in a term, and members that applied as much have the same.

use std::collections::BTreeMap;

use ::kv::Look;
use consensus::{LogIndex, Role, Term};
use glossary::NodeId;

/// What was seen of all members in all their lives.
#[derive(Clone, Debug, Default)]
pub struct GroupChecker {
    states: BTreeMap<LogIndex, (u64, NodeId)>,
    leaders: BTreeMap<Term, NodeId>,
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
            let leader = *self.leaders.entry(leadership.term).or_insert(node);
            if leader != node {
                return Some(format!("nodes {} and {} lead term {}", leader.0, node.0, leadership.term));
            }
        }
        let (hash, first) = *self.states.entry(look.applied).or_insert((look.hash, node));
        if self.states.len() > STATES_MAX {
            self.states.pop_first();
        }
        (hash != look.hash)
            .then(|| format!("nodes {} and {} differ at entry {}", first.0, node.0, look.applied))
    }

    /// Nothing more is demanded: disks were damaged beyond what the group can make up for.
    pub fn end(&mut self) {
        self.is_over = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::Leadership;

    fn look(applied: u64, hash: u64, term: u64, role: Role) -> Look {
        let leadership = Leadership { role, term: Term(term), leader: None };
        Look { applied: LogIndex(applied), hash, leadership }
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
        checker.end();
        assert_eq!(checker.look(NodeId(3), look(5, 51, 3, Role::Follower)), None);
    }
}

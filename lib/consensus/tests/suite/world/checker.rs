//! What must always hold, whatever fails.

use std::collections::{BTreeMap, BTreeSet};

use consensus::{Entry, EntryBody, LogIndex, Member, Membership, Position, Role, Status, Term};

use super::machine::{Machine, encoded};
use super::rng::fold;

/// A promise that was broken.
pub(crate) type Violation = String;

/// Sees everything, and remembers what was promised.
#[derive(Default)]
pub(crate) struct Checker {
    leaders: BTreeMap<Term, Member>,
    /// Every entry ever written: the term of the one before it, and what it says.
    written: BTreeMap<(LogIndex, Term), (Option<Term>, u64)>,
    committed: BTreeMap<LogIndex, (Term, u64)>,
    /// The state after each committed entry.
    states: BTreeMap<LogIndex, u64>,
    memberships: BTreeMap<LogIndex, Membership>,
    commands: BTreeSet<Vec<u8>>,
}

impl Checker {
    pub(crate) fn new(genesis: &Membership) -> Checker {
        let first = LogIndex(1);
        let mut checker = Checker::default();
        checker.committed.insert(first, (Term(1), 0));
        checker.states.insert(first, 0);
        checker.memberships.insert(first, genesis.clone());
        checker
    }

    /// The newest entry that anybody applied.
    pub(crate) fn newest(&self) -> LogIndex {
        *self.committed.last_key_value().expect("genesis").0
    }

    pub(crate) fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// Whether it ever was a member.
    pub(crate) fn was_member(&self, member: Member) -> bool {
        self.memberships.values().any(|membership| membership.contains(member))
    }

    /// The memberships in force at any entry of a range.
    pub(crate) fn memberships(&self, from: LogIndex, to: LogIndex) -> Vec<&Membership> {
        let begin = self.memberships.range(..=from).next_back().map_or(LogIndex(1), |(index, _)| *index);
        self.memberships.range(begin..=to.max(begin)).map(|(_, membership)| membership).collect()
    }

    /// Log matching: entries of one term and index are one entry, with one predecessor.
    pub(crate) fn on_written(&mut self, before: Option<Term>, entry: &Entry) -> Result<(), Violation> {
        let hash = fold(0, &encoded(entry));
        let first = self.written.entry((entry.index, entry.term)).or_insert((before, hash));
        if first.1 != hash || before.is_some() && first.0.is_some() && before != first.0 {
            return Err(format!("log matching: two entries {:?}", entry.position()));
        }
        Ok(())
    }

    /// Election safety, and leader completeness by a look at the new leader's log.
    pub(crate) fn on_status(
        &mut self,
        status: &Status,
        term_at: impl Fn(LogIndex) -> Option<Term>,
    ) -> Result<(), Violation> {
        let member = status.me;
        // A snapshot that is being installed counts before it is durable.
        let is_durable = status.handed_out <= status.durable.max(status.snapshot);
        if status.handed_out > status.commit || status.commit > status.last || !is_durable {
            return Err(format!("order of indices at {member}: {status:?}"));
        }
        for (other, progress) in &status.progress {
            if progress.next <= progress.matched {
                return Err(format!("{member} would send {other} what it has: {progress:?}"));
            }
        }
        if status.leadership.role != Role::Leader {
            return Ok(());
        }
        let term = status.leadership.term;
        match self.leaders.get(&term) {
            Some(&leader) if leader == member => Ok(()),
            Some(leader) => Err(format!("election safety: {leader} and {member} lead {term}")),
            None => {
                self.leaders.insert(term, member);
                self.completeness(status, term_at)
            }
        }
    }

    fn completeness(
        &self,
        status: &Status,
        term_at: impl Fn(LogIndex) -> Option<Term>,
    ) -> Result<(), Violation> {
        for (index, (term, _)) in self.committed.range(status.snapshot.next()..) {
            if *index > status.handed_out && term_at(*index) != Some(*term) {
                return Err(format!("leader completeness: {} leads without entry {index}", status.me));
            }
        }
        Ok(())
    }

    /// State-machine safety: everyone applies the same entries, and none twice.
    pub(crate) fn on_applied(&mut self, member: Member, entry: &Entry, state: u64) -> Result<(), Violation> {
        let hash = fold(0, &encoded(entry));
        let index = entry.index;
        if let Some((term, first)) = self.committed.get(&index) {
            if (*term, *first) != (entry.term, hash) {
                return Err(format!("a committed entry changed: {index} at {member}"));
            }
            return self.on_state(member, index, state);
        }
        if let EntryBody::Command(command) = &entry.body
            && !self.commands.insert(command.to_vec())
        {
            return Err(format!("applied twice: the command of entry {index}"));
        }
        if let EntryBody::Membership(change) = entry.body {
            let (_, now) = self.memberships.last_key_value().expect("genesis");
            if let Some(after) = now.after(change) {
                self.memberships.insert(index, after);
            }
        }
        self.committed.insert(index, (entry.term, hash));
        self.states.insert(index, state);
        Ok(())
    }

    fn on_state(&self, member: Member, index: LogIndex, state: u64) -> Result<(), Violation> {
        match self.states.get(&index) {
            Some(first) if *first == state => Ok(()),
            _ => Err(format!("state-machine safety: {member} has another state at {index}")),
        }
    }

    /// A snapshot stands for the state that it says.
    pub(crate) fn on_installed(&self, member: Member, machine: &Machine) -> Result<(), Violation> {
        self.on_state(member, machine.applied, machine.hash)
    }

    /// What members believe about who is a member.
    pub(crate) fn on_membership(&self, status: &Status) -> Result<(), Violation> {
        let truth =
            self.memberships.range(..=status.handed_out).next_back().map(|(_, membership)| membership);
        match truth {
            Some(truth) if status.handed_out.0 > 0 && *truth != status.membership => {
                Err(format!("{} believes in other members at {}", status.me, status.handed_out))
            }
            _ => Ok(()),
        }
    }

    /// What is committed is durable at a majority of those who were voters when it was decided.
    pub(crate) fn on_committed(
        &self,
        at: Position,
        decided: &[&Membership],
        is_durable_at: impl Fn(Member) -> bool,
    ) -> Result<(), Violation> {
        let has_majority = |membership: &&&Membership| {
            membership.voters.iter().filter(|voter| is_durable_at(**voter)).count() >= membership.quorum()
        };
        match decided.iter().find(has_majority) {
            Some(_) => Ok(()),
            None => Err(format!("committed without a durable majority: {at:?}")),
        }
    }

    /// A read is not older than what was applied anywhere when it was asked.
    pub(crate) fn on_read(&self, asked_at: LogIndex, index: LogIndex) -> Result<(), Violation> {
        if index < asked_at {
            return Err(format!(
                "a stale read: {index} was confirmed, {asked_at} was applied when it was asked"
            ));
        }
        Ok(())
    }
}

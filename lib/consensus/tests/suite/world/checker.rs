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
    /// Every entry that ever was durable: the term of the one before it, and what it says.
    durable: BTreeMap<(LogIndex, Term), (Option<Term>, u64)>,
    committed: BTreeMap<LogIndex, (Term, u64)>,
    /// The state after each committed entry.
    states: BTreeMap<LogIndex, u64>,
    memberships: BTreeMap<LogIndex, Membership>,
    /// The newest entry that anybody knew to be committed.
    decided: LogIndex,
    /// In which term whoever knew it first was.
    decided_in: BTreeMap<LogIndex, Term>,
    commands: BTreeSet<Vec<u8>>,
}

impl Checker {
    pub(crate) fn new(genesis: &Membership) -> Checker {
        let first = LogIndex(1);
        let mut checker = Checker::default();
        checker.committed.insert(first, (Term(1), 0));
        checker.states.insert(first, 0);
        checker.decided = first;
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

    /// The newest membership.
    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.last_key_value().expect("genesis").1
    }

    /// The entry that removed a member.
    pub(crate) fn removed_at(&self, member: Member) -> Option<LogIndex> {
        let last = self.memberships.iter().rev().find(|(_, membership)| membership.contains(member))?.0;
        self.memberships.range(last.next()..).next().map(|(index, _)| *index)
    }

    /// Log matching: entries of one term and index are one entry, with one predecessor. What was never durable may
    /// be another after a crash, as nobody else saw it.
    pub(crate) fn on_durable(&mut self, before: Option<Term>, entry: &Entry) -> Result<(), Violation> {
        let hash = fold(0, &encoded(entry));
        let first = self.durable.entry((entry.index, entry.term)).or_insert((before, hash));
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
        for (index, (term, _)) in self.committed.range(status.handed_out.next()..) {
            // A leader that was elected long ago may hear of it late.
            let is_older =
                self.decided_in.get(index).is_some_and(|decided| *decided < status.leadership.term);
            if is_older && term_at(*index) != Some(*term) {
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
        if let EntryBody::Membership(change) = entry.body
            && let Some(after) = self.membership().after(change)
        {
            self.memberships.insert(index, after);
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

    /// What is committed is durable at a majority of the voters that whoever decided it knew then.
    pub(crate) fn on_commit(
        &mut self,
        status: &Status,
        term_at: impl Fn(LogIndex) -> Option<Term>,
        is_durable_at: impl Fn(Member, Position) -> bool,
    ) -> Result<(), Violation> {
        while self.decided < status.commit {
            self.decided = self.decided.next();
            self.decided_in.insert(self.decided, status.leadership.term);
            // What a snapshot holds was decided before, by somebody whom nobody saw.
            let Some(term) = term_at(self.decided) else { continue };
            let at = Position { term, index: self.decided };
            let voters = &status.membership.voters;
            let durable: Vec<&Member> = voters.iter().filter(|voter| is_durable_at(**voter, at)).collect();
            if durable.len() < status.membership.quorum() {
                return Err(format!("committed at {durable:?} of {voters:?} by {}: {at:?}", status.me));
            }
        }
        Ok(())
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

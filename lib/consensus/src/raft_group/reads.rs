//! Reads that wait until a majority confirms that this member leads.
//!
//! Reads that come together share a round: one message to each member and back. The index of a round is what was
//! committed when it began, which is after each of its reads was asked for.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::{LogIndex, ReadAnswer, Term};

/// Rounds that may be under way. Later reads wait for the next, so that a slow network makes rounds larger and not
/// more.
const ROUNDS_MAX: usize = 4;

/// Reads of the term in which this member leads.
#[derive(Default)]
pub(super) struct Reads {
    term: Option<Term>,
    /// Never used again in the life of this object; a new life leads new terms.
    rounds_begun: u64,
    waiting: Vec<u64>,
    rounds: BTreeMap<u64, Vec<u64>>,
    answers: Vec<ReadAnswer>,
}

impl Reads {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.rounds.values().map(Vec::len).sum::<usize>()
    }

    pub(super) fn ask(&mut self, context: u64) {
        self.waiting.push(context);
    }

    /// The number of a new round with all that wait, if there is one to begin.
    pub(super) fn begin_round(&mut self) -> Option<u64> {
        if self.waiting.is_empty() || self.rounds.len() >= ROUNDS_MAX {
            return None;
        }
        self.rounds_begun += 1;
        self.rounds.insert(self.rounds_begun, core::mem::take(&mut self.waiting));
        Some(self.rounds_begun)
    }

    /// A round was confirmed.
    pub(super) fn confirm(&mut self, round: u64, index: LogIndex) {
        for context in self.rounds.remove(&round).unwrap_or_default() {
            self.answers.push(ReadAnswer::Confirmed { context, index });
        }
    }

    /// Notes the term in which this member leads, if it does. Reads of another are lost.
    pub(super) fn on_leadership(&mut self, term: Option<Term>) {
        if self.term != term {
            self.term = term;
            let rounds = core::mem::take(&mut self.rounds).into_values().flatten();
            let lost = rounds.chain(core::mem::take(&mut self.waiting));
            self.answers.extend(lost.map(|context| ReadAnswer::Lost { context }));
        }
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    pub(super) fn take_answers(&mut self) -> Vec<ReadAnswer> {
        core::mem::take(&mut self.answers)
    }
}

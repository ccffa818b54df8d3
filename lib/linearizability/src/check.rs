//! The verdict on a history.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::explanation::{self, Explanation};
use crate::history::CallOf;
use crate::search::{Found, Search};
use crate::{History, Model};

/// How much may be tried. Whether a history is linearizable can take exponential time; nothing here hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Calls that are tried for each key. Memory is in proportion.
    pub tries_max: u64,
}

/// What is known of a history.
#[derive(Clone, Debug)]
pub enum Verdict<M: Model> {
    /// There is an order that explains all answers.
    Linearizable,
    /// There is none, and this part of the history shows it.
    Violated(Explanation<M>),
    /// The effort ended before it was known, for this key. For keys before it there is an order.
    Undecided(M::Key),
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { tries_max: 5_000_000 }
    }
}

/// Whether a history has an order that explains it.
pub fn check<M: Model>(model: &M, history: &History<M::Operation, M::Answer>, effort: Effort) -> Verdict<M> {
    let mut keys: BTreeMap<M::Key, Vec<CallOf<M>>> = BTreeMap::new();
    for call in history.calls() {
        keys.entry(model.key(&call.operation)).or_default().push(call.clone());
    }
    // A violation anywhere is worth more than a doubt elsewhere.
    let mut undecided = None;
    for (key, calls) in keys {
        let mut tries = effort.tries_max;
        match Search::new(model, &calls, model.initial(&key)).run(&mut tries) {
            Found::Order => {}
            Found::Nothing => return Verdict::Violated(explanation::explain(model, key, &calls, effort)),
            Found::TooHard => undecided = undecided.or(Some(key)),
        }
    }
    undecided.map_or(Verdict::Linearizable, Verdict::Undecided)
}

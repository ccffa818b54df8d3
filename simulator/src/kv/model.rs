//! What the KV should do, one call after the other: a few keys, of which calls may see and change several at once.

use linearizability::{Effort, History, Model, Verdict};

/// How many keys askers ask for. All are one state, as a call may be about several.
pub const KEYS: usize = 3;

/// A number that was set by one call alone, or none where the key isn't there.
pub type Value = Option<u32>;

/// What askers asked and were answered.
pub type KvHistory = History<Operation, Answer>;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A key's value.
    Get(usize),
    /// All values, by one range.
    All,
    /// Sets or deletes a key.
    Set(usize, Value),
    /// Sets or deletes a key, where another, or the same, has this value.
    SetIf {
        /// Which is looked at.
        key: usize,
        /// What it must have.
        is: Value,
        /// Which is set.
        target: usize,
        /// To what.
        value: Value,
    },
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value.
    Value(Value),
    /// All values.
    All([Value; KEYS]),
    /// It is done.
    Done,
    /// It wasn't, as an assert didn't hold.
    Refused,
}

/// The keys.
#[derive(Clone, Copy, Debug)]
struct KvModel;

impl Model for KvModel {
    type Key = ();
    type State = [Value; KEYS];
    type Operation = Operation;
    type Answer = Answer;

    fn key(&self, _operation: &Operation) {}

    fn initial(&self, (): &()) -> Self::State {
        [None; KEYS]
    }

    fn step(
        &self,
        state: &Self::State,
        operation: &Operation,
        answer: Option<&Answer>,
    ) -> Option<Self::State> {
        let mut after = *state;
        let right = match *operation {
            Operation::Get(key) => Answer::Value(state[key]),
            Operation::All => Answer::All(*state),
            Operation::Set(key, value) => {
                after[key] = value;
                Answer::Done
            }
            Operation::SetIf { key, is, .. } if state[key] != is => Answer::Refused,
            Operation::SetIf { target, value, .. } => {
                after[target] = value;
                Answer::Done
            }
        };
        answer.is_none_or(|answer| *answer == right).then_some(after)
    }

    fn is_read(&self, operation: &Operation, answer: &Answer) -> bool {
        matches!(operation, Operation::Get(_) | Operation::All) || *answer == Answer::Refused
    }
}

/// Why the history of all askers has no order that explains it; none where it has one.
pub fn check(history: &KvHistory) -> Option<String> {
    match linearizability::check(&KvModel, history, Effort::default()) {
        Verdict::Linearizable => None,
        Verdict::Violated(explanation) => Some(format!("the KV's answers have no order: {explanation}")),
        Verdict::Undecided(()) => Some("the KV's answers are too many to be judged".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(calls: &[(Operation, Answer)]) -> KvHistory {
        let mut history = KvHistory::new();
        for (operation, answer) in calls {
            let call = history.begin(1, *operation);
            history.end(call, *answer);
        }
        history
    }

    const SWAP: Operation = Operation::SetIf { key: 0, is: Some(1), target: 1, value: Some(2) };

    #[test]
    fn what_is_right_passes() {
        let calls = [
            (SWAP, Answer::Refused),
            (Operation::Set(0, Some(1)), Answer::Done),
            (SWAP, Answer::Done),
            (Operation::All, Answer::All([Some(1), Some(2), None])),
            (Operation::Set(0, None), Answer::Done),
            (Operation::Get(0), Answer::Value(None)),
        ];
        assert_eq!(check(&history(&calls)), None);
    }

    #[test]
    fn a_stale_read_a_lost_and_a_doubled_command_do_not() {
        let set = |value| (Operation::Set(0, Some(value)), Answer::Done);
        let get = |value| (Operation::Get(0), Answer::Value(value));
        let stale = [set(1), set(2), get(Some(1))];
        let lost = [set(1), get(None)];
        let doubled = [set(1), set(2), get(Some(2)), get(Some(1))];
        let refused_and_done = [set(1), (SWAP, Answer::Refused)];
        for calls in [&stale[..], &lost, &doubled, &refused_and_done] {
            assert!(check(&history(calls)).is_some_and(|why| why.contains("no order")), "{calls:?}");
        }
    }
}

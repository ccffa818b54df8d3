//! What calls should do.

use core::fmt::Debug;
use core::hash::Hash;

/// What calls should do, one after the other.
pub trait Model {
    /// What calls on different keys don't share. `()` where all is one.
    type Key: Clone + Ord + Debug;
    /// The state of one key.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked.
    type Operation: Clone + Debug;
    /// What is answered.
    type Answer: Clone + Debug;

    /// Which key an operation is about.
    fn key(&self, operation: &Self::Operation) -> Self::Key;

    /// The state of a key at first.
    fn initial(&self, key: &Self::Key) -> Self::State;

    /// The state after an operation; none where this answer would be wrong. Without an answer, any would do.
    fn step(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
        answer: Option<&Self::Answer>,
    ) -> Option<Self::State>;

    /// Whether a call with this answer leaves every state as it is in which the answer is right: a read, or a change
    /// that was refused. Such calls are taken as soon as they fit and never put off, which saves most of the search.
    /// `false` is always right.
    fn is_read(&self, operation: &Self::Operation, answer: &Self::Answer) -> bool {
        let _ = (operation, answer);
        false
    }
}

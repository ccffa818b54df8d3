//! Lists by key that only grow: an append that is done twice, lost or out of order shows at the next read.

use alloc::vec::Vec;
use core::fmt::Debug;
use core::marker::PhantomData;

use crate::Model;

/// Lists by key, each empty at first. A state is the whole list, so many short lists are checked faster than a long one.
#[derive(Clone, Debug)]
pub struct AppendList<K>(PhantomData<K>);

/// An operation on one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOperation<K> {
    /// Which.
    pub key: K,
    /// What is done.
    pub action: ListAction,
}

/// What is done to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAction {
    /// Puts an item at its end.
    Append(u64),
    /// Reads all of it.
    Read,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAnswer {
    /// Appended.
    Done,
    /// All items.
    Items(Vec<u64>),
}

impl<K> AppendList<K> {
    /// Lists, all empty.
    #[must_use]
    pub fn new() -> AppendList<K> {
        AppendList(PhantomData)
    }
}

impl<K> Default for AppendList<K> {
    fn default() -> AppendList<K> {
        AppendList::new()
    }
}

impl<K: Clone + Ord + Debug> Model for AppendList<K> {
    type Key = K;
    type State = Vec<u64>;
    type Operation = ListOperation<K>;
    type Answer = ListAnswer;

    fn key(&self, operation: &ListOperation<K>) -> K {
        operation.key.clone()
    }

    fn initial(&self, _key: &K) -> Vec<u64> {
        Vec::new()
    }

    fn step(
        &self,
        state: &Vec<u64>,
        operation: &ListOperation<K>,
        answer: Option<&ListAnswer>,
    ) -> Option<Vec<u64>> {
        match (&operation.action, answer) {
            (ListAction::Append(item), None | Some(ListAnswer::Done)) => {
                let mut after = state.clone();
                after.push(*item);
                Some(after)
            }
            (ListAction::Read, None) => Some(state.clone()),
            (ListAction::Read, Some(ListAnswer::Items(items))) => (items == state).then(|| state.clone()),
            (ListAction::Append(_), Some(ListAnswer::Items(_)))
            | (ListAction::Read, Some(ListAnswer::Done)) => None,
        }
    }

    fn is_read(&self, operation: &ListOperation<K>, _answer: &ListAnswer) -> bool {
        operation.action == ListAction::Read
    }
}

//! Registers by key, with compare-and-set.

use core::fmt::Debug;
use core::hash::Hash;
use core::marker::PhantomData;

use crate::Model;

/// Registers by key, each empty at first.
#[derive(Clone, Debug)]
pub struct Register<K, V>(PhantomData<(K, V)>);

/// An operation on one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOperation<K, V> {
    /// Which.
    pub key: K,
    /// What is done.
    pub action: RegisterAction<V>,
}

/// What is done to a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterAction<V> {
    /// Reads it.
    Read,
    /// Writes it.
    Write(V),
    /// Empties it.
    Clear,
    /// Writes `new` if it holds `expected`.
    CompareAndSet {
        /// What it must hold; none for empty.
        expected: Option<V>,
        /// What it holds then; none for empty.
        new: Option<V>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterAnswer<V> {
    /// What was read; none for empty.
    Value(Option<V>),
    /// Written or emptied.
    Done,
    /// Whether it held what was expected.
    Swapped(bool),
}

impl<K, V> Register<K, V> {
    /// Registers, all empty.
    #[must_use]
    pub fn new() -> Register<K, V> {
        Register(PhantomData)
    }
}

impl<K, V> Default for Register<K, V> {
    fn default() -> Register<K, V> {
        Register::new()
    }
}

impl<K: Clone + Ord + Debug, V: Clone + Eq + Hash + Debug> Model for Register<K, V> {
    type Key = K;
    type State = Option<V>;
    type Operation = RegisterOperation<K, V>;
    type Answer = RegisterAnswer<V>;

    fn key(&self, operation: &RegisterOperation<K, V>) -> K {
        operation.key.clone()
    }

    fn initial(&self, _key: &K) -> Option<V> {
        None
    }

    fn step(
        &self,
        state: &Option<V>,
        operation: &RegisterOperation<K, V>,
        answer: Option<&RegisterAnswer<V>>,
    ) -> Option<Option<V>> {
        let (after, right) = match &operation.action {
            RegisterAction::Read => (state.clone(), RegisterAnswer::Value(state.clone())),
            RegisterAction::Write(value) => (Some(value.clone()), RegisterAnswer::Done),
            RegisterAction::Clear => (None, RegisterAnswer::Done),
            RegisterAction::CompareAndSet { expected, new } if expected == state => {
                (new.clone(), RegisterAnswer::Swapped(true))
            }
            RegisterAction::CompareAndSet { .. } => (state.clone(), RegisterAnswer::Swapped(false)),
        };
        answer.is_none_or(|answer| *answer == right).then_some(after)
    }

    fn is_read(&self, operation: &RegisterOperation<K, V>, answer: &RegisterAnswer<V>) -> bool {
        match &operation.action {
            RegisterAction::Read => true,
            RegisterAction::Write(_) | RegisterAction::Clear => false,
            RegisterAction::CompareAndSet { .. } => *answer == RegisterAnswer::Swapped(false),
        }
    }
}

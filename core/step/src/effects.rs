//! The outbox of a step.

use alloc::vec::{Drain, Vec};

/// What a machine wants, in the order it said so. Reused from step to step, so that none allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<E> {
    list: Vec<E>,
}

impl<E> Effects<E> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Effects { list: Vec::new() }
    }

    /// Appends one effect.
    pub fn push(&mut self, effect: E) {
        self.list.push(effect);
    }

    /// What was said so far.
    pub fn as_slice(&self) -> &[E] {
        &self.list
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes everything out, in order, and keeps the room.
    pub fn drain(&mut self) -> Drain<'_, E> {
        self.list.drain(..)
    }
}

impl<E> Default for Effects<E> {
    fn default() -> Self {
        Self::new()
    }
}

//! The numbers of sessions that were forgotten last.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::limits::MAX_FORGOTTEN;

/// At most [`MAX_FORGOTTEN`] numbers, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// The oldest first.
    order: VecDeque<u64>,
    /// The same: whoever begins a session looks here.
    known: BTreeSet<u64>,
}

impl Forgotten {
    /// One more. Gives the one that goes for it.
    pub(crate) fn push(&mut self, session: u64) -> Option<u64> {
        if self.known.insert(session) {
            self.order.push_back(session);
        }
        let oldest = self.order.pop_front_if(|_| self.known.len() > MAX_FORGOTTEN)?;
        self.known.remove(&oldest);
        Some(oldest)
    }

    pub(crate) fn has(&self, session: u64) -> bool {
        self.known.contains(&session)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// All, the oldest first.
    pub(crate) fn all(&self) -> Vec<u64> {
        self.order.iter().copied().collect()
    }
}

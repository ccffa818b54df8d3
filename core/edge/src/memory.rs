//! The memory of changes that are not stable (PROTOCOLS E1).

use alloc::collections::VecDeque;

use crate::change::{Change, ChangeBody};
use crate::context::Asker;

/// The changes of one client of a vDisk that are not stable or not answered, in the order of their numbers and
/// without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    changes: VecDeque<Change>,
    last_number: u64,
    /// The volume driver said that every change up to this one is stable.
    stable: u64,
    /// The last change that is stable and was more than a void: a restarted volume driver must know of it.
    stable_effect: u64,
    bytes: u64,
}

impl Memory {
    /// An empty memory of a client whose changes up to this one are the volume driver's.
    pub(crate) fn after(applied: u64) -> Self {
        Memory { last_number: applied, stable: applied, ..Memory::default() }
    }

    /// Takes in a change and gives it its number.
    pub(crate) fn push(&mut self, request: u64, asker: Asker, body: ChangeBody) -> &mut Change {
        self.last_number += 1;
        self.bytes += body.cost();
        let number = self.last_number;
        let asker = Some(asker);
        self.changes.push_back(Change {
            number,
            request,
            asker,
            body,
            awaited: None,
            limbo: false,
            sent: false,
        });
        self.changes.back_mut().expect("a change was pushed")
    }

    /// The number of the oldest change that is not stable or not answered; of the next one, when there is none.
    pub(crate) fn first_change(&self) -> u64 {
        self.changes.front().map_or(self.last_number + 1, |change| change.number)
    }

    /// The last change that a restarted volume driver must have in its log.
    pub(crate) fn stable_effect(&self) -> u64 {
        self.stable_effect
    }

    /// What is remembered counts for so many bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Change> {
        self.changes.iter_mut()
    }

    /// Where the change with this request number is: those numbers rise as the changes' own do.
    pub(crate) fn position(&self, request: u64) -> Option<usize> {
        // Where nothing else was asked in between, they are dense too.
        let guess = usize::try_from(request.checked_sub(self.changes.front()?.request)?).ok()?;
        if self.changes.get(guess).is_some_and(|change| change.request == request) {
            return Some(guess);
        }
        self.changes.binary_search_by_key(&request, |change| change.request).ok()
    }

    pub(crate) fn at(&mut self, position: usize) -> &mut Change {
        &mut self.changes[position]
    }

    /// Turns a change into one that does nothing, and lets its data go.
    pub(crate) fn void(&mut self, position: usize) {
        let body = &mut self.changes[position].body;
        self.bytes -= body.cost();
        *body = ChangeBody::Void;
        self.bytes += body.cost();
    }

    /// Every change up to `through` is stable. One that was never made can't be.
    pub(crate) fn stable_through(&mut self, through: u64) {
        self.stable = self.stable.max(through.min(self.last_number));
    }

    /// Lets go of what needs no memory any more.
    pub(crate) fn forget(&mut self) {
        while let Some(first) = self.changes.front().filter(|change| change.is_settled()) {
            let void = first.body == ChangeBody::Void;
            if !void && first.number > self.stable {
                return;
            }
            if !void {
                self.stable_effect = first.number;
            }
            self.bytes -= first.body.cost();
            self.changes.pop_front();
        }
    }

    /// The last change that a flush sent now makes stable: it and all before it were answered. `None` when
    /// there is no such change in memory.
    pub(crate) fn flushable(&self) -> Option<u64> {
        self.changes.iter().take_while(|change| change.is_settled()).last().map(|change| change.number)
    }

    /// Panics when an invariant does not hold (see the module `disk`).
    pub(crate) fn check_invariants(&self) {
        let dense =
            self.changes.iter().zip(self.first_change()..).all(|(change, number)| change.number == number);
        debug_assert!(
            dense && self.first_change() + self.changes.len() as u64 == self.last_number + 1,
            "invariant 1"
        );
        let bytes: u64 = self.changes.iter().map(|change| change.body.cost()).sum();
        debug_assert_eq!(bytes, self.bytes, "invariant 2");
        let first = self.changes.front();
        debug_assert!(first.is_none_or(|c| !c.is_settled() || c.number > self.stable), "invariant 3");
        debug_assert!(self.stable_effect <= self.stable && self.stable <= self.last_number, "invariant 3");
    }
}

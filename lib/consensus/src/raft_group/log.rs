//! The log in memory, from which raft reads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::Cell;

use raft::eraftpb::{Entry as RaftEntry, Snapshot};
use raft::storage::{GetEntriesContext, Storage};
use raft::{Error, RaftState, StorageError};

use super::convert;
use crate::{Entry, HardState, LogIndex, Member, Position, Recovered, SnapshotMark, Term};

/// The log since its oldest entry that is kept. Commands are reference-counted, so this costs little beside them.
pub(super) struct Log {
    /// The newest snapshot.
    mark: SnapshotMark,
    /// What comes before the first entry that is kept.
    before: Position,
    entries: VecDeque<RaftEntry>,
    /// What raft is told when it starts.
    initial: HardState,
    /// Whether a member needs a newer snapshot than there is. Raft asks through a shared reference.
    is_newer_needed: Cell<bool>,
}

impl Log {
    pub(super) fn new(recovered: Recovered) -> Log {
        let entries = recovered.entries.iter().map(convert::raft_entry).collect();
        let before = recovered.mark.position();
        Log {
            mark: recovered.mark,
            before,
            entries,
            initial: recovered.hard_state,
            is_newer_needed: Cell::new(false),
        }
    }

    pub(super) fn mark(&self) -> &SnapshotMark {
        &self.mark
    }

    pub(super) fn last(&self) -> LogIndex {
        LogIndex(self.before.index.0 + self.entries.len() as u64)
    }

    /// Whether a member was in need of a newer snapshot since this was last asked.
    pub(super) fn take_newer_needed(&self) -> bool {
        self.is_newer_needed.take()
    }

    pub(super) fn is_newer_needed(&self) -> bool {
        self.is_newer_needed.get()
    }

    /// Nothing is here yet, not even the first members.
    pub(super) fn is_empty_newcomer(&self) -> bool {
        self.mark.index.0 == 0
    }

    /// The term of an entry that is here, or of the one before the first.
    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.before.index {
            return Some(self.before.term);
        }
        let place = index.0.checked_sub(self.before.index.0 + 1)?;
        self.entries.get(usize::try_from(place).ok()?).map(|entry| Term(entry.term))
    }

    /// Puts entries after one that is here, in place of what was there. Returns the index of that one.
    pub(super) fn append(&mut self, entries: &[RaftEntry]) -> LogIndex {
        let first = entries.first().expect("raft hands out no empty list of entries").index;
        let kept =
            first.checked_sub(self.before.index.0 + 1).expect("what a snapshot holds is never replaced");
        let kept = usize::try_from(kept).expect("entries are in memory");
        assert!(kept <= self.entries.len(), "entry {first} would leave a gap");
        self.entries.truncate(kept);
        self.entries.extend(entries.iter().cloned());
        LogIndex(first - 1)
    }

    /// The log goes on after this snapshot and has nothing else.
    pub(super) fn install(&mut self, mark: SnapshotMark) {
        self.before = mark.position();
        self.mark = mark;
        self.entries.clear();
    }

    /// The newest snapshot is this; entries up to an index are forgotten.
    pub(super) fn compact(&mut self, mark: SnapshotMark, keep_after: LogIndex) {
        let keep_after = keep_after.min(mark.index);
        self.mark = mark;
        if let Some(term) = self.term_at(keep_after) {
            let dropped = keep_after.0 - self.before.index.0;
            self.entries.drain(..usize::try_from(dropped).expect("entries are in memory"));
            self.before = Position { term, index: keep_after };
        }
    }

    /// The index before the first entry that is kept.
    pub(super) fn before(&self) -> LogIndex {
        self.before.index
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let state = convert::conf_state(&self.mark.membership);
        Ok(RaftState::new(convert::raft_hard_state(&self.initial), state))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<RaftEntry>> {
        let before = self.before.index.0;
        if low <= before {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last().0 + 1 || low > high {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let room = max_size.into().unwrap_or(u64::MAX);
        let (mut bytes, mut entries) = (0u64, Vec::new());
        let places = (low - before - 1) as usize..(high - before - 1) as usize;
        for entry in self.entries.range(places) {
            bytes = bytes.saturating_add((Entry::FIXED_BYTES + entry.data.len()) as u64);
            if bytes > room && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.term_at(LogIndex(index)) {
            Some(term) => Ok(term.0),
            None if index < self.before.index.0 => Err(Error::Store(StorageError::Compacted)),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.index.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last().0)
    }

    /// A member that was added after the newest snapshot is not in it, and would refuse it.
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<Snapshot> {
        if !self.mark.membership.contains(Member(to)) {
            self.is_newer_needed.set(true);
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(convert::snapshot(&self.mark))
    }
}

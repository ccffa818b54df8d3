//! What the group wants written and the log does not have yet, and what a file must say that begins anew.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use consensus::{Append, Entry, HardState, LogIndex, Persist, SnapshotMark};
use formats::kv_store::{Appended, LogRecord};

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Unwritten {
    hard_state: HardState,
    /// The last entry that is applied.
    applied: LogIndex,
    /// Entries behind it, in the log or in `records`.
    tail: VecDeque<Entry>,
    records: Vec<LogRecord>,
    /// The last number of the group's that `records` bring.
    through: Option<u64>,
    /// Whether somebody waits for them.
    is_due: bool,
}

/// What a group has for a batch.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) records: Vec<LogRecord>,
    /// The last number of the group's that they bring.
    pub(crate) through: Option<u64>,
    /// Whether somebody waits for them.
    pub(crate) is_due: bool,
}

/// What a file begins with that says all again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Anew {
    /// The number of the checkpoint from which the file goes on, if one is, or will be, there.
    pub(crate) upon: Option<u64>,
    /// What the group begins with, or was given by another member.
    pub(crate) install: Option<SnapshotMark>,
}

impl Unwritten {
    pub(crate) fn new(hard_state: HardState, applied: LogIndex, tail: Vec<Entry>) -> Self {
        let tail = tail.into();
        Unwritten { hard_state, applied, tail, records: Vec::new(), through: None, is_due: false }
    }

    /// The group begins here. Nobody waits for that to be written: what they wait for comes behind it.
    pub(crate) fn begin_group(&mut self, mark: &SnapshotMark) {
        self.records.push(LogRecord { install: Some(mark.clone()), ..LogRecord::default() });
    }

    /// The group wants this written. Many such are written together.
    pub(crate) fn push(&mut self, persist: Persist) {
        let Persist { number, hard_state, install, append, must_sync } = persist;
        self.through = Some(number);
        self.is_due |= must_sync;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        if let Some(mark) = &install {
            self.applied = mark.index;
            self.tail.clear();
        }
        let append = append.map(|append| self.append(append));
        self.records.push(LogRecord { upon: None, hard_state, install, append });
    }

    fn append(&mut self, Append { after, entries }: Append) -> Appended {
        let kept = after.0.saturating_sub(self.applied.0) as usize;
        self.tail.truncate(kept);
        self.tail.extend(entries.iter().cloned());
        Appended { after, entries }
    }

    /// The entry after the last applied one is applied.
    pub(crate) fn on_applied(&mut self, index: LogIndex) {
        self.applied = index;
        self.tail.pop_front();
    }

    /// The last entry that is applied.
    pub(crate) fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Whether somebody waits for what is to be written.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Whether something is to be written.
    pub(crate) fn is_there(&self) -> bool {
        !self.records.is_empty()
    }

    /// All that is to be written, for a batch; what nobody waits for goes along. With `anew` it says again all that
    /// counts, in the first batch of a file.
    pub(crate) fn take(&mut self, anew: Option<&Anew>) -> Taken {
        let mut records = core::mem::take(&mut self.records);
        if let Some(Anew { upon, install }) = anew {
            let entries = self.tail.iter().cloned().collect();
            let append = Some(Appended { after: self.applied, entries });
            let (hard_state, install) = (Some(self.hard_state), install.clone());
            // That the group begins is said once, and nothing says it again.
            records.retain(|record| record.install.is_some() && record.hard_state.is_none());
            records.push(LogRecord { upon: *upon, hard_state, install, append });
        }
        let is_due = core::mem::take(&mut self.is_due);
        Taken { records, through: self.through.take(), is_due }
    }
}

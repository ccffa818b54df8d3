//! A disk that loses what was not synced, in part or whole.

use std::collections::BTreeMap;

use consensus::{Append, Entry, HardState, LogIndex, Persist, Position, Recovered, SnapshotMark, Term};

use super::bugs::Bug;
use super::machine::Machine;
use super::rng::Rng;

/// What one member has written.
#[derive(Clone)]
pub(crate) struct Disk {
    /// What the member began with.
    first: Recovered,
    records: Vec<Persist>,
    /// How many records survive a crash.
    synced: usize,
    /// Snapshots, synced when they are made.
    snapshots: BTreeMap<LogIndex, (SnapshotMark, Machine)>,
    /// The newest that this member made itself.
    taken: Option<SnapshotMark>,
    /// The log as it is, and as far as it is durable.
    log: Log,
    durable: Log,
}

/// A log as the records make it.
#[derive(Clone, Default)]
struct Log {
    state: HardState,
    mark: SnapshotMark,
    entries: BTreeMap<LogIndex, Entry>,
}

impl Disk {
    pub(crate) fn new(first: Recovered) -> Disk {
        let mark = first.mark.clone();
        let log = Log { state: first.hard_state, mark: mark.clone(), entries: BTreeMap::new() };
        let snapshots = BTreeMap::from([(mark.index, (mark.clone(), Machine::at(&mark)))]);
        let (durable, records) = (log.clone(), Vec::new());
        Disk { first, records, synced: 0, snapshots, taken: None, log, durable }
    }

    pub(crate) fn write(&mut self, persist: Persist, bug: Option<Bug>) {
        self.log.apply(&persist, bug);
        self.records.push(persist);
    }

    pub(crate) fn written(&self) -> usize {
        self.records.len()
    }

    /// Makes records durable. Returns the entries that became so, each with the term of the one before it.
    pub(crate) fn sync(&mut self, records: usize, bug: Option<Bug>) -> Vec<(Option<Term>, Entry)> {
        let mut became = Vec::new();
        for record in &self.records[self.synced..records.max(self.synced)] {
            self.durable.apply(record, bug);
            for entry in record.append.iter().flat_map(|append| &append.entries) {
                became.push((self.durable.term_at(LogIndex(entry.index.0 - 1)), entry.clone()));
            }
        }
        self.synced = self.synced.max(records);
        became
    }

    pub(crate) fn save(&mut self, mark: SnapshotMark, machine: Machine) {
        self.snapshots.insert(mark.index, (mark, machine));
    }

    pub(crate) fn take(&mut self, mark: SnapshotMark, machine: Machine) {
        self.save(mark.clone(), machine);
        self.taken = Some(mark);
    }

    pub(crate) fn snapshot(&self, mark: &SnapshotMark) -> Option<Machine> {
        self.snapshots.get(&mark.index).filter(|(has, _)| has == mark).map(|(_, machine)| machine.clone())
    }

    /// The term of an entry of the log, durable or not.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.log.term_at(index)
    }

    /// Whether an entry, or a snapshot that has it, survives a crash.
    pub(crate) fn has_durable(&self, at: Position) -> bool {
        let mark = self.taken.as_ref().map_or(LogIndex(0), |mark| mark.index).max(self.durable.mark.index);
        mark >= at.index || self.durable.entries.get(&at.index).is_some_and(|entry| entry.term == at.term)
    }

    /// The power fails: of what was not synced, some is there, and the last of it torn.
    pub(crate) fn crash(&mut self, rng: &mut Rng, bug: Option<Bug>) {
        let unsynced = self.records.len() - self.synced;
        let loses_all = rng.percent(50);
        let kept = if loses_all { 0 } else { rng.below(unsynced as u64 + 1) as usize } + self.synced;
        let torn = (kept < self.records.len() && !loses_all).then(|| self.records[kept].clone());
        self.records.truncate(kept);
        if let Some(torn) = torn {
            self.records.push(tear(torn, rng, bug));
        }
        self.synced = self.records.len();
        self.log = Log { state: self.first.hard_state, mark: self.first.mark.clone(), ..Log::default() };
        for record in &self.records {
            self.log.apply(record, bug);
        }
        self.durable = self.log.clone();
    }

    /// What a start finds.
    pub(crate) fn recover(&self, bug: Option<Bug>) -> (Recovered, Machine) {
        let mut mark = self.log.mark.clone();
        if let Some(taken) = self.taken.as_ref().filter(|taken| taken.index > mark.index) {
            mark = taken.clone();
        }
        let entries = self.log.entries.range(mark.index.next()..).map(|(_, entry)| entry.clone()).collect();
        let mut hard_state = self.log.state;
        if bug == Some(Bug::ForgottenVote) {
            hard_state.vote = None;
        }
        let (_, machine) = self.snapshots.get(&mark.index).expect("every mark has its snapshot");
        let machine = machine.clone();
        (Recovered { hard_state, mark, entries }, machine)
    }
}

impl Log {
    fn apply(&mut self, persist: &Persist, bug: Option<Bug>) {
        if let Some(state) = persist.hard_state {
            self.state = state;
        }
        if let Some(mark) = &persist.install {
            self.mark = mark.clone();
            self.entries.clear();
        }
        if let Some(Append { after, entries }) = &persist.append {
            if bug != Some(Bug::NoTruncation) {
                self.entries.split_off(&after.next());
            }
            self.entries.extend(entries.iter().map(|entry| (entry.index, entry.clone())));
        }
    }

    fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.mark.index {
            return Some(self.mark.term);
        }
        self.entries.get(&index).map(|entry| entry.term)
    }
}

/// What is left of a record that was being written: the hard state comes first.
fn tear(mut persist: Persist, rng: &mut Rng, bug: Option<Bug>) -> Persist {
    if bug == Some(Bug::HardStateAfterEntries) {
        persist.hard_state = None;
        return persist;
    }
    if persist.install.is_some() {
        // A snapshot counts by one small record after it, with what follows: all or nothing.
        return Persist { hard_state: None, install: None, append: None, ..persist };
    }
    if let Some(append) = &mut persist.append {
        append.entries.truncate(rng.below(append.entries.len() as u64) as usize);
    }
    persist
}

//! What the records of a member's log come to, one after another.

use alloc::vec::Vec;
use consensus::{Entry, EntryBody, HardState, LogIndex, Member, Recovered, SnapshotMark};
use formats::kv_store::LogRecord;

/// Records so far.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    hard_state: HardState,
    /// Of the state that is whole, or that with which the group begins.
    mark: Option<SnapshotMark>,
    /// Of the state that another member gave, which counts once the log says so.
    arrived: Option<SnapshotMark>,
    /// It counts.
    has_arrived: bool,
    /// The log goes on from a state that is not there.
    lacks_state: bool,
    /// There is a state that was made without a group.
    pub(crate) has_old_state: bool,
    entries: Vec<Entry>,
    has_records: bool,
}

impl Fold {
    /// Begins with a whole state, or with nothing; and with what another member gave.
    pub(crate) fn new(mark: Option<SnapshotMark>, arrived: Option<SnapshotMark>) -> Self {
        Fold { mark, arrived, ..Fold::default() }
    }

    /// Whether the state that another member gave is the one that counts.
    pub(crate) fn has_arrived(&self) -> bool {
        self.has_arrived
    }

    /// What the log goes on from, where that state is not there.
    pub(crate) fn lacks(&self) -> Option<&SnapshotMark> {
        self.mark.as_ref().filter(|_| self.lacks_state)
    }

    /// Takes a record; `None` when it doesn't continue what came before.
    pub(crate) fn record(&mut self, record: LogRecord) -> Option<()> {
        self.has_records = true;
        self.hard_state = record.hard_state.unwrap_or(self.hard_state);
        if let Some(mark) = record.install {
            self.install(mark, record.upon.is_some())?;
        }
        match record.append {
            Some(append) => self.append(append.after, append.entries),
            None => Some(()),
        }
    }

    /// A state that another member gave is whole before it is written that it is installed. Where a file says all again, it
    /// says what its entries follow upon. Without any state the group begins with what there is, or its state is lost.
    fn install(&mut self, mark: SnapshotMark, is_again: bool) -> Option<()> {
        let begins =
            mark == SnapshotMark::genesis(mark.membership.clone()) && (!is_again || self.has_old_state);
        let is_older = |own: &SnapshotMark| own.index < mark.index;
        if self.arrived.as_ref() == Some(&mark) && self.mark.as_ref().is_none_or(is_older) {
            (self.mark, self.has_arrived, self.lacks_state) = (Some(mark), true, false);
        } else if self.mark.is_none() {
            (self.mark, self.lacks_state) = (Some(mark), !begins);
        } else if self.mark.as_ref().is_some_and(is_older) {
            // A checkpoint that came to nothing: what it would have stood for is in the log.
            return self.entries.iter().any(|entry| entry.position() == mark.position()).then_some(());
        }
        self.entries.clear();
        Some(())
    }

    fn append(&mut self, after: LogIndex, entries: Vec<Entry>) -> Option<()> {
        let base = self.base();
        let kept = usize::try_from(after.max(base).0 - base.0).ok()?;
        if kept > self.entries.len() {
            return None;
        }
        self.entries.truncate(kept);
        self.entries.extend(entries.into_iter().filter(|entry| entry.index > base));
        Some(())
    }

    fn base(&self) -> LogIndex {
        self.mark.as_ref().map_or(LogIndex(0), |mark| mark.index)
    }

    /// What member `me` begins with; none where nothing was ever written.
    pub(crate) fn finish(self, me: Member) -> Option<Recovered> {
        let Fold { mut hard_state, mark, entries, has_records, .. } = self;
        if !has_records {
            return None;
        }
        let mark = mark.unwrap_or_default();
        // That a group begins is written without a hard state; until one is, its member is in the group's first term.
        if hard_state == HardState::default() && mark == SnapshotMark::genesis(mark.membership.clone()) {
            hard_state = Recovered::genesis(mark.membership.clone()).hard_state;
        }
        let is_change = |entry: &Entry| matches!(entry.body, EntryBody::Membership(_));
        if mark.membership.is_led_by_none_but(me) && !entries.iter().any(is_change) {
            // What the only voter has made durable is committed.
            hard_state.commit = entries.last().map_or(mark.index, |last| last.index);
        }
        Some(Recovered { hard_state, mark, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use consensus::{Membership, Term};
    use formats::kv_store::Appended;

    const ME: Member = Member(1);

    fn mark(index: u64) -> SnapshotMark {
        let membership = Membership::of_voters([ME, Member(2), Member(3)]);
        SnapshotMark { index: LogIndex(index), ..SnapshotMark::genesis(membership) }
    }

    fn entry(index: u64, term: u64) -> Entry {
        Entry { term: Term(term), index: LogIndex(index), body: EntryBody::Nothing }
    }

    fn append(after: u64, entries: &[Entry]) -> LogRecord {
        let append = Some(Appended { after: LogIndex(after), entries: entries.to_vec() });
        LogRecord { append, ..LogRecord::default() }
    }

    fn install(mark: SnapshotMark) -> LogRecord {
        LogRecord { install: Some(mark), ..LogRecord::default() }
    }

    fn folded(snapshot: Option<SnapshotMark>, records: Vec<LogRecord>) -> Option<Recovered> {
        let mut fold = Fold::new(snapshot, None);
        records.into_iter().try_for_each(|record| fold.record(record))?;
        fold.finish(ME)
    }

    #[test]
    fn later_entries_replace_what_they_follow_upon() {
        let hard_state = HardState { term: Term(3), vote: Some(ME), commit: LogIndex(2) };
        let vote = LogRecord { hard_state: Some(hard_state), ..LogRecord::default() };
        let old = append(1, &[entry(2, 1), entry(3, 1), entry(4, 1)]);
        let recovered = folded(None, vec![install(mark(1)), old, vote, append(2, &[entry(3, 3)])]);
        let entries = vec![entry(2, 1), entry(3, 3)];
        assert_eq!(recovered, Some(Recovered { hard_state, mark: mark(1), entries }));
    }

    #[test]
    fn what_the_snapshot_holds_is_dropped() {
        let entries = [entry(4, 1), entry(5, 1), entry(6, 1)];
        let recovered = folded(Some(mark(5)), vec![append(3, &entries), append(6, &[entry(7, 1)])]);
        assert_eq!(recovered.expect("it fits").entries, [entry(6, 1), entry(7, 1)]);
        let recovered =
            folded(Some(mark(9)), vec![append(3, &entries), install(mark(9)), append(9, &[entry(10, 2)])]);
        assert_eq!(recovered.expect("it fits").entries, [entry(10, 2)]);
    }

    #[test]
    fn gaps_are_refused() {
        assert_eq!(folded(None, vec![install(mark(1)), append(2, &[entry(3, 1)])]), None);
        assert_eq!(folded(Some(mark(5)), vec![append(3, &[]), install(mark(9))]), None);
    }

    #[test]
    fn a_group_that_has_only_begun_is_in_its_first_term() {
        let first = mark(1).membership;
        assert_eq!(folded(None, vec![install(mark(1))]), Some(Recovered::genesis(first)));
    }

    fn again(mark: SnapshotMark, entries: &[Entry]) -> LogRecord {
        LogRecord { upon: Some(7), install: Some(mark.clone()), ..append(mark.index.0, entries) }
    }

    #[test]
    fn a_checkpoint_that_came_to_nothing_changes_nothing() {
        let entries = [entry(2, 1), entry(3, 1), entry(4, 1)];
        let fold = folded(Some(mark(1)), vec![append(1, &entries), again(mark(3), &entries[2..])]);
        assert_eq!(fold.expect("it fits").entries, entries);
        let stray = vec![append(1, &entries[..1]), again(mark(3), &entries[2..])];
        assert_eq!(folded(Some(mark(1)), stray), None, "what it would have stood for is nowhere");
    }

    #[test]
    fn a_state_counts_that_arrived_once_the_log_says_so() {
        let records = [append(1, &[entry(2, 1)]), again(mark(9), &[entry(10, 1)])];
        for (said, base, arrived) in [(1, 1, false), (2, 9, true)] {
            let mut fold = Fold::new(Some(mark(1)), Some(mark(9)));
            records.iter().take(said).for_each(|record| fold.record(record.clone()).expect("it fits"));
            assert_eq!((fold.has_arrived(), fold.lacks()), (arrived, None));
            assert_eq!(fold.finish(ME).expect("there are records").mark, mark(base));
        }
    }

    #[test]
    fn a_state_that_is_not_there_is_missed_and_the_members_log_is_whole_all_the_same() {
        let mut fold = Fold::new(None, None);
        fold.record(again(mark(9), &[entry(10, 1)])).expect("it fits");
        assert_eq!(fold.lacks(), Some(&mark(9)));
        let recovered = fold.finish(ME).expect("there are records");
        assert_eq!((recovered.mark, recovered.entries), (mark(9), vec![entry(10, 1)]));
        // An empty one may be as lost as any other, unless it was made without a group.
        for has_old_state in [false, true] {
            let mut fold = Fold { has_old_state, ..Fold::default() };
            fold.record(again(mark(1), &[])).expect("it fits");
            assert_eq!(fold.lacks().is_some(), !has_old_state);
        }
        let mut fold = Fold::new(None, None);
        fold.record(install(mark(1))).expect("it fits");
        assert_eq!(fold.lacks(), None, "a group begins");
    }

    #[test]
    fn the_only_voter_has_committed_what_is_durable() {
        let alone = SnapshotMark::genesis(Membership::of_voters([ME]));
        let recovered = folded(None, vec![install(alone), append(1, &[entry(2, 2), entry(3, 2)])]);
        assert_eq!(recovered.expect("it fits").hard_state.commit, LogIndex(3));
        assert_eq!(folded(None, Vec::new()), None);
    }
}

//! What the records of a member's log come to, one after another.

use alloc::vec::Vec;
use consensus::{Entry, EntryBody, HardState, LogIndex, Member, Recovered, SnapshotMark};
use formats::kv_store::LogRecord;

/// Records so far.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    hard_state: HardState,
    /// Of the snapshot that was whole, or that with which the group begins.
    mark: Option<SnapshotMark>,
    entries: Vec<Entry>,
    has_records: bool,
}

impl Fold {
    /// Begins with a whole snapshot, or with nothing.
    pub(crate) fn new(mark: Option<SnapshotMark>) -> Self {
        Fold { mark, ..Fold::default() }
    }

    /// Takes a record; `None` when it doesn't continue what came before.
    pub(crate) fn record(&mut self, record: LogRecord) -> Option<()> {
        self.has_records = true;
        self.hard_state = record.hard_state.unwrap_or(self.hard_state);
        if let Some(mark) = record.install {
            self.install(mark)?;
        }
        match record.append {
            Some(append) => self.append(append.after, append.entries),
            None => Some(()),
        }
    }

    /// A snapshot that another member gave is whole before it is written that it is installed. Without it, the group
    /// begins with what there is.
    fn install(&mut self, mark: SnapshotMark) -> Option<()> {
        let begins = self.mark.is_none() && mark == SnapshotMark::genesis(mark.membership.clone());
        if begins {
            self.mark = Some(mark);
        } else if self.mark.as_ref().is_none_or(|own| own.index < mark.index) {
            return None;
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
        let Fold { mut hard_state, mark, entries, has_records } = self;
        if !has_records {
            return None;
        }
        let mark = mark.unwrap_or_default();
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
        let mut fold = Fold::new(snapshot);
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
    fn gaps_and_snapshots_that_are_gone_are_refused() {
        assert_eq!(folded(None, vec![install(mark(1)), append(2, &[entry(3, 1)])]), None);
        assert_eq!(folded(None, vec![install(mark(9))]), None);
        assert_eq!(folded(Some(mark(5)), vec![append(3, &[]), install(mark(9))]), None);
    }

    #[test]
    fn the_only_voter_has_committed_what_is_durable() {
        let alone = SnapshotMark::genesis(Membership::of_voters([ME]));
        let recovered = folded(None, vec![install(alone), append(1, &[entry(2, 2), entry(3, 2)])]);
        assert_eq!(recovered.expect("it fits").hard_state.commit, LogIndex(3));
        assert_eq!(folded(None, Vec::new()), None);
    }
}

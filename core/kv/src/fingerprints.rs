//! What this member had at each of the last entries that it applied, to be compared with what others had at the same ones.
//! It needs no agreement in time: what is told of an entry that is not applied here yet waits until it is.

use alloc::collections::{BTreeMap, VecDeque};
use consensus::{LogIndex, Member};
use formats::message::standing::Fingerprint;

/// How this program makes hashes. It changes with [`crate::hash`], and with what goes into [`crate::state::State::hash`]:
/// members of different programs would take each other for damaged otherwise.
pub(crate) const SCHEME: u16 = 1;

/// Entries whose hash is remembered, at 16 bytes each.
const PASSED_MAX: usize = 4096;

/// What was had, and who had something else.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    /// In order; entries that a state brought are not among them.
    passed: VecDeque<(LogIndex, u64)>,
    /// What members told of entries that are not applied here yet.
    awaited: BTreeMap<Member, (LogIndex, u64)>,
    /// Members that had something else when they were compared last, and at which entry.
    differing: BTreeMap<Member, LogIndex>,
}

impl Fingerprints {
    /// An entry was applied, which gave this hash. How many members turn out to differ.
    pub(crate) fn pass(&mut self, index: LogIndex, hash: u64) -> u64 {
        self.passed.push_back((index, hash));
        if self.passed.len() > PASSED_MAX {
            self.passed.pop_front();
        }
        let mut differ = 0;
        while let Some((member, at, told)) = self.reached(index) {
            self.awaited.remove(&member);
            // What a state passed over is not compared.
            differ += u64::from(at == index && !self.compare(member, index, told == hash));
        }
        differ
    }

    fn reached(&self, index: LogIndex) -> Option<(Member, LogIndex, u64)> {
        let (member, (at, told)) = self.awaited.iter().find(|(_, (at, _))| *at <= index)?;
        Some((*member, *at, *told))
    }

    /// A member tells what it had. Whether it turns out to differ.
    pub(crate) fn hear(&mut self, from: Member, told: Fingerprint) -> bool {
        if told.scheme != SCHEME {
            return false;
        }
        match self.at(told.index) {
            Some(hash) => !self.compare(from, told.index, hash == told.hash),
            None if self.newest().is_some_and(|newest| newest < told.index) => {
                // The one that waits is reached sooner.
                self.awaited.entry(from).or_insert((told.index, told.hash));
                false
            }
            // Too long ago.
            None => false,
        }
    }

    fn compare(&mut self, member: Member, index: LogIndex, is_alike: bool) -> bool {
        if is_alike {
            self.differing.remove(&member);
        } else {
            self.differing.insert(member, index);
        }
        is_alike
    }

    /// What this member had at an entry, if it remembers.
    pub(crate) fn at(&self, index: LogIndex) -> Option<u64> {
        let place = self.passed.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        self.passed.get(place).map(|(_, hash)| *hash)
    }

    fn newest(&self) -> Option<LogIndex> {
        self.passed.back().map(|(index, _)| *index)
    }

    /// Members that had something else when they were compared last, and at which entry.
    pub(crate) fn differing(&self) -> &BTreeMap<Member, LogIndex> {
        &self.differing
    }

    /// Only these count.
    pub(crate) fn retain(&mut self, is_member: impl Fn(Member) -> bool) {
        self.awaited.retain(|member, _| is_member(*member));
        self.differing.retain(|member, _| is_member(*member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(index: u64, hash: u64) -> Fingerprint {
        Fingerprint { scheme: SCHEME, index: LogIndex(index), hash }
    }

    fn passed(entries: core::ops::RangeInclusive<u64>) -> Fingerprints {
        let mut fingerprints = Fingerprints::default();
        entries.for_each(|index| assert_eq!(fingerprints.pass(LogIndex(index), index * 10), 0));
        fingerprints
    }

    #[test]
    fn what_is_told_early_waits_and_what_is_told_late_is_remembered() {
        let mut own = passed(1..=5);
        assert!(!own.hear(Member(2), told(4, 40)) && own.hear(Member(3), told(4, 41)));
        assert!(!own.hear(Member(2), told(7, 71)), "not applied here yet");
        assert!(!own.hear(Member(2), told(8, 80)), "the first is reached sooner");
        assert_eq!(
            (own.pass(LogIndex(6), 60), own.pass(LogIndex(7), 70), own.pass(LogIndex(8), 80)),
            (0, 1, 0)
        );
        assert_eq!(own.differing(), &[(Member(2), LogIndex(7)), (Member(3), LogIndex(4))].into());
        assert!(!own.hear(Member(2), told(8, 80)), "alike again");
        own.retain(|member| member != Member(3));
        assert!(own.differing().is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_no_difference() {
        let mut own = passed(1..=PASSED_MAX as u64 + 1);
        assert!(!own.hear(Member(2), told(1, 0)), "too long ago");
        assert!(own.hear(Member(2), told(2, 0)));
        assert!(!own.hear(Member(2), Fingerprint { scheme: SCHEME + 1, ..told(3, 0) }));
        assert!(!own.hear(Member(3), told(5000, 0)));
        assert_eq!(own.pass(LogIndex(6000), 1), 0, "a state passed over it");
        assert_eq!((own.at(LogIndex(5000)), own.at(LogIndex(6000))), (None, Some(1)));
    }
}

//! What stands on the pages, and what a check of it covers.

use checksum::crc32c;

use super::{Rule, Rules};

/// Record pages of a file.
pub(super) const RECORDS: usize = 3;
/// Places for files.
pub(super) const FILES: usize = 3;
/// Records written in a run at most.
pub(super) const WRITES: usize = 4;
/// The body of a page that was never written or that rotted.
pub(super) const NO_BODY: u8 = 0;

/// A place in the log: a file's sequence number and a page of it (0 is the header, records start at 1). As an
/// end it names the page after the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    /// The file.
    pub sequence: u8,
    /// The page.
    pub page: u8,
}

/// Where a log ends: the place, and the check of what stands before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct End {
    /// The place after the last entry.
    pub mark: Mark,
    /// The check of the last entry, or of the header when there is none.
    pub check: u32,
}

/// The header page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileHeader {
    /// The log's id: never used again.
    pub sequence: u8,
    /// Where the file before it ends.
    pub predecessor: End,
}

/// The header of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntryHeader {
    /// The file that it was written for.
    pub sequence: u8,
    /// The page that it was written for.
    pub page: u8,
    /// Up to where the log was synced when it was written.
    pub synced: Mark,
    /// The check of the entry or header before it.
    pub previous: u32,
    /// What the body must be: stands for the body's check.
    pub body: u8,
}

/// A record page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Page {
    /// None when it was never written or doesn't check.
    pub header: Option<EntryHeader>,
    /// What stands in the body.
    pub body: u8,
}

/// A file's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct File {
    /// None when it was never written or doesn't check.
    pub header: Option<FileHeader>,
    /// The record pages.
    pub pages: [Page; RECORDS],
}

/// A checkpoint: a beginning of the log that needs no file any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Checkpoint {
    /// The newest one counts.
    pub number: u8,
    /// How many records.
    pub count: u8,
    /// The records.
    pub records: [u8; WRITES],
    /// Where it ends in the log; always the end of a file.
    pub end: End,
}

impl FileHeader {
    /// The header's check.
    pub(super) fn check(&self) -> u32 {
        let End { mark, check } = self.predecessor;
        let [a, b, c, d] = check.to_le_bytes();
        crc32c(&[0xF0, self.sequence, mark.sequence, mark.page, a, b, c, d])
    }
}

impl EntryHeader {
    /// The entry's check: of what the rules make it cover.
    pub(super) fn check(&self, rules: Rules) -> u32 {
        let covered = |rule, value| if rules.hold(rule) { value } else { 0 };
        let [a, b, c, d] =
            self.previous.to_le_bytes().map(|byte| covered(Rule::CheckCoversPredecessor, byte));
        crc32c(&[
            0xE0,
            covered(Rule::CheckCoversLog, self.sequence),
            covered(Rule::CheckCoversPosition, self.page),
            self.synced.sequence,
            self.synced.page,
            covered(Rule::CheckCoversBody, self.body),
            a,
            b,
            c,
            d,
        ])
    }

    /// Whether the check proves that the header was written for this page of this log.
    pub(super) fn proves(&self, rules: Rules, at: Mark) -> bool {
        (!rules.hold(Rule::CheckCoversLog) || self.sequence == at.sequence)
            && (!rules.hold(Rule::CheckCoversPosition) || self.page == at.page)
    }
}

impl Page {
    /// The record of this page when it is read by its location: nothing else is known then.
    pub(super) fn read(&self, rules: Rules, at: Mark) -> Option<u8> {
        let header = self.header.filter(|header| header.proves(rules, at))?;
        (!rules.hold(Rule::CheckCoversBody) || header.body == self.body).then_some(self.body)
    }

    /// The record of this page when it is read as the one after an entry with the check `previous`.
    pub(super) fn follow(&self, rules: Rules, at: Mark, previous: u32) -> Option<u8> {
        let header = self.header?;
        let follows = !rules.hold(Rule::CheckCoversPredecessor) || header.previous == previous;
        if follows { self.read(rules, at) } else { None }
    }
}

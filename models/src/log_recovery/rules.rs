//! The rules, each with a switch.

use super::Verdict;

/// A rule that keeps a log safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An entry's check covers what it carries (L3).
    CheckCoversBody,
    /// An entry's check covers the log's id, here the file's sequence number (L3, F10).
    CheckCoversLog,
    /// An entry's check covers its position (L3).
    CheckCoversPosition,
    /// An entry's check covers the entry before it; a file's header names where the file before it ends (L3).
    CheckCoversPredecessor,
    /// A bad entry below a mark is damage, not the end of the log (L3).
    MarksTellDamage,
    /// Marks count that stand beyond the first bad entry (L3: "any surviving mark").
    MarksBeyondDamageCount,
    /// Marks count that stand in a file whose header is gone or still an older file's (L3: "any surviving mark").
    MarksWithoutHeaderCount,
    /// What recovery keeps is synced before a new file says where it ends (L3: "the tail is synced").
    KeptIsSynced,
    /// A file is synced before the next one is created (L3: a header is a mark).
    ClosedIsSynced,
    /// After every start new entries go to a new file (L3).
    NewFileAfterStart,
    /// A file's sequence number is above every one that is found anywhere (L1, F10).
    SequenceIsNew,
    /// A FLUSH is acknowledged after the sync (P2).
    FlushAfterSync,
    /// A file is used again only after a checkpoint that doesn't need it is durable (F10).
    ReuseAfterCheckpoint,
    /// Checkpoints alternate between two places, one at a time (F10).
    CheckpointsAlternate,
    /// After a failed sync nothing on that disk is acknowledged any more (L4).
    FailedSyncIsFinal,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 15] = [
        Rule::CheckCoversBody,
        Rule::CheckCoversLog,
        Rule::CheckCoversPosition,
        Rule::CheckCoversPredecessor,
        Rule::MarksTellDamage,
        Rule::MarksBeyondDamageCount,
        Rule::MarksWithoutHeaderCount,
        Rule::KeptIsSynced,
        Rule::ClosedIsSynced,
        Rule::NewFileAfterStart,
        Rule::SequenceIsNew,
        Rule::FlushAfterSync,
        Rule::ReuseAfterCheckpoint,
        Rule::CheckpointsAlternate,
        Rule::FailedSyncIsFinal,
    ];
}

impl Rule {
    /// A promise that is broken without this rule alone, all others being obeyed.
    pub fn breaks(self) -> Verdict {
        match self {
            Rule::CheckCoversBody | Rule::NewFileAfterStart | Rule::SequenceIsNew => Verdict::NotABeginning,
            Rule::CheckCoversLog
            | Rule::KeptIsSynced
            | Rule::ClosedIsSynced
            | Rule::ReuseAfterCheckpoint
            | Rule::CheckpointsAlternate => Verdict::FalseAlarm,
            Rule::CheckCoversPosition => Verdict::WrongRead,
            Rule::CheckCoversPredecessor
            | Rule::MarksTellDamage
            | Rule::MarksBeyondDamageCount
            | Rule::MarksWithoutHeaderCount
            | Rule::FlushAfterSync
            | Rule::FailedSyncIsFinal => Verdict::FlushedIsLost,
        }
    }
}

/// Which rules a run obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    broken: u32,
}

impl Rules {
    /// All rules.
    pub fn all() -> Self {
        Self { broken: 0 }
    }

    /// All rules but these.
    pub fn without(rules: &[Rule]) -> Self {
        Self { broken: rules.iter().fold(0, |broken, rule| broken | 1 << *rule as u32) }
    }

    /// Whether a rule is obeyed.
    pub fn hold(self, rule: Rule) -> bool {
        self.broken & (1 << rule as u32) == 0
    }
}

//! What a run comes to.

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Broken: what a FLUSH acknowledged is gone, and nobody said so.
    FlushedIsLost,
    /// Broken: what a write acknowledged is gone though only the process died.
    WrittenIsLost,
    /// Broken: what was found is no beginning of what was written; something came alive again, or changed.
    NotABeginning,
    /// Broken: the log halted on a disk without a fault.
    FalseAlarm,
    /// Broken: a read by location yielded something else than what was written there.
    WrongRead,
    /// Broken: a start found no place for a new file.
    NoRoom,
    /// Kept: the log halted on damage.
    Halted,
    /// Kept: the log stopped after a failed sync.
    Offline,
    /// Kept: the log was found again after as many crashes as there are.
    Survived,
}

impl Verdict {
    /// The promise that was broken, or what was shown to be possible.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::FlushedIsLost => "what a FLUSH acknowledged is there, or the log halts",
            Verdict::WrittenIsLost => "what was written survives the death of the process",
            Verdict::NotABeginning => "what is found is a beginning of what was written",
            Verdict::FalseAlarm => "a disk without a fault never halts the log",
            Verdict::WrongRead => "a read by location is right or an error",
            Verdict::NoRoom => "there is room for a new file at every start",
            Verdict::Halted => "damage halts the log",
            Verdict::Offline => "a failed sync stops the log",
            Verdict::Survived => "four records, all flushed, survive two crashes",
        }
    }
}

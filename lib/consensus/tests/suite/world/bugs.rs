//! Faults that are planted to see that the checkers find them.

use consensus::PlantedBug;

/// A fault of the caller or of the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A vote is told before it is synced.
    VoteBeforeSync,
    /// Entries are acknowledged before they are synced.
    AckBeforeSync,
    /// A leader answers a read without asking whether it still leads.
    ReadWithoutQuorum,
    /// A snapshot's mark is ahead of the state that was saved.
    MarkAhead,
    /// A torn write keeps entries and loses the hard state that came with them.
    HardStateAfterEntries,
    /// Entries are overwritten, but what was longer stays longer.
    NoTruncation,
    /// After a restart the vote is forgotten.
    ForgottenVote,
    /// A fault inside the crate.
    Inside(PlantedBug),
}

impl Bug {
    pub(crate) const ALL: [Bug; 10] = [
        Bug::VoteBeforeSync,
        Bug::AckBeforeSync,
        Bug::ReadWithoutQuorum,
        Bug::MarkAhead,
        Bug::HardStateAfterEntries,
        Bug::NoTruncation,
        Bug::ForgottenVote,
        Bug::Inside(PlantedBug::OvertakenMismatchCounts),
        Bug::Inside(PlantedBug::RemovedVoterCounts),
        Bug::Inside(PlantedBug::LeaderBeforeItsTerm),
    ];
}

//! Proof tokens: an acknowledgement can only be built from what proves it.

use glossary::LogNumber;

/// Proof that a log entry and its data have been handed to the write buffer's disk: the writes completed.
/// It survives the death of the process; the machine's only after a sync (DESIGN "What an ack means").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InWriteBuffer(LogNumber);

impl InWriteBuffer {
    /// Mints the proof: to be called where the completion of both writes is seen, and nowhere else.
    pub fn on_both_writes_completed(through: LogNumber) -> Self {
        InWriteBuffer(through)
    }
}

/// What the Distributed Transaction Log promises about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlPromise {
    /// The volume has no DTL, by an operator's choice.
    Off,
}

/// The right to answer a guest that its write is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    through: LogNumber,
    dtl: DtlPromise,
}

impl Acknowledgement {
    /// An acknowledgement of every entry up to the one that the write buffer holds.
    pub fn new(buffered: InWriteBuffer, dtl: DtlPromise) -> Self {
        Acknowledgement { through: buffered.0, dtl }
    }

    /// The last entry that may be acknowledged.
    pub fn through(&self) -> LogNumber {
        self.through
    }

    /// What the DTL adds.
    pub fn dtl(&self) -> DtlPromise {
        self.dtl
    }
}

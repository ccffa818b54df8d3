//! What things are counted by.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Terms beyond are refused: an election every millisecond would take nine thousand years to get here.
pub const TERM_MAX: Term = Term(1 << 48);

/// Indices beyond are refused, so that no sum of two overflows.
pub const INDEX_MAX: LogIndex = LogIndex(1 << 60);

/// A member of a group, for ever: a number is never given to another, and never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member(pub u64);

/// Counts elections. At most one member leads in a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(pub u64);

/// The place of an entry in the log, counted from 1; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogIndex(pub u64);

/// An entry's identity: at most one entry ever has this term and index, and all before it are the same everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The term in which a leader wrote it.
    pub term: Term,
    /// Its place.
    pub index: LogIndex,
}

impl LogIndex {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> LogIndex {
        LogIndex(self.0 + 1)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

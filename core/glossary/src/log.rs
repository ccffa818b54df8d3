//! The log of a volume: generations and numbers.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Counts the owners of a volume: every start is a take-over and raises it (PROTOCOLS O5). It is the fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// The number of a log entry, never used again: the generation of the owner that wrote it, and its place
/// among that owner's entries (PROTOCOLS L1). Ordered first by generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogNumber {
    /// Who wrote the entry.
    pub generation: Generation,
    /// Its place, from 1 and without gaps within a generation.
    pub number: u64,
}

/// The identity of a translation log: the generation that opened it, and its place among that owner's
/// TLogs, from 1. Never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TlogId {
    /// The generation that opened it.
    pub generation: Generation,
    /// Its place among that owner's TLogs, from 1.
    pub sequence: u32,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for LogNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation.0, self.number)
    }
}

impl fmt::Display for TlogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:08x}", self.generation.0, self.sequence)
    }
}

//! A promise that was broken.

use core::fmt;
use core::ops::Range;

use crate::Moment;

/// The promises, as DESIGN numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Acknowledged is safe.
    P1,
    /// Flush is real.
    P2,
    /// One order, prefix.
    P3,
    /// Linearizable.
    P5,
    /// No wrong byte.
    P6,
    /// Redundancy is counted honestly.
    P7,
    /// Nothing that can be reached is deleted.
    P8,
    /// Everything is bounded.
    P9,
    /// Outages end.
    P10,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When it showed.
    pub at: Moment,
    /// Which bytes of the vDisk it is about; empty where it is about none.
    pub range: Range<u64>,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken at {}", self.promise, self.at)?;
        if !self.range.is_empty() {
            write!(f, ", bytes {}..{}", self.range.start, self.range.end)?;
        }
        write!(f, ": {}", self.what)
    }
}

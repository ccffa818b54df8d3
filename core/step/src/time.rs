//! Time as a machine sees it: a number that the executor passes in.

use core::time::Duration;

/// Nanoseconds on the node's monotonic clock, from an origin that means nothing. It never goes back, and
/// says nothing about any other node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Timestamp(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long since `earlier`; nothing when that is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

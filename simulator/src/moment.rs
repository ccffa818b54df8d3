//! Simulated time.

use core::fmt;
use core::time::Duration;

/// Nanoseconds of simulated time since a run began: the time of the world, which no node can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// Before everything.
    pub const BEGIN: Moment = Moment(0);

    /// After everything.
    pub const NEVER: Moment = Moment(u64::MAX);

    /// The moment `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Moment(self.0.saturating_add(duration.as_nanos() as u64))
    }

    /// How long since `earlier`; nothing when that is not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Moment::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

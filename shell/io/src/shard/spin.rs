//! Whether a loop that found nothing to do looks again at once, or sleeps.
//!
//! To look again wins a wake-up where something comes soon, and where it doesn't costs a core that somebody else could use:
//! another server of the same machine, say, whose answer is waited for. So a loop spins as long as that pays: where nothing
//! came in time again and again it sleeps at once, and tries anew now and then.

use std::time::Duration;

/// The most that spins which paid count for.
const CREDIT_MAX: u32 = 8;

/// Sleeps without a spin after which one is tried again.
const TRY_EVERY: u32 = 64;

/// How a shard spins.
#[derive(Debug)]
pub(crate) struct Spinning {
    /// How long after the last event.
    limit: Duration,
    /// Spins that paid, less those that didn't.
    credit: u32,
    /// Sleeps since the last spin that was tried.
    sleeps: u32,
    is_spinning: bool,
}

impl Spinning {
    /// Spins for so long at most; never, where that is zero.
    pub(crate) fn new(limit: Duration) -> Self {
        Spinning { limit, credit: CREDIT_MAX, sleeps: 0, is_spinning: false }
    }

    /// There was nothing to do for so long: whether to look again rather than sleep.
    pub(crate) fn goes_on(&mut self, idle: Duration) -> bool {
        let is_time = idle < self.limit;
        if self.is_spinning && !is_time {
            self.is_spinning = false;
            self.credit = self.credit.saturating_sub(1);
        } else if !self.is_spinning && is_time {
            self.is_spinning = self.credit > 0 || self.sleeps >= TRY_EVERY;
            self.sleeps = if self.is_spinning { 0 } else { self.sleeps + 1 };
        }
        self.is_spinning
    }

    /// Something came.
    pub(crate) fn on_event(&mut self) {
        if std::mem::take(&mut self.is_spinning) {
            self.credit = (self.credit + 1).min(CREDIT_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(1);
    const LATE: Duration = Duration::from_micros(30);

    /// Nothing comes in time, so many times. How often it was spun for that.
    fn miss(spinning: &mut Spinning, times: u32) -> u32 {
        let once = |_: &u32| {
            let spins = spinning.goes_on(SOON);
            assert!(!spins || !spinning.goes_on(LATE), "its time is up");
            spins
        };
        (0..times).filter(once).count() as u32
    }

    #[test]
    fn it_spins_as_long_as_that_pays() {
        let mut spinning = Spinning::new(LATE);
        for _ in 0..1000 {
            assert!(spinning.goes_on(SOON));
            spinning.on_event();
        }
        assert_eq!(miss(&mut spinning, CREDIT_MAX), CREDIT_MAX);
        assert_eq!(miss(&mut spinning, TRY_EVERY), 0);
        assert_eq!(miss(&mut spinning, 3 * (TRY_EVERY + 1)), 3, "it is tried now and then");
        assert!(spinning.goes_on(SOON), "it is tried");
        spinning.on_event();
        assert!(spinning.goes_on(SOON), "it paid");
    }

    #[test]
    fn what_comes_after_a_sleep_says_nothing_of_spins() {
        let mut spinning = Spinning::new(LATE);
        miss(&mut spinning, CREDIT_MAX);
        for _ in 0..TRY_EVERY {
            assert!(!spinning.goes_on(SOON));
            spinning.on_event();
        }
        assert_eq!(spinning.credit, 0);
    }

    #[test]
    fn without_a_limit_it_never_spins() {
        assert!(!Spinning::new(Duration::ZERO).goes_on(Duration::ZERO));
    }
}

//! A node's clock: it starts anywhere, runs a little fast or slow, and may leap ahead.

use core::time::Duration;

use step::Timestamp;

use crate::{Moment, Random};

/// How far the rate of a clock may be off, in parts per million (PROTOCOLS O6: 1 %).
pub const RATE_PPM_MAX: i64 = 10_000;

/// A clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: u64,
    rate_ppm: i64,
}

impl Clock {
    /// A clock that is right.
    pub const TRUE: Clock = Clock { origin: 0, rate_ppm: 0 };

    /// A clock as nodes have it.
    pub fn drawn(random: &mut Random) -> Self {
        let rate_ppm = random.below(2 * RATE_PPM_MAX as u64 + 1) as i64 - RATE_PPM_MAX;
        Clock { origin: random.below(1 << 50), rate_ppm }
    }

    /// What it shows.
    pub fn reading(&self, now: Moment) -> Timestamp {
        let drift = i128::from(now.0) * i128::from(self.rate_ppm) / 1_000_000;
        Timestamp(self.origin + (i128::from(now.0) + drift) as u64)
    }

    /// Leaps ahead, as it does when its machine was suspended: it counts that time, and nobody saw it pass.
    pub fn leap(&mut self, by: Duration) {
        self.origin += by.as_nanos() as u64;
    }

    /// When it will have advanced by `duration`.
    pub fn when(&self, now: Moment, duration: Duration) -> Moment {
        let true_duration = duration.as_nanos() * 1_000_000 / (1_000_000 + self.rate_ppm) as u128;
        // A clock that is asked again shows no less than it was set for.
        Moment(now.0.saturating_add(u64::try_from(true_duration).unwrap_or(u64::MAX)).saturating_add(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_never_early_on_its_own_clock() {
        let mut random = Random::stream(1, "clock");
        for _ in 0..1000 {
            let clock = Clock::drawn(&mut random);
            let now = Moment(random.below(1 << 40));
            let after = Duration::from_nanos(random.below(1 << 36));
            let rings = clock.reading(clock.when(now, after));
            let set_for = clock.reading(now).after(after);
            assert!(rings >= set_for && rings.0 < set_for.0 + 10, "{clock:?} {rings:?} {set_for:?}");
        }
    }

    #[test]
    fn a_leap_is_seen_at_once() {
        let mut clock = Clock::drawn(&mut Random::stream(1, "clock"));
        let before = clock.reading(Moment(7));
        clock.leap(Duration::from_secs(90));
        assert_eq!(clock.reading(Moment(7)), before.after(Duration::from_secs(90)));
    }
}

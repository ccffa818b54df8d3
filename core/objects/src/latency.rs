//! How long an OSD takes for reads, nearly always: a moving estimate of the time that 19 of 20 answers keep.

use core::time::Duration;

/// The estimate moves by an eighth of itself at most, so that some dozens of answers settle it.
const STEP_SHIFT: u32 = 3;

/// And by so much at least, in nanoseconds, so that it leaves small values.
const STEP_LEAST: u64 = 20_000;

/// Of 20 answers, one may take longer.
const ONE_OF: u64 = 20;

/// The estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    nanoseconds: u64,
    longest: u64,
}

impl Latency {
    /// Nothing is known yet but a guess. The estimate never exceeds `longest`.
    pub(crate) fn new(guess: Duration, longest: Duration) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Latency { nanoseconds: nanoseconds(guess.min(longest)), longest: nanoseconds(longest) }
    }

    /// An answer took so long. It moves the estimate up 19 times as far as down: where these balance, one answer
    /// of 20 takes longer.
    pub(crate) fn add(&mut self, took: Duration) {
        let step = (self.nanoseconds >> STEP_SHIFT).max(STEP_LEAST);
        self.nanoseconds = if took.as_nanos() > u128::from(self.nanoseconds) {
            (self.nanoseconds + step / ONE_OF * (ONE_OF - 1)).min(self.longest)
        } else {
            self.nanoseconds.saturating_sub(step / ONE_OF)
        };
    }

    pub(crate) fn estimate(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use step::Entropy;

    #[test]
    fn it_settles_where_one_answer_of_twenty_is_slower() {
        let mut entropy = Entropy::new([1; 32]);
        let mut latency = Latency::new(Duration::from_millis(10), Duration::from_secs(1));
        // Anything up to 2 ms, all times alike: 19 of 20 take at most 1.9 ms.
        let mut sum = Duration::ZERO;
        for round in 0..20_000_u32 {
            latency.add(Duration::from_nanos(entropy.below(2_000_000)));
            sum += if round >= 10_000 { latency.estimate() } else { Duration::ZERO };
        }
        let mean = sum / 10_000;
        assert!((1_500..2_100).contains(&mean.as_micros()), "{mean:?}");
    }

    #[test]
    fn it_follows_a_disk_that_becomes_slow_and_keeps_its_bound() {
        let mut latency = Latency::new(Duration::from_millis(1), Duration::from_millis(50));
        (0..100).for_each(|_| latency.add(Duration::from_millis(30)));
        assert!((25..40).contains(&latency.estimate().as_millis()), "{latency:?}");
        (0..100).for_each(|_| latency.add(Duration::from_secs(9)));
        assert_eq!(latency.estimate(), Duration::from_millis(50));
        (0..2_000).for_each(|_| latency.add(Duration::from_micros(100)));
        assert!(latency.estimate() < Duration::from_millis(1));
    }
}

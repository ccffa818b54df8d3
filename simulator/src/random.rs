//! Chance, by seed: each concern draws from a stream of its own, so that a change in one leaves the others
//! as they were.

use core::time::Duration;
use step::Entropy;

use crate::Digest;

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Random(Entropy);

impl Random {
    /// The stream of a run's seed for one concern.
    pub fn stream(seed: u64, concern: &str) -> Self {
        let mut digest = Digest::default();
        digest.word(seed);
        digest.bytes(concern.as_bytes());
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            digest.word(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&digest.value().to_le_bytes());
        }
        Random(Entropy::new(bytes))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high - low + 1)
    }

    /// Any number.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A seed for a node's life.
    pub fn seed(&mut self) -> [u8; 32] {
        self.0.next_bytes()
    }

    /// True so many times in 10,000.
    pub fn chance(&mut self, per_ten_thousand: u64) -> bool {
        self.0.below(10_000) < per_ten_thousand
    }

    /// True every other time.
    pub fn coin(&mut self) -> bool {
        self.0.next_u64() & 1 == 1
    }

    /// One of several, of which there is at least one.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.below(choices.len() as u64) as usize]
    }

    /// The index of one of several, by weight; at least one weight is not 0.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut rest = self.0.below(weights.iter().map(|&weight| u64::from(weight)).sum());
        for (index, &weight) in weights.iter().enumerate() {
            if rest < u64::from(weight) {
                return index;
            }
            rest -= u64::from(weight);
        }
        unreachable!("the draw is below the sum of the weights")
    }

    /// A duration between two, in microseconds.
    pub fn microseconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_nanos(self.between(low * 1000, high * 1000))
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for index in (1..list.len()).rev() {
            list.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_draw_apart_and_repeat() {
        let draws = |seed, concern| {
            let mut random = Random::stream(seed, concern);
            [(); 4].map(|()| random.word())
        };
        assert_eq!(draws(1, "disk"), draws(1, "disk"));
        assert_ne!(draws(1, "disk"), draws(1, "network"));
        assert_ne!(draws(1, "disk"), draws(2, "disk"));
    }

    #[test]
    fn weights_are_kept() {
        let mut random = Random::stream(1, "weights");
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[random.weighted(&[1, 0, 3])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((800..1200).contains(&counts[0]), "{counts:?}");
    }
}

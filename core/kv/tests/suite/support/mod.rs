//! A disk that crashes, a function to host, and a source of chance.

pub(crate) mod book;
pub(crate) mod disk;
pub(crate) mod life;
pub(crate) mod members;
pub(crate) mod script;
pub(crate) mod tally;
pub(crate) mod world;

/// The same seed gives the same numbers.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * bound as u128) >> 64) as usize
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

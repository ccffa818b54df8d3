//! Numbers that spread: xorshift64 (Marsaglia 2003).

/// A sequence of numbers.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of a number.
    pub(crate) fn new(seed: u64) -> Self {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

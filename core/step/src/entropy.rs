//! Identities that must be fresh, without randomness inside a step.

/// A stream of fresh numbers grown from a seed that the executor draws at every start. In production the
/// seed comes from the operating system; in the simulator from the run's seed.
///
/// The generator is xoshiro256++ (Blackman and Vigna, 2018): its job is that no identity is drawn twice,
/// not that none can be guessed. Keys are not drawn from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entropy {
    state: [u64; 4],
}

impl Entropy {
    /// Grows a stream from 32 bytes.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut state = [0_u64; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of 8 bytes"));
        }
        if state == [0; 4] {
            // The all-zero state would stay there for ever.
            state = [0x9e37_79b9_7f4a_7c15, 1, 2, 3];
        }
        Entropy { state }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (mut c, mut d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        c ^= self.state[1] << 17;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        result
    }

    /// The next bytes, for identities that are byte strings.
    pub fn next_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// A number below `bound`, which is not 0. Slightly uneven, as `bound` is far below 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_reference_implementation() {
        let mut seed = [0; 32];
        for (index, word) in [1_u64, 2, 3, 4].iter().enumerate() {
            seed[index * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let mut entropy = Entropy::new(seed);
        // xoshiro256++ 1.0, state 1 2 3 4.
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!([(); 4].map(|()| entropy.next_u64()), expected);
    }

    #[test]
    fn the_same_seed_gives_the_same_stream_and_zeros_are_no_trap() {
        let draw = |seed| Entropy::new(seed).next_bytes::<32>();
        assert_eq!(draw([7; 32]), draw([7; 32]));
        assert_ne!(draw([7; 32]), draw([8; 32]));
        assert_ne!(draw([0; 32]), [0; 32]);
    }
}

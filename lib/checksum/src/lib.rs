//! CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected, initial value and final XOR all ones): the check that
//! is computed once where data enters and travels with it from then on.
//!
//! Checks are plain `u32` values; their order of bytes on a wire or a disk is the caller's business.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(any(target_os = "none", feature = "portable")))]
mod hosted;
mod polynomial;
pub mod portable;

#[cfg(not(any(target_os = "none", feature = "portable")))]
use hosted as engine;
#[cfg(any(target_os = "none", feature = "portable"))]
use portable as engine;

pub use polynomial::{combine, crc32c_of_zeros};

/// The state before the first byte, and what the final state is XORed with.
const ALL_ONES: u32 = u32::MAX;

/// The CRC-32C of all of `bytes`; 0 for none.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    engine::crc32c(bytes)
}

/// The CRC-32C of each cluster of `cluster_size` bytes, in order; a shorter last cluster is checked as it is.
///
/// # Panics
/// When `cluster_size` is 0, which is a programmer's mistake.
pub fn clusters(bytes: &[u8], cluster_size: usize) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
    assert!(cluster_size > 0, "a cluster has at least one byte");
    bytes.chunks(cluster_size).map(crc32c)
}

/// A CRC-32C in the making: feed it pieces, ask at any time.
///
/// However the bytes are cut into pieces, the check is that of their concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c {
    /// The shift register, before the final XOR.
    state: u32,
}

impl Crc32c {
    /// The check of no bytes yet.
    #[inline]
    pub const fn new() -> Self {
        Self { state: ALL_ONES }
    }

    /// Goes on where `check` ended: what follows is checked as if the bytes of `check` stood before it.
    ///
    /// This is the chain of a log: `Crc32c::starting_from(predecessor's check)` fed with an entry gives a check
    /// that no other predecessor's check gives for the same entry. Never feed a chain the stored check itself in
    /// little-endian order right after the bytes that it covers: a CRC over bytes and their own CRC is the same
    /// constant for all bytes, so the chain would forget its past.
    #[inline]
    pub const fn starting_from(check: u32) -> Self {
        Self { state: check ^ ALL_ONES }
    }

    /// Appends `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.state = engine::update(self.state, bytes);
    }

    /// The check of everything up to here. More may follow.
    #[inline]
    pub const fn finish(&self) -> u32 {
        self.state ^ ALL_ONES
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

//! The engine of hosted targets: `crc-fast`, which picks instructions by what the CPU has.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

/// The entry point without a match on the algorithm and without a digest's set-up.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// Moves the shift register over `bytes`.
#[inline]
pub(crate) fn update(state: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(state));
    digest.update(bytes);
    // The register of a 32-bit CRC lives in the low half.
    digest.get_state() as u32
}

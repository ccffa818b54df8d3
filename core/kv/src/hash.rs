//! Hashes of sets that change: the sum of their parts' hashes. A part that comes is added, one that goes is subtracted,
//! so members keep the hash of all they have at the price of hashing what a command touches.
//!
//! It is against mistakes, not against malice: of keys and values it sees their CRC-32C and lengths.

use checksum::crc32c;

/// What a pair of the map adds.
pub(crate) fn pair(key: &[u8], value: &[u8]) -> u64 {
    let words = [crc32c(key).into(), key.len() as u64, crc32c(value).into(), value.len() as u64];
    mix(words)
}

/// One number of several, of which every bit matters: each is folded in and stirred as Steele, Lea and Flood do in
/// "Fast splittable pseudorandom number generators" (2014).
pub(crate) fn mix<const N: usize>(words: [u64; N]) -> u64 {
    words.into_iter().fold(0, |state: u64, word| {
        let mut hash = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    })
}

//! Zeros that have to be written.

use bytes::Bytes;
use formats::Payload;
use glossary::CLUSTER_BYTES;

/// Zeros written at once, in bytes; pieces begin at its multiples.
const PIECE_BYTES: u64 = 4 << 20;

static TAIL: [u8; CLUSTER_BYTES as usize] = [0; CLUSTER_BYTES as usize];

/// Where the piece that begins at `at` ends, in a range that ends at `end`.
pub(crate) fn piece_end(at: u64, end: u64) -> u64 {
    ((at / PIECE_BYTES + 1) * PIECE_BYTES).min(end)
}

/// So many zeros; they take no memory.
pub(crate) fn zeros(length: u64) -> Payload {
    let mut payload = Payload::zeros(length / CLUSTER_BYTES);
    let tail = (length % CLUSTER_BYTES) as usize;
    if tail > 0 {
        payload.append(Payload::entering(Bytes::from_static(&TAIL[..tail])));
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_range_and_are_zeros() {
        let (mut at, end) = (PIECE_BYTES - 5, 2 * PIECE_BYTES + 7);
        let mut ends = Vec::new();
        while at < end {
            let to = piece_end(at, end);
            let payload = zeros(to - at);
            assert_eq!(payload.len() as u64, to - at);
            assert!(payload.verify() && payload.contiguous().iter().all(|byte| *byte == 0));
            ends.push(to);
            at = to;
        }
        assert_eq!(ends, [PIECE_BYTES, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 7]);
    }
}

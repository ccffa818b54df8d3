//! Answers of the volume driver, cut to what the guest asked for.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::Crc32c;
use formats::Payload;
use formats::payload::slice_pieces;
use glossary::CLUSTER_BYTES;

/// How many clusters contain a range of bytes.
pub(crate) fn clusters_around(offset: u64, length: u64) -> u64 {
    (offset + length).div_ceil(CLUSTER_BYTES) - offset / CLUSTER_BYTES
}

/// The bytes of a range out of the whole clusters that contain it, which were just checked. Shares them. Where
/// the range doesn't begin or end with a cluster, checksums of its own are made from what was checked (F1).
pub(crate) fn cut_to_range(clusters: Payload, offset: u64, length: u64) -> Payload {
    let within = offset % CLUSTER_BYTES;
    if within == 0 && length == clusters.len() as u64 {
        return clusters;
    }
    let pieces = slice_pieces(clusters.pieces(), within as usize, length as usize);
    let crcs = if within == 0 {
        // All but the last cluster are whole.
        let whole = length / CLUSTER_BYTES;
        let rest = slice_pieces(&pieces, (whole * CLUSTER_BYTES) as usize, (length % CLUSTER_BYTES) as usize);
        let mut crcs = clusters.crcs()[..whole as usize].to_vec();
        append_crcs(&rest, &mut crcs);
        crcs
    } else {
        let mut crcs = Vec::new();
        append_crcs(&pieces, &mut crcs);
        crcs
    };
    Payload::with_crcs(pieces, crcs).expect("a checksum for each 4 KiB")
}

fn append_crcs(pieces: &[Bytes], crcs: &mut Vec<u32>) {
    let (mut crc, mut length) = (Crc32c::new(), 0);
    for piece in pieces {
        let mut piece = &piece[..];
        while !piece.is_empty() {
            let (head, tail) = piece.split_at(piece.len().min(CLUSTER_BYTES as usize - length));
            crc.update(head);
            length += head.len();
            piece = tail;
            if length == CLUSTER_BYTES as usize {
                crcs.push(crc.finish());
                (crc, length) = (Crc32c::new(), 0);
            }
        }
    }
    if length > 0 {
        crcs.push(crc.finish());
    }
}

/// Extents, cut to `length` bytes; none is empty.
pub(crate) fn clip_extents(extents: Vec<(u64, bool)>, length: u64) -> Vec<(u64, bool)> {
    let mut left = length;
    let clipped = extents.into_iter().map(|(bytes, data)| {
        let bytes = bytes.min(left);
        left -= bytes;
        (bytes, data)
    });
    clipped.filter(|(bytes, _)| *bytes > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extents_are_cut() {
        let extents = alloc::vec![(4096, true), (0, false), (8192, false), (4096, true)];
        assert_eq!(clip_extents(extents.clone(), 5000), [(4096, true), (904, false)]);
        assert_eq!(clip_extents(extents, 1 << 40), [(4096, true), (8192, false), (4096, true)]);
    }

    proptest! {
        #[test]
        fn a_cut_is_the_range_and_proves_itself(offset in 0_u64..9000, length in 1_u64..20_000, cut in 1_usize..7000) {
            let clusters = clusters_around(offset, length);
            let all: Vec<u8> = (0..clusters * CLUSTER_BYTES).map(|i| ((i * 7) >> 3) as u8).collect();
            let whole = Payload::entering(all.clone().into());
            let all = Bytes::from(all);
            let pieces = (0..all.len()).step_by(cut).map(|at| all.slice(at..(at + cut).min(all.len()))).collect();
            let whole = Payload::with_crcs(pieces, whole.crcs().to_vec()).expect("fits");
            let range = cut_to_range(whole, offset, length);
            let within = (offset % CLUSTER_BYTES) as usize;
            prop_assert_eq!(&range.contiguous()[..], &all[within..within + length as usize]);
            prop_assert!(range.verify());
        }
    }
}

//! The checksum of a whole from those of its clusters, so that nothing is certified anew (F1).

use alloc::boxed::Box;
use checksum::combine;
use glossary::CLUSTER_BYTES;

/// From so many clusters on the tables of [`Shift`] pay.
const FEW: usize = 64;

/// The CRC-32C of whole clusters, from theirs.
pub fn whole_checksum(crcs: &[u32]) -> u32 {
    let Some((first, rest)) = crcs.split_first() else { return 0 };
    if rest.len() < FEW {
        return rest.iter().fold(*first, |whole, crc| combine(whole, *crc, CLUSTER_BYTES));
    }
    let shift = Shift::new();
    rest.iter().fold(*first, |whole, crc| shift.apply(whole) ^ crc)
}

/// What a cluster that follows makes of the checksum before it: a linear map, as tables by byte. A SCO has
/// thousands of clusters.
struct Shift(Box<[[u32; 256]; 4]>);

impl Shift {
    fn new() -> Self {
        let mut tables = Box::new([[0; 256]; 4]);
        for (byte, table) in (0_u32..).zip(tables.iter_mut()) {
            for bit in 0..8 {
                let image = combine(1 << (8 * byte + bit), 0, CLUSTER_BYTES);
                for low in 0..1 << bit {
                    table[(1 << bit) | low] = table[low] ^ image;
                }
            }
        }
        Shift(tables)
    }

    fn apply(&self, crc: u32) -> u32 {
        let bytes = crc.to_le_bytes();
        self.0.iter().zip(bytes).fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn it_is_the_checksum_of_the_bytes() {
        let bytes: Vec<u8> =
            (0..200 * 4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for clusters in [0, 1, 2, FEW, FEW + 1, FEW + 2, 200] {
            let bytes = &bytes[..clusters * 4096];
            let crcs: Vec<u32> = checksum::clusters(bytes, 4096).collect();
            assert_eq!(whole_checksum(&crcs), checksum::crc32c(bytes), "{clusters}");
        }
    }
}

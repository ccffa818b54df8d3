//! Data that says whose it is: every sector names the operation that wrote it and where it belongs, and every
//! 8 bytes of it can be told from any other's.

use bytes::Bytes;

use crate::disk::SECTOR_BYTES;

const WORDS: usize = SECTOR_BYTES / 8;

/// What a read found in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing but zeros.
    Zeros,
    /// What this operation wrote there.
    Of(u64),
    /// What nobody wrote there.
    Nobody,
}

/// The bytes that an operation writes at a place.
pub fn bytes(operation: u64, offset: u64, length: u64) -> Bytes {
    let first = offset / SECTOR_BYTES as u64;
    let last = (offset + length).div_ceil(SECTOR_BYTES as u64);
    let mut all = Vec::with_capacity(((last - first) as usize) * SECTOR_BYTES);
    for sector in first..last {
        for index in 0..WORDS {
            all.extend_from_slice(&word(operation, sector, index).to_le_bytes());
        }
    }
    let start = (offset % SECTOR_BYTES as u64) as usize;
    Bytes::from(all).slice(start..start + length as usize)
}

/// Word 0 is the operation, word 1 the sector, the others follow from both.
fn word(operation: u64, sector: u64, index: usize) -> u64 {
    match index {
        0 => operation,
        1 => sector,
        _ => {
            let mixed = (operation << 32 ^ sector ^ (index as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        }
    }
}

/// What is in a whole sector.
pub fn read_sector(sector: u64, found: &[u8]) -> Value {
    let word_at = |index: usize| {
        u64::from_le_bytes(found[index * 8..][..8].try_into().expect("a sector is whole words"))
    };
    let operation = word_at(0);
    if operation == 0 && found.iter().all(|&byte| byte == 0) {
        return Value::Zeros;
    }
    let is_whole = operation != 0 && (1..WORDS).all(|index| word_at(index) == word(operation, sector, index));
    if is_whole { Value::Of(operation) } else { Value::Nobody }
}

/// Whether bytes at a place are those of an operation. They lie in one sector.
pub fn is_of(operation: u64, offset: u64, found: &[u8]) -> bool {
    let sector = offset / SECTOR_BYTES as u64;
    let start = (offset % SECTOR_BYTES as u64) as usize;
    found.iter().enumerate().all(|(index, &byte)| {
        let at = start + index;
        byte == word(operation, sector, at / 8).to_le_bytes()[at % 8]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_name_their_writer_and_place() {
        let data = bytes(7, 1024, 1024);
        assert_eq!(read_sector(2, &data[..512]), Value::Of(7));
        assert_eq!(read_sector(3, &data[512..]), Value::Of(7));
        assert_eq!(read_sector(3, &data[..512]), Value::Nobody);
        assert_eq!(read_sector(3, &[0; 512]), Value::Zeros);
        let mut bad = data[..512].to_vec();
        bad[511] ^= 1;
        assert_eq!(read_sector(2, &bad), Value::Nobody);
    }

    #[test]
    fn parts_of_sectors_can_be_told_apart() {
        let whole = bytes(7, 512, 512);
        let part = bytes(7, 700, 100);
        assert_eq!(whole[188..288], part[..]);
        assert!(is_of(7, 700, &part) && !is_of(8, 700, &part) && !is_of(7, 701, &part));
    }
}

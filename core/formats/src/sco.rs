//! The file of a SCO in the write buffer: a header page, its clusters in the order they were written, and,
//! once it is closed, a trailer. The clusters are the object that is uploaded, byte for byte; the trailer's
//! checksums are the ones that travel with it (PROTOCOLS F1).
//!
//! ```text
//! header page, 4 KiB               trailer, whole pages, after the last cluster
//!   0  magic "OVSSCO\0\0"  8         0  magic "OVSSCOTR"          8
//!   8  version             2         8  SCO                       8
//!  10  zero                2        16  number of clusters        4
//!  12  capacity, clusters  4        20  CRC-32C of each cluster   4 each
//!  16  vDisk               8         .  check of all before       4
//!  24  SCO                 8         .  zeros to 4 KiB
//!  32  check of all before 4
//! ```

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;
use glossary::{CLUSTER_BYTES, ScoId, VdiskId};

/// The first bytes of a SCO file.
pub const HEADER_MAGIC: [u8; 8] = *b"OVSSCO\0\0";
const TRAILER_MAGIC: [u8; 8] = *b"OVSSCOTR";
/// The version that this program writes, behind the magic; the only one it reads.
pub const VERSION: u16 = 1;

/// What the header page of a SCO file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoHeader {
    /// The vDisk that it belongs to.
    pub vdisk: VdiskId,
    /// The SCO.
    pub sco: ScoId,
    /// How many clusters it may take.
    pub capacity: u32,
}

impl ScoHeader {
    /// The page to write at the start of the file.
    pub fn encode(&self) -> Bytes {
        let mut page = Vec::with_capacity(CLUSTER_BYTES as usize);
        page.extend_from_slice(&HEADER_MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&[0; 2]);
        page.extend_from_slice(&self.capacity.to_le_bytes());
        page.extend_from_slice(&self.vdisk.0.to_le_bytes());
        page.extend_from_slice(&self.sco.0.to_le_bytes());
        let check = crc32c(&page);
        page.extend_from_slice(&check.to_le_bytes());
        page.resize(CLUSTER_BYTES as usize, 0);
        page.into()
    }

    /// The version of a header page that a newer program wrote; `None` when it is none, or its check, which stays
    /// where it is, doesn't hold.
    pub fn newer_version(page: &[u8]) -> Option<u16> {
        let (body, rest) = page.split_at_checked(32)?;
        let version = u16::from_le_bytes([body[8], body[9]]);
        let is_sound = body.starts_with(&HEADER_MAGIC) && rest.get(..4)? == crc32c(body).to_le_bytes();
        (is_sound && version > VERSION).then_some(version)
    }

    /// Reads a header page; `None` when it is torn, damaged, foreign or of another version.
    pub fn decode(page: &[u8]) -> Option<Self> {
        let (body, rest) = page.split_at_checked(32)?;
        let own = body.starts_with(&HEADER_MAGIC) && body[8..12] == [VERSION as u8, 0, 0, 0];
        if !own || rest.get(..4)? != crc32c(body).to_le_bytes() {
            return None;
        }
        Some(ScoHeader {
            capacity: u32::from_le_bytes(body[12..16].try_into().ok()?),
            vdisk: VdiskId(u64::from_le_bytes(body[16..24].try_into().ok()?)),
            sco: ScoId(u64::from_le_bytes(body[24..32].try_into().ok()?)),
        })
    }
}

/// Where a cluster starts in the file, in bytes.
pub fn cluster_position(offset: u64) -> u64 {
    (1 + offset) * CLUSTER_BYTES
}

/// The trailer of a closed SCO, to be written behind its last cluster.
pub fn encode_trailer(sco: ScoId, crcs: &[u32]) -> Bytes {
    let mut trailer = Vec::with_capacity(trailer_length(crcs.len() as u64) as usize);
    trailer.extend_from_slice(&TRAILER_MAGIC);
    trailer.extend_from_slice(&sco.0.to_le_bytes());
    trailer.extend_from_slice(&(crcs.len() as u32).to_le_bytes());
    crcs.iter().for_each(|crc| trailer.extend_from_slice(&crc.to_le_bytes()));
    let check = crc32c(&trailer);
    trailer.extend_from_slice(&check.to_le_bytes());
    trailer.resize(trailer_length(crcs.len() as u64) as usize, 0);
    trailer.into()
}

/// Bytes of the trailer of a SCO of so many clusters: whole pages.
pub fn trailer_length(clusters: u64) -> u64 {
    (24 + 4 * clusters).next_multiple_of(CLUSTER_BYTES)
}

/// Reads a trailer; `None` when it is torn, damaged or another SCO's.
pub fn decode_trailer(bytes: &[u8], sco: ScoId) -> Option<Vec<u32>> {
    let count = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?) as usize;
    let end = count.checked_mul(4)?.checked_add(20)?;
    let body = bytes.get(..end)?;
    let check = bytes.get(end..end.checked_add(4)?)?;
    let own = body.starts_with(&TRAILER_MAGIC) && body[8..16] == sco.0.to_le_bytes();
    if !own || check != crc32c(body).to_le_bytes() {
        return None;
    }
    Some(body[20..].chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_header_of_version_1() {
        let header = ScoHeader { vdisk: VdiskId(3), sco: ScoId(0x1234), capacity: 4096 };
        let page = header.encode();
        let mut expected = b"OVSSCO\0\0\x01\0\0\0\0\x10\0\0\x03\0\0\0\0\0\0\0\x34\x12\0\0\0\0\0\0".to_vec();
        let check = crc32c(&expected);
        expected.extend_from_slice(&check.to_le_bytes());
        assert_eq!(&page[..36], expected);
        assert_eq!((page.len(), ScoHeader::decode(&page)), (4096, Some(header)));
        let mut bad = page.to_vec();
        bad[20] ^= 1;
        assert_eq!(ScoHeader::decode(&bad), None);
        assert_eq!(ScoHeader::decode(&page[..35]), None);
    }

    #[test]
    fn golden_trailer_of_version_1_and_any_change_is_seen() {
        let trailer = encode_trailer(ScoId(5), &[1, 2]);
        let mut expected = b"OVSSCOTR\x05\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0".to_vec();
        let check = crc32c(&expected);
        expected.extend_from_slice(&check.to_le_bytes());
        assert_eq!(&trailer[..32], expected);
        assert_eq!(decode_trailer(&trailer, ScoId(5)), Some(alloc::vec![1, 2]));
        assert_eq!(decode_trailer(&trailer, ScoId(6)), None);
        for index in 0..32 {
            let mut bad = trailer.to_vec();
            bad[index] ^= 0x80;
            assert_eq!(decode_trailer(&bad, ScoId(5)), None, "byte {index}");
        }
    }
}

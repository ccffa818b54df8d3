//! The header of a fragment container.

use checksum::Crc32c;
use glossary::{AttemptId, FragmentId, ObjectId};

use super::{FragmentError, Geometry};

/// The first bytes of every container.
pub const MAGIC: [u8; 8] = *b"OVSFRAGM";

/// The version that this program writes.
pub const VERSION: u16 = 1;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 80;

/// What the header says: what the fragment is, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub id: FragmentId,
    /// How it is cut.
    pub geometry: Geometry,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.id.object.0);
        put(48, &self.id.attempt.0.to_le_bytes());
        put(56, &self.id.chunk.to_le_bytes());
        put(58, &[self.id.index, self.geometry.k(), self.geometry.m()]);
        put(62, &self.geometry.block_clusters().to_le_bytes());
        put(64, &self.geometry.clusters().to_le_bytes());
        put(68, &self.geometry.blocks().to_le_bytes());
        put(72, &self.geometry.plain_total().to_le_bytes());
        let check = check(&bytes);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// [`FragmentError::Foreign`], [`FragmentError::Newer`], [`FragmentError::Header`] and
    /// [`FragmentError::Length`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FragmentError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(FragmentError::Foreign);
        }
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(FragmentError::Length)?;
        let version = u16::from_le_bytes(field(bytes, 8));
        if version > VERSION {
            return Err(FragmentError::Newer(version));
        }
        if u32::from_le_bytes(field(bytes, 12)) != check(bytes) {
            return Err(FragmentError::Header);
        }
        let [index, k, m] = field(bytes, 58);
        let id = FragmentId {
            object: ObjectId(field(bytes, 16)),
            chunk: u16::from_le_bytes(field(bytes, 56)),
            index,
            attempt: AttemptId(u64::from_le_bytes(field(bytes, 48))),
        };
        let block_clusters = u16::from_le_bytes(field(bytes, 62));
        let clusters = u32::from_le_bytes(field(bytes, 64));
        let geometry = Geometry::new(k, m, block_clusters, clusters).ok_or(FragmentError::Header)?;
        let header = Header { id, geometry };
        // What is left says nothing new: the version, numbers that follow from others, and zeros.
        if index >= k + m || header.encode() != *bytes {
            return Err(FragmentError::Header);
        }
        Ok(header)
    }
}

/// A CRC-32C over the header, its check being taken as zero. It stands inside of what it covers: were it the
/// last field, the CRC of a whole container would not depend on the header.
fn check(bytes: &[u8; HEADER_BYTES]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&bytes[..12]);
    crc.update(&[0; 4]);
    crc.update(&bytes[16..]);
    crc.finish()
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie within the header")
}

//! The block table: where each block is, and what proves it.

use alloc::vec::Vec;
use checksum::Crc32c;
use core::ops::Range;
use glossary::FragmentId;

use super::{FragmentError, Geometry, HEADER_BYTES, Header};

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 16;

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the block starts, in bytes from the container's start.
    pub offset: u32,
    /// Bytes stored for it.
    pub stored_length: u32,
    /// The CRC-32C over what it is and what is stored ([`block_check`]).
    pub check: u32,
}

impl Entry {
    /// The entry's bytes. Flags are 0: this version stores blocks plain.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stored_length.to_le_bytes());
        bytes[12..].copy_from_slice(&self.check.to_le_bytes());
        bytes
    }

    /// Reads the entry of block `block`.
    ///
    /// # Errors
    /// [`FragmentError::Table`] for flags that this version doesn't know.
    pub fn decode(bytes: &[u8; ENTRY_BYTES], block: u32) -> Result<Self, FragmentError> {
        let [o0, o1, o2, o3, l0, l1, l2, l3, flags @ .., c0, c1, c2, c3] = *bytes;
        if flags != [0; 4] {
            return Err(FragmentError::Table { block });
        }
        Ok(Entry {
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            stored_length: u32::from_le_bytes([l0, l1, l2, l3]),
            check: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// Where the block ends, in bytes from the container's start.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.stored_length)
    }
}

/// Where the entries of `count` blocks from `first` on are, in bytes from the container's start. The header
/// and the table up to there, which [`super::locate`] wants, are `0..table_range(first, count).end`.
pub fn table_range(first: u32, count: u32) -> Range<u64> {
    let start = HEADER_BYTES as u64 + u64::from(first) * ENTRY_BYTES as u64;
    start..start + u64::from(count) * ENTRY_BYTES as u64
}

/// The check of a plain block: what it is, then what is stored, in pieces (see the module's head).
/// The last piece has at least 4 bytes.
pub fn block_check(id: &FragmentId, block: u32, plain_length: u32, pieces: &[&[u8]]) -> u32 {
    let stored_length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let last = pieces.last().and_then(|piece| piece.last_chunk::<4>());
    let mut crc = Crc32c::new();
    crc.update(&associated(id, block, plain_length, stored_length as u32));
    crc.update(last.expect("a block ends with the checksum of its last cluster"));
    pieces.iter().for_each(|piece| crc.update(piece));
    crc.finish()
}

/// What a block is, as bytes: that which a sealed block will carry as associated data (PROTOCOLS F3).
fn associated(id: &FragmentId, block: u32, plain_length: u32, stored_length: u32) -> [u8; 57] {
    const FLAGS: u16 = 0;
    let mut bytes = [0; 57];
    bytes[..32].copy_from_slice(&id.object.0);
    bytes[32..34].copy_from_slice(&id.chunk.to_le_bytes());
    bytes[34] = id.index;
    bytes[35..43].copy_from_slice(&id.attempt.0.to_le_bytes());
    bytes[43..47].copy_from_slice(&block.to_le_bytes());
    bytes[47..49].copy_from_slice(&FLAGS.to_le_bytes());
    bytes[49..53].copy_from_slice(&plain_length.to_le_bytes());
    bytes[53..].copy_from_slice(&stored_length.to_le_bytes());
    bytes
}

/// Makes header and table while the blocks are at hand, one after another. The blocks themselves stay where
/// they are: the container is what [`TableWriter::finish`] returns, followed by them.
#[derive(Clone, Debug)]
pub struct TableWriter {
    header: Header,
    bytes: Vec<u8>,
    next: u32,
}

impl TableWriter {
    /// The table of a fragment.
    pub fn new(id: FragmentId, geometry: Geometry) -> Self {
        let header = Header { id, geometry };
        let mut bytes = Vec::with_capacity(geometry.head_length() as usize);
        bytes.extend_from_slice(&header.encode());
        TableWriter { header, bytes, next: 0 }
    }

    /// Takes the next block in: its plaintext, in pieces of which the last has at least 4 bytes.
    pub fn add(&mut self, pieces: &[&[u8]]) {
        let Header { id, geometry } = &self.header;
        assert!(self.next < geometry.blocks(), "a fragment has as many blocks as its geometry says");
        let length = geometry.plain_length(self.next);
        let given: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert!(given == length as usize, "a plain block is as long as the geometry says");
        let offset = geometry.head_length() + geometry.plain_range(self.next, 1).start;
        let check = block_check(id, self.next, length, pieces);
        // A geometry's container is below 4 GiB, so every offset fits.
        let entry = Entry { offset: offset as u32, stored_length: length, check };
        self.bytes.extend_from_slice(&entry.encode());
        self.next += 1;
    }

    /// Header and table, after all blocks.
    pub fn finish(self) -> Vec<u8> {
        assert!(self.next == self.header.geometry.blocks(), "all blocks have been taken in");
        self.bytes
    }
}

//! What an ASD stores for a fragment: a header, a table, and blocks that each prove themselves.
//!
//! ```text
//! header, 80 bytes:  0 magic "OVSFRAGM"   8 version u16   10 zero u16   12 check u32
//!                   16 object [32]       48 attempt u64   56 chunk u16  58 index u8  59 k u8  60 m u8
//!                   61 zero u8           62 clusters of a block u16     64 clusters of this fragment u32
//!                   68 blocks u32        72 total length u32            76 zero u32
//! table, 16 bytes per block:  offset u32, stored length u32, flags u16, zero u16, check u32
//! blocks, in order, one right after another
//! ```
//!
//! The header's check is a CRC-32C over the header with the check itself as zero. A block's plaintext is its
//! clusters followed by their checksums, 4 bytes each (PROTOCOLS F2); the last block of a fragment may have
//! fewer clusters. The block's check is a CRC-32C over what the block is and what is stored for it (F3):
//!
//! ```text
//! object [32], chunk u16, index u8, attempt u64, block u32, flags u16, plain length u32, stored length u32,
//! the last 4 stored bytes, all stored bytes
//! ```
//!
//! The last 4 bytes count twice because a plain block of one cluster ends with the CRC-32C of what stands
//! before, and a CRC over bytes and their own CRC is the same for all bytes: without them another cluster
//! with its checksum would pass in this one's place.
//!
//! Flags keep the place of compression (bits 0 and 1) and encryption (bit 2). This version writes neither and
//! refuses both, so every block is stored plain and its offset follows from the geometry.

mod decode;
mod geometry;
mod header;
mod key;
mod plaintext;
mod table;

pub use decode::{Located, check_blocks, decode, locate, open_blocks};
pub use geometry::Geometry;
pub use header::{HEADER_BYTES, Header, MAGIC, VERSION};
pub use key::{KEY_BYTES, fragment_key, fragments_prefix, namespace_prefix, parse_fragment_key};
pub use plaintext::Plaintext;
pub use table::{ENTRY_BYTES, Entry, TableWriter, block_check, table_range};

/// Why bytes are not the fragment, or the blocks of it, that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Not a fragment container at all.
    #[error("it is no fragment container")]
    Foreign,
    /// Written by a newer program.
    #[error("it has format version {0}, and this program knows up to {VERSION}")]
    Newer(u16),
    /// The header's check doesn't hold, or it says what can't be.
    #[error("its header is damaged")]
    Header,
    /// It is another fragment, or another attempt at it (PROTOCOLS F3, F4).
    #[error("it is another fragment")]
    Identity,
    /// An entry of the block table says what can't be.
    #[error("entry {block} of its block table is damaged")]
    Table {
        /// Which.
        block: u32,
    },
    /// A block's check doesn't hold.
    #[error("block {block} is damaged")]
    Block {
        /// Which.
        block: u32,
    },
    /// Blocks were asked for that it doesn't have.
    #[error("it has {blocks} blocks, and others were asked for")]
    Range {
        /// How many it has.
        blocks: u32,
    },
    /// There are fewer or more bytes than there should be.
    #[error("it has the wrong length")]
    Length,
}

//! Work that leaves the event loop: erasure coding, and checks of much data (DESIGN section 3, "compute").

use alloc::vec::Vec;
use bytes::Bytes;
use glossary::{AttemptId, ObjectId};

use crate::Payload;

/// Something to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Turns a chunk into k + m fragment containers.
    Encode(Encode),
    /// Gets lost blocks back from any k of the others.
    Reconstruct(Reconstruct),
    /// Compares every cluster with the checksum it came with.
    Check(Payload),
}

/// A chunk to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encode {
    /// Data fragments.
    pub k: u8,
    /// Parity fragments.
    pub m: u8,
    /// The object.
    pub object: ObjectId,
    /// The chunk.
    pub chunk: u16,
    /// For each of the k + m fragments, the attempt that will write it (F4).
    pub attempts: Vec<AttemptId>,
    /// Clusters of data in a block.
    pub block_clusters: u16,
    /// Clusters of data in each data fragment; the last fragments are filled up with zeros.
    pub fragment_clusters: u32,
    /// The chunk's data: whole clusters, with the checksums they entered with. Checked before use.
    pub data: Payload,
}

/// Blocks to get back. A block here is its plaintext: clusters, then their checksums (F2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconstruct {
    /// Data fragments.
    pub k: u8,
    /// Parity fragments.
    pub m: u8,
    /// k of the fragments: which, and the plaintexts of the same blocks of each, one after another.
    pub present: Vec<(u8, Bytes)>,
    /// The fragments to get back.
    pub wanted: Vec<u8>,
}

/// What work came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The containers of the fragments, in order, with checksums for their way to the ASDs.
    Encoded(Vec<Payload>),
    /// The plaintexts of the wanted fragments' blocks, in the order they were wanted. Not yet checked.
    Reconstructed(Vec<Bytes>),
    /// What was to be checked checks.
    Checked,
    /// The input doesn't check: a cluster doesn't have the checksum it came with.
    Damaged,
    /// The request makes no sense (shape, lengths): a programmer's mistake, told rather than crashed on.
    Impossible,
}

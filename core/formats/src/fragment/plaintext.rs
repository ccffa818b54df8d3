//! The plaintext of some blocks of a fragment: clusters with the checksums they entered with.

use alloc::vec::Vec;
use bytes::Bytes;
use glossary::CLUSTER_BYTES;

use super::Geometry;
use crate::Payload;

const CLUSTER: usize = CLUSTER_BYTES as usize;

/// Plaintexts of successive blocks, one after another: as stored, or as reconstructed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plaintext {
    geometry: Geometry,
    first: u32,
    count: u32,
    bytes: Bytes,
}

impl Plaintext {
    /// The plaintexts of `count` blocks from `first` on. `None` when there are no such blocks or the length
    /// isn't theirs.
    pub fn new(geometry: Geometry, first: u32, count: u32, bytes: Bytes) -> Option<Self> {
        if !geometry.has_blocks(first, count) {
            return None;
        }
        let range = geometry.plain_range(first, count);
        let fits = bytes.len() as u64 == range.end - range.start;
        fits.then_some(Plaintext { geometry, first, count, bytes })
    }

    /// The bytes: what erasure coding works on.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// `count` clusters from cluster `from` of the fragment on, with the checksums that are coded with them
    /// (F2). Shares the bytes. Not yet verified. `None` when these blocks don't hold them.
    pub fn clusters(&self, from: u32, count: u32) -> Option<Payload> {
        let per_block = u32::from(self.geometry.block_clusters());
        let end = from.checked_add(count)?;
        if count == 0 || from / per_block < self.first || (end - 1) / per_block >= self.first + self.count {
            return None;
        }
        if end > self.geometry.clusters() {
            return None;
        }
        let (mut pieces, mut crcs) = (Vec::new(), Vec::with_capacity(count as usize));
        let mut at = from;
        while at < end {
            let block = at / per_block;
            let within = (at % per_block) as usize;
            let take = (self.geometry.clusters_of(block) as usize - within).min((end - at) as usize);
            self.take(block, within, take, &mut pieces, &mut crcs);
            at += take as u32;
        }
        Payload::with_crcs(pieces, crcs)
    }

    /// Takes `count` clusters from the `within`th of a block on, and their checksums.
    fn take(&self, block: u32, within: usize, count: usize, pieces: &mut Vec<Bytes>, crcs: &mut Vec<u32>) {
        let before = self.geometry.plain_range(self.first, block - self.first);
        let start = (before.end - before.start) as usize;
        let clusters = start + within * CLUSTER;
        pieces.push(self.bytes.slice(clusters..clusters + count * CLUSTER));
        let table = start + self.geometry.clusters_of(block) as usize * CLUSTER + within * 4;
        let stored = &self.bytes[table..table + count * 4];
        crcs.extend(stored.as_chunks().0.iter().map(|crc| u32::from_le_bytes(*crc)));
    }
}

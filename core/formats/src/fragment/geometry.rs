//! How a fragment is cut into blocks.

use core::ops::Range;
use glossary::{CLUSTER_BYTES, Policy};

use super::{ENTRY_BYTES, HEADER_BYTES};

/// Bytes of a cluster with its checksum.
const CHECKED_CLUSTER_BYTES: u64 = CLUSTER_BYTES + 4;

/// How a fragment is coded and cut: a shape that can be, and whose container's length fits 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    k: u8,
    m: u8,
    block_clusters: u16,
    clusters: u32,
}

impl Geometry {
    /// `k` data and `m` parity fragments of `clusters` clusters each, cut into blocks of `block_clusters`.
    /// `None` when a number is 0 that can't be, k + m is above [`Policy::MAX_FRAGMENTS`], or the container
    /// would be 4 GiB or more.
    pub fn new(k: u8, m: u8, block_clusters: u16, clusters: u32) -> Option<Self> {
        let fragments = u16::from(k) + u16::from(m);
        if k == 0 || fragments > u16::from(Policy::MAX_FRAGMENTS) || block_clusters == 0 || clusters == 0 {
            return None;
        }
        let geometry = Geometry { k, m, block_clusters, clusters };
        let length = geometry.head_length() + u64::from(clusters) * CHECKED_CLUSTER_BYTES;
        (length <= u64::from(u32::MAX)).then_some(geometry)
    }

    /// Data fragments.
    pub fn k(&self) -> u8 {
        self.k
    }

    /// Parity fragments.
    pub fn m(&self) -> u8 {
        self.m
    }

    /// Clusters of every block but the last, which may have fewer.
    pub fn block_clusters(&self) -> u16 {
        self.block_clusters
    }

    /// Clusters of the fragment.
    pub fn clusters(&self) -> u32 {
        self.clusters
    }

    /// Blocks of the fragment.
    pub fn blocks(&self) -> u32 {
        self.clusters.div_ceil(u32::from(self.block_clusters))
    }

    /// Whether `count` blocks from `first` on are some, and all are of the fragment.
    pub fn has_blocks(&self, first: u32, count: u32) -> bool {
        count > 0 && u64::from(first) + u64::from(count) <= u64::from(self.blocks())
    }

    /// Clusters of block `block`, which is one of the fragment's.
    pub fn clusters_of(&self, block: u32) -> u32 {
        let first = block * u32::from(self.block_clusters);
        (self.clusters - first).min(u32::from(self.block_clusters))
    }

    /// Bytes of the plaintext of block `block`: clusters and checksums.
    pub fn plain_length(&self, block: u32) -> u32 {
        self.clusters_of(block) * CHECKED_CLUSTER_BYTES as u32
    }

    /// Where the plaintexts of `count` blocks from `first` on are, counted from that of block 0, when the
    /// plaintexts of all blocks stand one after another.
    pub fn plain_range(&self, first: u32, count: u32) -> Range<u64> {
        let end = |block: u32| {
            let clusters = u64::from(block) * u64::from(self.block_clusters);
            clusters.min(u64::from(self.clusters)) * CHECKED_CLUSTER_BYTES
        };
        end(first)..end(first + count)
    }

    /// Bytes of header and table: where block 0 starts.
    pub fn head_length(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.blocks()) * ENTRY_BYTES as u64
    }

    /// Bytes of the whole container when all blocks are stored plain.
    pub fn plain_total(&self) -> u32 {
        let length = self.head_length() + u64::from(self.clusters) * CHECKED_CLUSTER_BYTES;
        u32::try_from(length).expect("a geometry's container is below 4 GiB")
    }
}

//! How an object is cut into chunks, and a chunk into fragments.

use alloc::vec::Vec;
use formats::fragment::Geometry;
use formats::manifest::Manifest;
use glossary::{ByteCount, CLUSTER_BYTES, Policy};

/// How many chunks an object of `size` bytes has: ceil(size / min(k * max fragment, size)) (row 231).
/// None of the three is 0.
pub fn chunk_count(size: ByteCount, k: u8, fragment_bytes_max: ByteCount) -> u64 {
    size.0.div_ceil((u64::from(k) * fragment_bytes_max.0).min(size.0))
}

/// The cut of an object: one that can be, with at most 65,535 chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    k: u8,
    m: u8,
    block_clusters: u16,
    fragment_clusters: u32,
    clusters: u64,
}

/// Successive clusters of one data fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The chunk.
    pub chunk: u16,
    /// The data fragment.
    pub index: u8,
    /// The first cluster, within the fragment.
    pub from: u32,
    /// How many.
    pub count: u32,
}

impl Layout {
    /// The cut of a new object of `clusters` clusters. `None` when there is no such object.
    pub fn plan(
        policy: Policy,
        clusters: u64,
        fragment_bytes_max: ByteCount,
        block_clusters: u16,
    ) -> Option<Self> {
        let fragment_max = fragment_bytes_max.0 / CLUSTER_BYTES;
        let chunk = (u64::from(policy.k) * fragment_max).min(clusters);
        let fragment = u32::try_from(chunk.div_ceil(u64::from(policy.k.max(1)))).ok()?;
        Self::new(policy, clusters, fragment, block_clusters)
    }

    /// The cut that a manifest tells of. `None` when the manifest contradicts itself.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        if !manifest.size.is_multiple_of(CLUSTER_BYTES) {
            return None;
        }
        let clusters = manifest.size / CLUSTER_BYTES;
        let layout =
            Self::new(manifest.policy, clusters, manifest.fragment_clusters, manifest.block_clusters)?;
        let fragments = usize::from(layout.k + layout.m);
        let fits = manifest.chunks.len() == usize::from(layout.chunks())
            && manifest.chunks.iter().all(|chunk| chunk.len() == fragments);
        fits.then_some(layout)
    }

    fn new(policy: Policy, clusters: u64, fragment_clusters: u32, block_clusters: u16) -> Option<Self> {
        let Policy { k, m, .. } = policy;
        Geometry::new(k, m, block_clusters, fragment_clusters)?;
        let chunks = clusters.div_ceil(u64::from(k) * u64::from(fragment_clusters));
        let possible = clusters > 0 && chunks <= u64::from(u16::MAX);
        possible.then_some(Layout { k, m, block_clusters, fragment_clusters, clusters })
    }

    /// Clusters of the object.
    pub fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Clusters of every data fragment but the last chunk's.
    pub fn fragment_clusters(&self) -> u32 {
        self.fragment_clusters
    }

    /// How many chunks.
    pub fn chunks(&self) -> u16 {
        self.clusters.div_ceil(self.chunk_clusters_max()) as u16
    }

    /// The clusters of a chunk: the first, and how many. The chunk is one of the object's.
    pub fn chunk(&self, chunk: u16) -> (u64, u64) {
        let first = u64::from(chunk) * self.chunk_clusters_max();
        (first, (self.clusters - first).min(self.chunk_clusters_max()))
    }

    /// How the fragments of a chunk are cut.
    pub fn geometry(&self, chunk: u16) -> Geometry {
        let (_, clusters) = self.chunk(chunk);
        let fragment = clusters.div_ceil(u64::from(self.k)) as u32;
        Geometry::new(self.k, self.m, self.block_clusters, fragment)
            .expect("no chunk has larger fragments than the first")
    }

    /// Whether a data fragment of a chunk holds nothing but the zeros that fill the chunk up.
    pub fn is_filler(&self, chunk: u16, index: u8) -> bool {
        let (_, clusters) = self.chunk(chunk);
        index < self.k && u64::from(index) * u64::from(self.geometry(chunk).clusters()) >= clusters
    }

    /// The extents that hold `count` clusters from `first` on, in order. `None` when the object hasn't them.
    pub fn extents(&self, first: u64, count: u64) -> Option<Vec<Extent>> {
        let end = first.checked_add(count).filter(|end| *end <= self.clusters)?;
        let mut extents = Vec::new();
        let mut at = first;
        while at < end {
            let chunk = (at / self.chunk_clusters_max()) as u16;
            let fragment = u64::from(self.geometry(chunk).clusters());
            let within = at - self.chunk(chunk).0;
            let (index, from) = (within / fragment, within % fragment);
            let (chunk_first, chunk_clusters) = self.chunk(chunk);
            let take = (fragment - from).min(end - at).min(chunk_first + chunk_clusters - at);
            extents.push(Extent { chunk, index: index as u8, from: from as u32, count: take as u32 });
            at += take;
        }
        Some(extents)
    }

    fn chunk_clusters_max(&self) -> u64 {
        u64::from(self.k) * u64::from(self.fragment_clusters)
    }
}

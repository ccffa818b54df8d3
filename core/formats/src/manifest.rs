//! The manifest of an object: how it is cut and coded, and where every fragment is.

use alloc::vec::Vec;
use glossary::{AttemptId, ObjectId, OsdId, Policy};
use serde::{Deserialize, Serialize};

/// Where and how an object is stored (PROTOCOLS F4, F5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The object.
    pub object: ObjectId,
    /// Raised with every change of the manifest; every change asserts it (F5).
    pub revision: u64,
    /// The policy that was used; k and m say how it is coded.
    pub policy: Policy,
    /// Bytes of the object: whole clusters.
    pub size: u64,
    /// CRC-32C of the object's bytes.
    pub checksum: u32,
    /// Clusters of data in one block of a fragment.
    pub block_clusters: u16,
    /// Clusters of data in every data fragment of a chunk but the last chunk's, which may have fewer.
    pub fragment_clusters: u32,
    /// The epoch that its fragments are tagged with (F6).
    pub gc_epoch: u64,
    /// For each chunk, its k + m fragments in order: where each is, if anywhere.
    pub chunks: Vec<Vec<Option<Placed>>>,
}

/// Where a fragment is, and the attempt that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The OSD.
    pub osd: OsdId,
    /// The attempt.
    pub attempt: AttemptId,
}

impl Manifest {
    /// How many more OSDs may be lost before the weakest chunk can't be read, when `answers` says which
    /// OSDs answer. `None` when it can't be read even now.
    pub fn spare(&self, answers: impl Fn(OsdId) -> bool) -> Option<u8> {
        let there = |chunk: &Vec<Option<Placed>>| chunk.iter().flatten().filter(|p| answers(p.osd)).count();
        let weakest = self.chunks.iter().map(there).min()?;
        weakest.checked_sub(usize::from(self.policy.k)).map(|spare| spare as u8)
    }
}

//! The persisted map of a volume: the bodies of the batches of a map file (journal kind `MAP`).
//!
//! A file begins with an image: pages, then [`MapBatch::ImageEnd`] with the cork. Deltas follow, one for each
//! TLog that was published since. The last cork is what the map reflects (PROTOCOLS L7). A file without
//! its image's end is not used.

use alloc::vec::Vec;
use glossary::{ClusterAddress, Location};
use serde::{Deserialize, Serialize};

use crate::namespace::ChainHead;
use crate::tlog::Clients;

/// Consecutive clusters: address, how many, and the location's bits of the first.
pub type MapRun = (ClusterAddress, u64, u64);

/// The body of a batch: postcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MapBatch {
    /// A part of the image: runs that hold data.
    Image(Vec<MapRun>),
    /// The image is whole.
    ImageEnd {
        /// What the image reflects.
        cork: Option<ChainHead>,
        /// The clients after that TLog's last entry (E2).
        clients: Clients,
    },
    /// What a published TLog changed.
    Delta {
        /// The TLog.
        cork: ChainHead,
        /// The clients after its last entry (E2).
        clients: Clients,
        /// Its entries in order; bits of 0 are discards.
        runs: Vec<MapRun>,
    },
}

impl MapBatch {
    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("map batches encode")
    }

    /// Reads a body; `None` when it isn't one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let batch: MapBatch = postcard::from_bytes(bytes).ok()?;
        let runs: &[MapRun] = match &batch {
            MapBatch::Image(runs) | MapBatch::Delta { runs, .. } => runs,
            MapBatch::ImageEnd { .. } => &[],
        };
        runs.iter().all(is_run).then_some(batch)
    }
}

fn is_run((address, clusters, bits): &MapRun) -> bool {
    let fits =
        |location: Location| location.is_none() || u64::from(location.offset().0) + clusters <= 1 << 16;
    *clusters > 0
        && address.0.checked_add(*clusters).is_some()
        && Location::from_bits(*bits).is_some_and(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossary::{ClientId, Generation, TlogId};

    #[test]
    fn golden_bytes_of_version_1() {
        let cork = ChainHead { tlog: TlogId { generation: Generation(1), sequence: 2 }, checksum: 3 };
        let batch = MapBatch::Delta {
            cork,
            clients: alloc::vec![(ClientId(4), 8)],
            runs: alloc::vec![(ClusterAddress(5), 2, 7 << 16 | 6)],
        };
        assert_eq!(batch.encode(), [2, 1, 2, 3, 1, 4, 8, 1, 5, 2, 0x86, 0x80, 0x1c]);
        assert_eq!(MapBatch::decode(&batch.encode()), Some(batch));
        assert_eq!(MapBatch::decode(&[0, 1, 5, 0, 6]), None, "a run of no clusters");
        assert_eq!(MapBatch::decode(&[9]), None);
    }
}

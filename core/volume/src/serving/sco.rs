//! A SCO in the write buffer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::Payload;
use formats::payload::slice_pieces;
use glossary::CLUSTER_BYTES;

/// A SCO file in the write buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalSco {
    /// The checksum of every cluster given a place, written or on its way.
    pub(crate) crcs: Vec<u32>,
    /// Clusters whose write completed.
    pub(crate) written: u64,
    /// The last log entry with clusters here; 0 for one of an earlier generation.
    pub(crate) through: u64,
    pub(crate) state: ScoState,
    /// Clusters given a place whose write has not completed, each run behind its offset, in order and without gaps.
    recent: VecDeque<(u64, Payload)>,
}

/// Where a local SCO is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScoState {
    /// Takes clusters.
    Open,
    /// Full, or closed with its TLog.
    Closed,
    /// Being read for its upload, or on its way.
    Uploading,
    /// On the backend since an earlier life; how safe it is there is to be asked.
    Found,
    /// On the backend; so many more disks may be lost.
    Stored { spare: u8 },
    /// Its TLog is published: the file is a read cache.
    Cached,
}

impl ScoState {
    /// Whether nothing is to be done for the SCO because of its state.
    pub(crate) fn is_settled(self) -> bool {
        match self {
            ScoState::Closed | ScoState::Uploading | ScoState::Found => false,
            ScoState::Open | ScoState::Stored { .. } | ScoState::Cached => true,
        }
    }
}

impl LocalSco {
    pub(crate) fn new(state: ScoState) -> Self {
        LocalSco { crcs: Vec::new(), written: 0, through: 0, state, recent: VecDeque::new() }
    }

    /// Clusters get their place at `offset`, behind all others; their write is still to come.
    pub(crate) fn take(&mut self, offset: u64, data: Payload) {
        self.crcs.extend_from_slice(data.crcs());
        self.recent.push_back((offset, data));
    }

    /// Clusters before `through` are in the file.
    pub(crate) fn on_written(&mut self, through: u64) {
        self.written = self.written.max(through);
        while self.recent.pop_front_if(|(offset, _)| *offset < through).is_some() {}
    }

    /// Clusters whose write has not completed, from memory.
    pub(crate) fn recent_data(&self, offset: u64, clusters: u64) -> Payload {
        let behind = self.recent.partition_point(|(at, _)| *at <= offset);
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut start = 0;
        for (at, data) in self.recent.range(behind.saturating_sub(1)..) {
            if *at >= offset + clusters {
                break;
            }
            if pieces.is_empty() {
                start = offset - at;
            }
            pieces.extend_from_slice(data.pieces());
        }
        let (start, length) = (start * CLUSTER_BYTES, clusters * CLUSTER_BYTES);
        let pieces = slice_pieces(&pieces, start as usize, length as usize);
        Payload::with_crcs(pieces, self.crcs_of(offset, clusters)).expect("a checksum for each cluster")
    }

    pub(crate) fn crcs_of(&self, offset: u64, clusters: u64) -> Vec<u32> {
        self.crcs[offset as usize..(offset + clusters) as usize].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_read_from_memory() {
        let bytes: Vec<u8> = (0..10 * CLUSTER_BYTES).map(|at| (at / 512) as u8).collect();
        let part = |from: u64, to: u64| {
            Payload::entering(Bytes::copy_from_slice(
                &bytes[(from * CLUSTER_BYTES) as usize..(to * CLUSTER_BYTES) as usize],
            ))
        };
        let mut sco = LocalSco::new(ScoState::Open);
        for (from, to) in [(0, 3), (3, 4), (4, 9), (9, 10)] {
            sco.take(from, part(from, to));
        }
        for written in [0, 3, 4, 9] {
            sco.on_written(written);
            for from in written..10 {
                (from + 1..=10).for_each(|to| assert_eq!(sco.recent_data(from, to - from), part(from, to)));
            }
        }
        sco.on_written(10);
        assert_eq!((sco.recent.len(), sco.written), (0, 10));
    }
}

//! Members of the KV's group among themselves.

use alloc::vec::Vec;
use consensus::SnapshotMark;
use glossary::ClusterIdentity;
use serde::{Deserialize, Serialize};

/// A message from one member to another. Who sent it is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberMessage {
    /// The cluster of the group: what comes from another is dropped.
    pub cluster: ClusterIdentity,
    /// What is said.
    pub body: MemberBody,
}

/// What members say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberBody {
    /// About the log.
    Consensus(consensus::Message),
    /// Asks for a piece of the file of a snapshot.
    Fetch {
        /// Which snapshot.
        mark: SnapshotMark,
        /// From where, in bytes.
        offset: u64,
    },
    /// A piece of the file of a snapshot.
    Piece {
        /// Which snapshot.
        mark: SnapshotMark,
        /// The number in the file's header.
        sequence: u64,
        /// Where the piece starts, in bytes.
        offset: u64,
        /// The length of the file, in bytes.
        length: u64,
        /// The piece; its length is the sender's choice.
        bytes: Vec<u8>,
    },
    /// The snapshot that was asked for is not here, or no longer.
    NoSnapshot {
        /// Which.
        mark: SnapshotMark,
    },
}

//! What a role is told when it is made.

use alloc::vec::Vec;
use glossary::{ByteCount, ClientId, ClusterIdentity, NodeId, OsdId, OsdIdentity};
use serde::{Deserialize, Serialize};

use crate::registry::OsdRecord;

/// A role and its settings, as far as a deployment chooses them: what makes the same role anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleCard {
    /// A KV with the functions that it hosts.
    Kv {
        /// Whose.
        cluster: ClusterIdentity,
    },
    /// An ASD.
    Asd {
        /// Its identity.
        identity: OsdIdentity,
        /// Bytes that its segments may take.
        capacity: ByteCount,
        /// Bytes of a segment.
        segment: ByteCount,
        /// Bytes of log between checkpoints.
        checkpoint_every: ByteCount,
    },
    /// An objects client.
    Objects {
        /// The KV.
        kv: NodeId,
        /// Its OSDs, and the node of each.
        osds: Vec<(OsdRecord, NodeId)>,
        /// Those of them that can't start before an operator acts.
        gone: Vec<OsdId>,
    },
    /// A volume driver.
    VolumeDriver {
        /// Itself.
        node: NodeId,
        /// The KV.
        kv: NodeId,
        /// The objects client.
        objects: NodeId,
        /// Whether what the write buffer lost is accepted as lost.
        accept_loss: bool,
    },
    /// An Edge.
    Edge {
        /// Who it is to volume drivers.
        client: ClientId,
        /// The volume driver.
        volume_driver: NodeId,
    },
}

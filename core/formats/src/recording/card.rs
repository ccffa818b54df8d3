//! What a role is told when it is made.

use alloc::vec::Vec;
use consensus::{Member, Membership};
use glossary::{ByteCount, ClientId, ClusterIdentity, GroupId, NodeId, OsdId, OsdIdentity};
use serde::{Deserialize, Serialize};

use crate::registry::OsdRecord;

/// A role and its settings, as far as a deployment chooses them: what makes the same role anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleCard {
    /// A KV with the functions that it hosts, which is a group of one.
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
    /// An objects client, as recordings had it when a KV was one node.
    Objects {
        /// The KV.
        kv: NodeId,
        /// Its OSDs, and the node of each.
        osds: Vec<(OsdRecord, NodeId)>,
        /// Those of them that can't start before an operator acts.
        gone: Vec<OsdId>,
    },
    /// A volume driver, as recordings had it when a KV was one node.
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
    /// A KV that is a member of a group.
    KvMember {
        /// Whose.
        cluster: ClusterIdentity,
        /// Itself.
        me: Member,
        /// With whom the group begins; none for a member that joins a group that runs.
        first: Option<Membership>,
        /// Where the others are.
        nodes: Vec<(Member, NodeId)>,
    },
    /// An objects client, as recordings had it when a KV was one group.
    ObjectsOfGroup {
        /// The members of the KV's group.
        kv: Vec<NodeId>,
        /// Its OSDs, and the node of each.
        osds: Vec<(OsdRecord, NodeId)>,
        /// Those of them that can't start before an operator acts.
        gone: Vec<OsdId>,
    },
    /// A volume driver, as recordings had it when a KV was one group.
    VolumeDriverOfGroup {
        /// Itself.
        node: NodeId,
        /// The members of the KV's group.
        kv: Vec<NodeId>,
        /// The objects client.
        objects: NodeId,
        /// Whether what the write buffer lost is accepted as lost.
        accept_loss: bool,
    },
    /// An objects client of a KV with groups.
    ObjectsOfGroups {
        /// The members of the KV's groups.
        kv: Vec<NodeId>,
        /// The group that hosts the namespaces.
        namespaces: GroupId,
        /// Its OSDs, and the node of each.
        osds: Vec<(OsdRecord, NodeId)>,
        /// Those of them that can't start before an operator acts.
        gone: Vec<OsdId>,
    },
    /// A volume driver of a KV with groups.
    VolumeDriverOfGroups {
        /// Itself.
        node: NodeId,
        /// The members of the KV's groups.
        kv: Vec<NodeId>,
        /// The group that hosts the namespaces.
        namespaces: GroupId,
        /// The objects client.
        objects: NodeId,
        /// Whether what the write buffer lost is accepted as lost.
        accept_loss: bool,
    },
}

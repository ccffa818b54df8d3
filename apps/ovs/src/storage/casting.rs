//! The roles of a process that stores, and the shards that they live on.

use std::path::PathBuf;
use std::sync::Arc;

use formats::recording::RoleCard;
use formats::registry::{ClusterRecord, OsdRecord};
use glossary::{ByteCount, ClientId, ClusterIdentity, GroupId, NodeId};
use io::NodeSpec;
use roles::Role;

use super::folders::Absent;
use super::layout::Layout;
use super::members::KvMembers;
use super::nodes::Nodes;
use super::recorder::Recorder;
use super::settings::{CHECKPOINT_EVERY, SEGMENT_BYTES};

/// Guests' I/O: gateway, Edge, volume driver.
pub(crate) const GUEST_SHARD: usize = 0;

/// Everything behind the write buffer. It never shares a thread with guests' I/O.
pub(crate) const BACKEND_SHARD: usize = 1;

/// How many shards there are.
pub(crate) const SHARDS: usize = 2;

/// Makes the specifications of roles: who they are, where their folders lie, and where the KV is.
pub(crate) struct Casting {
    pub(crate) nodes: Nodes,
    pub(crate) layout: Layout,
    /// The members of the KV's group, in this process or in others.
    pub(crate) kv: KvMembers,
    /// The group of it that hosts the namespaces.
    pub(crate) namespaces: GroupId,
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl Casting {
    /// A KV of this process that is a group of one.
    pub(crate) fn kv(&self, cluster: ClusterIdentity) -> NodeSpec<Role> {
        let card = RoleCard::Kv { cluster };
        self.spec(NodeId::kv_of(self.nodes.server), "kv".into(), BACKEND_SHARD, Some(self.layout.kv()), &card)
    }

    pub(crate) fn asd(&self, osd: &OsdRecord) -> NodeSpec<Role> {
        let card = RoleCard::Asd {
            identity: osd.identity,
            capacity: osd.capacity,
            segment: ByteCount(SEGMENT_BYTES),
            checkpoint_every: ByteCount(CHECKPOINT_EVERY),
        };
        let folder = self.layout.asd(osd.osd);
        self.spec(NodeId::asd(osd.osd), format!("asd-{}", osd.osd), BACKEND_SHARD, Some(folder), &card)
    }

    pub(crate) fn objects(&self, record: &ClusterRecord, absent: &[Absent]) -> NodeSpec<Role> {
        let osds = record.osds.iter().map(|osd| (*osd, NodeId::asd(osd.osd))).collect();
        let gone = absent.iter().map(|absent| absent.osd.osd).collect();
        let namespaces = self.namespaces;
        let card = RoleCard::ObjectsOfGroups { kv: self.kv.nodes(), namespaces, osds, gone };
        self.spec(self.nodes.objects(), "objects".into(), BACKEND_SHARD, None, &card)
    }

    /// `accept_loss`: what the write buffer lost is accepted as lost.
    pub(crate) fn volume_driver(&self, accept_loss: bool) -> NodeSpec<Role> {
        let (node, kv, objects) = (self.nodes.volume_driver(), self.kv.nodes(), self.nodes.objects());
        let namespaces = self.namespaces;
        let card = RoleCard::VolumeDriverOfGroups { node, kv, namespaces, objects, accept_loss };
        let folder = Some(self.layout.write_buffer());
        self.spec(node, "volume-driver".into(), GUEST_SHARD, folder, &card)
    }

    pub(crate) fn edge(&self) -> NodeSpec<Role> {
        let node = self.nodes.edge();
        let client = ClientId(u64::from(node.0));
        let card = RoleCard::Edge { client, volume_driver: self.nodes.volume_driver() };
        self.spec(node, "edge".into(), GUEST_SHARD, None, &card)
    }

    fn spec(
        &self,
        id: NodeId,
        name: String,
        shard: usize,
        folder: Option<PathBuf>,
        card: &RoleCard,
    ) -> NodeSpec<Role> {
        let tap = self.recorder.as_ref().map(|recorder| recorder.tap(id, card));
        // An ASD's log is read when the write buffer has let go of what is in it, which is much later.
        let past_page_cache = matches!(card, RoleCard::Asd { .. });
        NodeSpec { id, name, shard, folder, past_page_cache, machine: roles::cast(card, None), tap }
    }
}

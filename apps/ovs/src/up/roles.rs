//! The roles of a cluster in one process, and the shards that they live on.

use std::path::PathBuf;

use formats::recording::RoleCard;
use formats::registry::{ClusterRecord, OsdRecord};
use glossary::{ByteCount, ClientId, ClusterIdentity, NodeId};
use io::NodeSpec;
use roles::Role;

use super::directory::Directory;
use super::folders::Absent;
use super::ids;
use super::record::Recorder;
use super::settings::{CHECKPOINT_EVERY, SEGMENT_BYTES};

/// Guests' I/O: gateway, Edge, volume driver.
pub(crate) const GUEST_SHARD: usize = 0;

/// Everything behind the write buffer. It never shares a thread with guests' I/O.
pub(crate) const BACKEND_SHARD: usize = 1;

/// How many shards there are.
pub(crate) const SHARDS: usize = 2;

/// Makes the specifications of roles.
pub(crate) struct Casting<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) recorder: Option<&'a Recorder>,
}

impl Casting<'_> {
    pub(crate) fn kv(&self, cluster: ClusterIdentity) -> NodeSpec<Role> {
        let card = RoleCard::Kv { cluster };
        self.spec(ids::KV, "kv".into(), BACKEND_SHARD, Some(self.directory.kv()), &card)
    }

    pub(crate) fn asd(&self, osd: &OsdRecord) -> NodeSpec<Role> {
        let card = RoleCard::Asd {
            identity: osd.identity,
            capacity: osd.capacity,
            segment: ByteCount(SEGMENT_BYTES),
            checkpoint_every: ByteCount(CHECKPOINT_EVERY),
        };
        let folder = self.directory.asd(osd.osd);
        self.spec(ids::asd(osd.osd), format!("asd-{}", osd.osd), BACKEND_SHARD, Some(folder), &card)
    }

    pub(crate) fn objects(&self, record: &ClusterRecord, absent: &[Absent]) -> NodeSpec<Role> {
        let osds = record.osds.iter().map(|osd| (*osd, ids::asd(osd.osd))).collect();
        let gone = absent.iter().map(|absent| absent.osd.osd).collect();
        let card = RoleCard::ObjectsOfGroup { kv: vec![ids::KV], osds, gone };
        self.spec(ids::OBJECTS, "objects".into(), BACKEND_SHARD, None, &card)
    }

    /// `accept_loss`: what the write buffer lost is accepted as lost.
    pub(crate) fn volume_driver(&self, accept_loss: bool) -> NodeSpec<Role> {
        let (node, kv, objects) = (ids::VOLUME_DRIVER, vec![ids::KV], ids::OBJECTS);
        let card = RoleCard::VolumeDriverOfGroup { node, kv, objects, accept_loss };
        let folder = Some(self.directory.write_buffer());
        self.spec(ids::VOLUME_DRIVER, "volume-driver".into(), GUEST_SHARD, folder, &card)
    }

    pub(crate) fn edge(&self) -> NodeSpec<Role> {
        let card =
            RoleCard::Edge { client: ClientId(u64::from(ids::EDGE.0)), volume_driver: ids::VOLUME_DRIVER };
        self.spec(ids::EDGE, "edge".into(), GUEST_SHARD, None, &card)
    }

    fn spec(
        &self,
        id: NodeId,
        name: String,
        shard: usize,
        folder: Option<PathBuf>,
        card: &RoleCard,
    ) -> NodeSpec<Role> {
        let tap = self.recorder.map(|recorder| recorder.tap(id, card));
        // An ASD's log is read when the write buffer has let go of what is in it, which is much later.
        let past_page_cache = matches!(card, RoleCard::Asd { .. });
        NodeSpec { id, name, shard, folder, past_page_cache, machine: roles::cast(card, None), tap }
    }
}

//! The nodes of a cluster of roles, what stands on their disks, and what its KV holds at first.

use formats::identity::{Folder, Identity};
use formats::message::kv::{KvBody, KvCommand, KvRequest, KvStep};
use formats::registry::{self, ClusterRecord};
use formats::{Message, kv_groups};
use glossary::{ByteCount, CLUSTER_BYTES, NodeId, OsdId, VdiskId, VdiskName};

use super::sizes::{DISK_BYTES, Sizes, osd_identity};
use super::{BUFFER, CLUSTER, EDGES, KV, VOLUME_DRIVER};
use crate::Random;
use crate::cluster::{GuestSpec, Layout, NodeSpec, Part};

/// Askers of the KV beside the roles.
const ASKERS: usize = 4;

pub(super) fn layout(sizes: &Sizes, levels: Random) -> Layout {
    let on = |host: u32| if sizes.together { 0 } else { host };
    let mut nodes = vec![
        node("kv".into(), Part::Kv, on(0), Some(Folder::Kv)),
        node("objects".into(), Part::Objects, on(1), None),
        node("volume".into(), Part::VolumeDriver, on(2), Some(Folder::WriteBuffer { identity: BUFFER })),
    ];
    for index in 0..sizes.edges {
        nodes.push(node(format!("edge-{index}"), Part::Edge, on(EDGES + index), None));
    }
    for index in 0..sizes.asds {
        let folder = Folder::Asd { osd: OsdId(index + 1), identity: osd_identity(index) };
        let host = 100 + index / sizes.asds_per_node;
        nodes.push(node(format!("asd-{index}"), Part::Asd, host, Some(folder)));
    }
    for index in 1..sizes.servers() {
        nodes.push(node(format!("kv-{}", index + 1), Part::Kv, 200 + u32::from(index), Some(Folder::Kv)));
    }
    let guests = (0..sizes.edges).map(|index| GuestSpec {
        edge: NodeId(EDGES + index),
        volume_driver: VOLUME_DRIVER,
        vdisk: VdiskName::new(&format!("disk{index}")).expect("a name"),
        size_bytes: sizes.vdisk_bytes,
    });
    Layout {
        nodes,
        guests: guests.collect(),
        prologue: vec![(KV, found_cluster(sizes))],
        askers: (ASKERS, sizes.kv()),
        groups: sizes.groups,
        older: older(sizes, levels),
        members_away: sizes.members_away,
        voters: usize::from(sizes.members),
        is_replaced: sizes.replaced,
        damaged_asds_max: usize::from(sizes.policy.c - sizes.policy.k),
        can_sync: true,
        tells_rot: true,
    }
}

/// Servers of the KV that have an older program at first: in half of all runs, and then most of them.
fn older(sizes: &Sizes, mut random: Random) -> Vec<NodeId> {
    if sizes.is_one() || random.coin() {
        return Vec::new();
    }
    (0..sizes.servers()).map(|index| sizes.member(index)).filter(|_| random.chance(7_500)).collect()
}

fn node(name: String, part: Part, host: u32, folder: Option<Folder>) -> NodeSpec {
    let files = folder.map(|folder| roles::first_files(&Identity { cluster: CLUSTER, folder }));
    NodeSpec { name, part, host, capacity: DISK_BYTES, files: files.unwrap_or_default() }
}

/// What the first start of a cluster puts into the KV.
fn found_cluster(sizes: &Sizes) -> Message {
    let record = ClusterRecord {
        identity: CLUSTER,
        policies: vec![sizes.policy],
        sco_size: ByteCount(sizes.sco_clusters * CLUSTER_BYTES),
        write_buffer: ByteCount(sizes.write_buffer),
        buffer: BUFFER,
        osds: sizes.osds(),
        next_vdisk: VdiskId(1),
        next_sco: 1,
    };
    let mut steps =
        vec![KvStep::Set { key: registry::CLUSTER_KEY.to_vec(), value: registry::encode(&record) }];
    if sizes.apart {
        let key = kv_groups::wanted_key(registry::NAMESPACES_GROUP);
        steps.push(KvStep::Set { key, value: kv_groups::WANTED.to_vec() });
    }
    let command = KvCommand::Sequence(steps);
    let body = KvBody::Command { session: 1, sequence: 1, answered_below: 1, command };
    Message::Kv(KvRequest { request: 1, body })
}

//! How large a cluster of roles is, and how long it waits, by seed.

use core::time::Duration;

use formats::registry::OsdRecord;
use glossary::{ByteCount, CLUSTER_BYTES, GroupId, NodeId, OsdId, OsdIdentity, Policy, ServerId};

use super::{EDGES, KV};
use crate::Random;

/// How often a member is away in a run whose group was chosen.
const MEMBERS_AWAY: usize = 3;

/// How often, of 10,000, all members of a group of three are replaced.
const REPLACED: u64 = 2_000;

/// How often, of 10,000, the namespaces have a group of their own, as new clusters have it.
const APART: u64 = 7_500;

/// Bytes of every simulated disk, above what settings allow each role.
pub(super) const DISK_BYTES: u64 = 128 << 20;

/// Policies, with the number of ASDs and how many of them share a storage node.
const SHAPES: [(Policy, u32, u32); 5] = [
    (Policy { k: 4, m: 2, c: 6, x: 1 }, 8, 1),
    (Policy { k: 4, m: 2, c: 5, x: 1 }, 7, 1),
    (Policy { k: 2, m: 1, c: 3, x: 1 }, 5, 1),
    (Policy { k: 2, m: 2, c: 4, x: 2 }, 8, 2),
    (Policy { k: 1, m: 2, c: 3, x: 1 }, 5, 1),
];

/// Sizes and times of a cluster, drawn by seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) edges: u32,
    pub(super) asds: u32,
    pub(super) asds_per_node: u32,
    pub(super) policy: Policy,
    pub(super) sco_clusters: u64,
    pub(super) write_buffer: u64,
    pub(super) tlog_covers: u64,
    pub(super) vdisk_bytes: u64,
    pub(super) remember_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) checkpoint_every: u64,
    pub(super) checkpoint_log_bytes: u64,
    pub(super) checkpoint_rows: usize,
    pub(super) log_ahead_bytes: u64,
    /// Whether everything but the ASDs is on one machine.
    pub(super) together: bool,
    pub(super) retry: Duration,
    pub(super) through_frames: bool,
    /// Members of the KV's group. The first is node [`KV`], the others are behind all nodes.
    pub(super) members: u16,
    /// Servers that may join the group, behind its members.
    pub(super) spares: u16,
    /// Whether the spare servers replace all members, and roles are told of members alone.
    pub(super) replaced: bool,
    /// How often a member is away for certain: where a group is what is looked at, and not one of many things.
    pub(super) members_away: usize,
    /// Entries that members keep in memory for those that are behind.
    pub(super) kept_entries: u64,
    /// Groups beside the root group.
    pub(super) groups: usize,
    /// Whether the namespaces have a group of their own.
    pub(super) apart: bool,
}

impl Sizes {
    pub(super) fn draw(seed: u64, members: Option<u16>, groups: Option<usize>) -> Self {
        let mut group = Random::stream(seed, "group");
        let drawn = [1, 3, 5][group.weighted(&[5, 5, 1])];
        let members_away = if members.is_some_and(|members| members > 1) { MEMBERS_AWAY } else { 0 };
        let (alone, members) = (members == Some(1), members.unwrap_or(drawn));
        let spares = if alone { [0; 3] } else { [0, 1, 2] };
        let spares = spares[group.weighted(&[2, 1, 1])];
        let replaced = members == 3 && Random::stream(seed, "replacement").chance(REPLACED);
        let mut random = Random::stream(seed, "sizes");
        let (policy, asds, asds_per_node) = SHAPES[random.weighted(&[5, 2, 2, 1, 1])];
        let sco_clusters = *random.pick(&[16, 32, 64]);
        Sizes {
            edges: random.between(1, 2) as u32,
            asds,
            asds_per_node,
            policy,
            sco_clusters,
            write_buffer: *random.pick(&[2, 4, 8]) << 20,
            tlog_covers: sco_clusters * CLUSTER_BYTES * random.between(1, 4),
            vdisk_bytes: random.between(256, 1024) * CLUSTER_BYTES,
            remember_bytes: *random.pick(&[1, 4]) << 20,
            segment_bytes: *random.pick(&[512, 1024]) << 10,
            checkpoint_every: *random.pick(&[128, 512]) << 10,
            checkpoint_log_bytes: *random.pick(&[64, 256, 1024]) << 10,
            together: random.coin(),
            retry: Duration::from_millis(*random.pick(&[20, 100, 1000])),
            through_frames: random.chance(2_500),
            members,
            spares: if replaced { members } else { spares },
            replaced,
            members_away,
            kept_entries: *group.pick(&[4, 64]),
            groups: groups.unwrap_or(Random::stream(seed, "groups").weighted(&[6, 2, 1, 1])),
            apart: Random::stream(seed, "namespaces").chance(APART),
            checkpoint_rows: *Random::stream(seed, "checkpoints").pick(&[1, 4, 256]),
            log_ahead_bytes: *Random::stream(seed, "log ahead").pick(&[0, 64, 256]) << 10,
        }
    }

    pub(super) fn member(&self, index: u16) -> NodeId {
        if index == 0 { KV } else { self.asd(self.asds + u32::from(index) - 1) }
    }

    /// The group that hosts the namespaces: where it is one of their own, it is the first.
    pub(super) fn namespaces(&self) -> GroupId {
        if self.apart { GroupId(1) } else { GroupId::ROOT }
    }

    /// The addresses of the KV's members: that of a group of one is its node.
    pub(super) fn kv(&self) -> Vec<NodeId> {
        if self.is_one() { vec![KV] } else { (1..=self.servers()).map(kv_address).collect() }
    }

    /// The members that roles are told of at first.
    pub(super) fn configured(&self) -> Vec<NodeId> {
        let mut members = self.kv();
        if self.replaced {
            members.truncate(usize::from(self.members));
        }
        members
    }

    /// Servers of the KV, spare ones included.
    pub(super) fn servers(&self) -> u16 {
        self.members + self.spares
    }

    /// Whether the KV is one node for ever, as `up` runs it.
    pub(super) fn is_one(&self) -> bool {
        self.servers() == 1
    }

    pub(super) fn asd(&self, index: u32) -> NodeId {
        NodeId(EDGES + self.edges + index)
    }

    pub(super) fn osds(&self) -> Vec<OsdRecord> {
        let osds = (0..self.asds).map(|index| OsdRecord {
            osd: OsdId(index + 1),
            identity: osd_identity(index),
            storage_node: index / self.asds_per_node,
            capacity: ByteCount(asd_capacity()),
        });
        osds.collect()
    }
}

pub(super) fn kv_address(member: u16) -> NodeId {
    NodeId::kv_of(ServerId(member))
}

pub(super) fn osd_identity(index: u32) -> OsdIdentity {
    OsdIdentity([0xa0 + index as u8; 16])
}

pub(super) fn asd_capacity() -> u64 {
    DISK_BYTES / 4
}

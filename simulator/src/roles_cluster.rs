//! The real thing: the roles of `core/roles`, as small as they go, so that everything that takes long in a data
//! centre (a SCO is full, a TLog is published, a segment is compacted) happens often in a run.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use consensus::{Member, Membership};
use formats::Message;
use formats::frame::{self, Decoder};
use formats::identity::{Folder, Identity};
use formats::kv_level;
use formats::message::admin::RoleStatus;
use formats::message::kv::{KvBody, KvCommand, KvRequest, KvStep};
use formats::message::member::member_of;
use formats::recording::RoleCard;
use formats::registry::{self, ClusterRecord, OsdRecord};
use formats::work::{Done, Work};
use glossary::{
    BufferIdentity, ByteCount, CLUSTER_BYTES, ClientId, ClusterIdentity, GroupId, NodeId, OsdId, OsdIdentity,
    Policy, ServerId, VdiskId, VdiskName,
};
use roles::Role;
use step::Bug;

use crate::Random;
use crate::cluster::{Cluster, Gauge, GuestSpec, Layout, NodeSpec, Part};
use crate::runs::Factory;

const KV: NodeId = NodeId(0);
const OBJECTS: NodeId = NodeId(1);
const VOLUME_DRIVER: NodeId = NodeId(2);
const EDGES: u32 = 3;

/// How often a member is away in a run whose group was chosen.
const MEMBERS_AWAY: usize = 3;

/// Askers of the KV beside the roles.
const ASKERS: usize = 4;

const CLUSTER: ClusterIdentity = ClusterIdentity([0xc1; 16]);
const BUFFER: BufferIdentity = BufferIdentity([0xbf; 16]);

/// Bytes of every simulated disk, above what settings allow each role.
const DISK_BYTES: u64 = 128 << 20;

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
struct Sizes {
    edges: u32,
    asds: u32,
    asds_per_node: u32,
    policy: Policy,
    sco_clusters: u64,
    write_buffer: u64,
    tlog_covers: u64,
    vdisk_bytes: u64,
    remember_bytes: u64,
    segment_bytes: u64,
    checkpoint_every: u64,
    checkpoint_log_bytes: u64,
    checkpoint_rows: usize,
    log_ahead_bytes: u64,
    /// Whether everything but the ASDs is on one machine.
    together: bool,
    retry: Duration,
    through_frames: bool,
    /// Members of the KV's group. The first is node [`KV`], the others are behind all nodes.
    members: u16,
    /// Servers that may join the group, behind its members.
    spares: u16,
    /// How often a member is away for certain: where a group is what is looked at, and not one of many things.
    members_away: usize,
    /// Entries that members keep in memory for those that are behind.
    kept_entries: u64,
    /// Groups beside the root group.
    groups: usize,
}

impl Sizes {
    fn draw(seed: u64, members: Option<u16>, groups: Option<usize>) -> Self {
        let mut group = Random::stream(seed, "group");
        let drawn = [1, 3, 5][group.weighted(&[5, 5, 1])];
        let members_away = if members.is_some_and(|members| members > 1) { MEMBERS_AWAY } else { 0 };
        let (alone, members) = (members == Some(1), members.unwrap_or(drawn));
        let spares = if alone { [0; 3] } else { [0, 1, 2] };
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
            spares: spares[group.weighted(&[2, 1, 1])],
            members_away,
            kept_entries: *group.pick(&[4, 64]),
            groups: groups.unwrap_or(Random::stream(seed, "groups").weighted(&[6, 2, 1, 1])),
            checkpoint_rows: *Random::stream(seed, "checkpoints").pick(&[1, 4, 256]),
            log_ahead_bytes: *Random::stream(seed, "log ahead").pick(&[0, 64, 256]) << 10,
        }
    }

    fn member(&self, index: u16) -> NodeId {
        if index == 0 { KV } else { self.asd(self.asds + u32::from(index) - 1) }
    }

    /// The addresses of the KV's members: that of a group of one is its node.
    fn kv(&self) -> Vec<NodeId> {
        if self.is_one() { vec![KV] } else { (1..=self.servers()).map(kv_address).collect() }
    }

    /// Servers of the KV, spare ones included.
    fn servers(&self) -> u16 {
        self.members + self.spares
    }

    /// Whether the KV is one node for ever, as `up` runs it.
    fn is_one(&self) -> bool {
        self.servers() == 1
    }

    fn asd(&self, index: u32) -> NodeId {
        NodeId(EDGES + self.edges + index)
    }

    fn osds(&self) -> Vec<OsdRecord> {
        let osds = (0..self.asds).map(|index| OsdRecord {
            osd: OsdId(index + 1),
            identity: osd_identity(index),
            storage_node: index / self.asds_per_node,
            capacity: ByteCount(asd_capacity()),
        });
        osds.collect()
    }
}

fn kv_address(member: u16) -> NodeId {
    NodeId::kv_of(ServerId(member))
}

fn osd_identity(index: u32) -> OsdIdentity {
    OsdIdentity([0xa0 + index as u8; 16])
}

fn asd_capacity() -> u64 {
    DISK_BYTES / 4
}

/// A cluster of roles.
pub struct RolesCluster {
    sizes: Sizes,
    layout: Layout,
    bug: Option<Bug>,
    /// How often servers of the KV lost their disk.
    disks_lost: BTreeMap<NodeId, u32>,
    /// Servers of the KV whose programs are older.
    older: BTreeSet<NodeId>,
}

/// Makes clusters of roles, all with the same planted bug or none.
#[derive(Clone, Copy, Debug)]
pub struct RolesFactory {
    /// The mistake that every role is told to make.
    pub bug: Option<Bug>,
    /// Members of the KV's group; drawn by seed where nothing is said.
    pub members: Option<u16>,
    /// Groups of the KV beside the root group; drawn by seed where nothing is said.
    pub groups: Option<usize>,
}

impl Factory for RolesFactory {
    type Cluster = RolesCluster;

    fn make(&self, seed: u64) -> RolesCluster {
        let sizes = Sizes::draw(seed, self.members, self.groups);
        let layout = layout(&sizes, Random::stream(seed, "levels"));
        let older = layout.older.iter().copied().collect();
        RolesCluster { layout, sizes, bug: self.bug, disks_lost: BTreeMap::new(), older }
    }
}

/// Servers of the KV that have an older program at first: in half of all runs, and then most of them.
fn older(sizes: &Sizes, mut random: Random) -> Vec<NodeId> {
    if sizes.is_one() || random.coin() {
        return Vec::new();
    }
    (0..sizes.servers()).map(|index| sizes.member(index)).filter(|_| random.chance(7_500)).collect()
}

fn layout(sizes: &Sizes, levels: Random) -> Layout {
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
        damaged_asds_max: usize::from(sizes.policy.c - sizes.policy.k),
        can_sync: true,
        tells_rot: true,
    }
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
    let steps = vec![KvStep::Set { key: registry::CLUSTER_KEY.to_vec(), value: registry::encode(&record) }];
    let command = KvCommand::Sequence(steps);
    let body = KvBody::Command { session: 1, sequence: 1, answered_below: 1, command };
    Message::Kv(KvRequest { request: 1, body })
}

impl RolesCluster {
    /// What a deployment of the same shape would tell a node of its role. What only the simulator makes small is
    /// as large as it usually is.
    pub fn card(&self, node: NodeId) -> RoleCard {
        let asd = |index: u32| RoleCard::Asd {
            identity: osd_identity(index),
            capacity: ByteCount(asd_capacity()),
            segment: ByteCount(self.sizes.segment_bytes),
            checkpoint_every: ByteCount(self.sizes.checkpoint_every),
        };
        let osds = self.sizes.osds().into_iter().zip((0..).map(|index| self.sizes.asd(index)));
        match self.layout.node(node).part {
            Part::Kv if self.sizes.is_one() => RoleCard::Kv { cluster: CLUSTER },
            Part::Kv => {
                let kv::Config { cluster, me, first, nodes, .. } = self.kv(node);
                RoleCard::KvMember { cluster, me, first, nodes: nodes.into_iter().collect() }
            }
            Part::Objects => {
                RoleCard::ObjectsOfGroup { kv: self.sizes.kv(), osds: osds.collect(), gone: Vec::new() }
            }
            Part::VolumeDriver => RoleCard::VolumeDriverOfGroup {
                node,
                kv: self.sizes.kv(),
                objects: OBJECTS,
                accept_loss: false,
            },
            Part::Edge => RoleCard::Edge { client: client_of(node), volume_driver: VOLUME_DRIVER },
            Part::Asd => asd(node.0 - self.sizes.asd(0).0),
        }
    }

    /// The settings of a member of the KV's group.
    fn kv(&self, node: NodeId) -> kv::Config<roles::Hosted> {
        let usual = roles::kv_config(CLUSTER, self.bug);
        let Sizes { checkpoint_log_bytes, checkpoint_rows, log_ahead_bytes, .. } = self.sizes;
        let config = kv::Config { checkpoint_log_bytes, checkpoint_rows, log_ahead_bytes, ..usual };
        if self.sizes.is_one() {
            return config;
        }
        // Where the others are follows from their numbers.
        let me = self.member_of(node);
        let first = (1..=self.sizes.members).map(|server| member_of(ServerId(server), 0));
        let first = Membership::of_voters(first);
        let first = first.contains(me).then_some(first);
        let level = self.level_of(node);
        kv::Config { me, first, level, kept_entries: self.sizes.kept_entries, ..config }
    }

    /// The number of the server that a node of the KV is.
    fn server_at(&self, node: NodeId) -> Option<u16> {
        (1..=self.sizes.servers()).find(|server| self.sizes.member(server - 1) == node)
    }

    fn volume_driver(&self) -> Role {
        let usual = volume::Config::new(VOLUME_DRIVER, self.sizes.kv(), OBJECTS);
        Role::VolumeDriver(Box::new(volume::VolumeDriver::new(volume::Config {
            tlog_covers: self.sizes.tlog_covers,
            retry_first: self.sizes.retry,
            retry_max: self.sizes.retry * 8,
            bug: self.bug,
            ..usual
        })))
    }

    fn edge(&self, node: NodeId) -> Role {
        let usual = edge::Config::new(client_of(node), VOLUME_DRIVER);
        Role::Edge(Box::new(edge::Edge::new(edge::Config {
            remember_max: ByteCount(self.sizes.remember_bytes),
            retry_first: self.sizes.retry,
            retry_max: self.sizes.retry * 8,
            silence: self.sizes.retry * 10,
            bug: self.bug,
            ..usual
        })))
    }

    /// An objects client that is told that these OSDs are gone.
    pub fn objects(&self, gone: Vec<OsdId>) -> Role {
        let osds = self.sizes.osds().into_iter().enumerate().map(|(index, record)| objects::OsdConfig {
            osd: record.osd,
            node: self.sizes.asd(index as u32),
            identity: record.identity,
            storage_node: record.storage_node,
        });
        let settings =
            objects::Settings { probe_longest: Duration::from_secs(2), ..objects::Settings::default() };
        let config =
            objects::Config { kv: self.sizes.kv(), osds: osds.collect(), gone, settings, bug: self.bug };
        Role::Objects(Box::new(objects::Objects::new(config)))
    }

    fn asd(&self, index: u32) -> Role {
        Role::Asd(Box::new(asd::Asd::new(asd::Config {
            identity: osd_identity(index),
            capacity: ByteCount(asd_capacity()),
            segment_bytes: self.sizes.segment_bytes,
            checkpoint_every: self.sizes.checkpoint_every,
            bug: self.bug,
        })))
    }
}

/// An Edge is the same client in every life.
fn client_of(edge: NodeId) -> ClientId {
    ClientId(u64::from(edge.0))
}

impl Cluster for RolesCluster {
    type Node = Role;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn build(&self, node: NodeId) -> Role {
        match self.layout.node(node).part {
            Part::Kv => roles::kv_role(self.kv(node)),
            Part::Objects => self.objects(Vec::new()),
            Part::VolumeDriver => self.volume_driver(),
            Part::Edge => self.edge(node),
            Part::Asd => self.asd(node.0 - self.sizes.asd(0).0),
        }
    }

    fn perform(&self, work: Work) -> Done {
        roles::perform(work)
    }

    /// Some runs send everything through the frame codec: what comes out is what went in.
    fn relay(&self, message: Message) -> Result<Message, String> {
        if !self.sizes.through_frames {
            return Ok(message);
        }
        let mut decoder = Decoder::new();
        frame::encode(&message, KV, OBJECTS).into_iter().for_each(|piece| decoder.feed(piece));
        match decoder.next() {
            Ok(Some((KV, OBJECTS, decoded))) if decoded == message => Ok(decoded),
            Ok(_) => Err("a frame came out as something else".into()),
            Err(error) => Err(format!("a frame was refused: {error}")),
        }
    }

    fn node_at(&self, address: NodeId) -> Option<NodeId> {
        match address.server().0 {
            0 => Some(address),
            server if server <= self.sizes.servers() && address == kv_address(server) => {
                Some(self.sizes.member(server - 1))
            }
            _ => None,
        }
    }

    fn address_of(&self, node: NodeId) -> NodeId {
        match self.server_at(node) {
            Some(server) if !self.sizes.is_one() => kv_address(server),
            _ => node,
        }
    }

    fn member_of(&self, node: NodeId) -> Member {
        let server = self.server_at(node).expect("a KV is on a server");
        member_of(ServerId(server), self.disks_lost.get(&node).copied().unwrap_or_default())
    }

    fn lose_disk(&mut self, node: NodeId) {
        *self.disks_lost.entry(node).or_default() += 1;
    }

    fn level_of(&self, node: NodeId) -> u32 {
        kv_level::LEVEL - u32::from(self.older.contains(&node))
    }

    fn upgrade(&mut self, node: NodeId) {
        self.older.remove(&node);
    }

    fn looks(&self, machine: &Role) -> Vec<(GroupId, kv::Look)> {
        if let Role::Kv(kv) = machine { kv.looks().collect() } else { Vec::new() }
    }

    fn gauges(&self, _node: NodeId, machine: &Role) -> Vec<Gauge> {
        match machine {
            Role::Edge(edge) => match edge.status() {
                RoleStatus::Edge { remembered, .. } => {
                    // One change may be remembered whatever its size, so that none is starved.
                    let bound = self.sizes.remember_bytes + (1 << 20);
                    vec![Gauge { name: "remembered bytes", value: remembered.0, bound }]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

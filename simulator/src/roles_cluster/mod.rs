//! The real thing: the roles of `core/roles`, as small as they go, so that everything that takes long in a data
//! centre (a SCO is full, a TLog is published, a segment is compacted) happens often in a run.

mod build;
mod layout;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};

use consensus::Member;
use formats::Message;
use formats::frame::{self, Decoder};
use formats::kv_level;
use formats::message::admin::RoleStatus;
use formats::message::member::member_of;
use formats::work::{Done, Work};
use glossary::{BufferIdentity, ClusterIdentity, GroupId, NodeId, ServerId};
use roles::Role;
use step::Bug;

use crate::Random;
use crate::cluster::{Cluster, Gauge, Layout, Part};
use crate::runs::Factory;
use sizes::{Sizes, kv_address};

const KV: NodeId = NodeId(0);
const OBJECTS: NodeId = NodeId(1);
const VOLUME_DRIVER: NodeId = NodeId(2);
const EDGES: u32 = 3;

const CLUSTER: ClusterIdentity = ClusterIdentity([0xc1; 16]);
const BUFFER: BufferIdentity = BufferIdentity([0xbf; 16]);

/// A cluster of roles.
pub struct RolesCluster {
    sizes: Sizes,
    layout: Layout,
    bug: Option<Bug>,
    /// The members of the KV's group that a role is told of when its life begins.
    configured: Vec<NodeId>,
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
        let layout = layout::layout(&sizes, Random::stream(seed, "levels"));
        let older = layout.older.iter().copied().collect();
        let (configured, disks_lost) = (sizes.configured(), BTreeMap::new());
        RolesCluster { layout, sizes, bug: self.bug, configured, disks_lost, older }
    }
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

    fn configure(&mut self, members: &[NodeId]) {
        self.configured = members.iter().map(|node| self.address_of(*node)).collect();
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

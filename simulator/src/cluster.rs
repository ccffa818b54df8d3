//! What the simulator needs to know of the cluster that it runs.

use core::fmt::Debug;

use bytes::Bytes;
use consensus::Member;
use formats::work::{Done, Work};
use formats::{Effect, Event, Message, kv_level};
use glossary::{GroupId, NodeId, VdiskName};
use step::{FileName, Machine};

use crate::disk::Folder;

/// A cluster of machines: how to make each, and what is done for them off the event loop.
pub trait Cluster {
    /// A node.
    type Node: Machine<Event = Event, Effect = Effect>;

    /// Its nodes and guests. Node `NodeId(n)` is the n-th.
    fn layout(&self) -> &Layout;

    /// A node at the start of a life: it knows its settings and nothing else.
    fn build(&self, node: NodeId) -> Self::Node;

    /// Does work that left the event loop.
    fn perform(&self, work: Work) -> Done;

    /// What a message is after its journey: the same. A cluster sends it through the frame codec here; a message
    /// that doesn't come through is lost, and why is told (P6).
    fn relay(&self, message: Message) -> Result<Message, String> {
        Ok(message)
    }

    /// The node that roles know under an address; none where there is no such node.
    fn node_at(&self, address: NodeId) -> Option<NodeId> {
        Some(address)
    }

    /// The address under which roles know a node.
    fn address_of(&self, node: NodeId) -> NodeId {
        node
    }

    /// The member of the KV's group that a node is.
    fn member_of(&self, node: NodeId) -> Member {
        Member(u64::from(node.0) + 1)
    }

    /// A node lost its disk: it is another member from now on.
    fn lose_disk(&mut self, _node: NodeId) {}

    /// The level that a member of the KV's group goes up to.
    fn level_of(&self, _node: NodeId) -> u32 {
        kv_level::LEVEL
    }

    /// A node's program is replaced by the newest; it is that from its next life on.
    fn upgrade(&mut self, _node: NodeId) {}

    /// Roles that start from now on are told that these nodes have the members of the KV's group.
    fn configure(&mut self, _members: &[NodeId]) {}

    /// What a member of the KV's groups shows of each; nothing for others, and while it doesn't serve.
    fn looks(&self, _machine: &Self::Node) -> Vec<(GroupId, ::kv::Look)> {
        Vec::new()
    }

    /// How full everything is that must have a bound (P9).
    fn gauges(&self, _node: NodeId, _machine: &Self::Node) -> Vec<Gauge> {
        Vec::new()
    }

    /// Compares what is said to be stored with what the disks durably hold (P7); a sentence for each lie.
    /// Called when nothing has happened for a while.
    fn redundancy(&self, _view: &View<'_, Self::Node>) -> Vec<String> {
        Vec::new()
    }
}

/// Something that must stay bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What, with its unit.
    pub name: &'static str,
    /// How much now.
    pub value: u64,
    /// The most that may be.
    pub bound: u64,
}

/// Nodes and disks, seen from outside.
pub struct View<'a, N> {
    /// For each node: its machine, when it lives, and its folder.
    pub nodes: Vec<(Option<&'a N>, &'a Folder)>,
}

/// The nodes of a cluster and who uses it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The nodes; the index is the [`NodeId`].
    pub nodes: Vec<NodeSpec>,
    /// The guests.
    pub guests: Vec<GuestSpec>,
    /// Requests that an operator makes before all else, of the nodes that they are for; answered with success.
    pub prologue: Vec<(NodeId, Message)>,
    /// With how many members the KV's group begins: the first nodes that are KVs. Others are spare.
    pub voters: usize,
    /// Whether those are replaced by the spare ones, as many, while roles run that were told of no others.
    pub is_replaced: bool,
    /// How many askers the KV has beside the roles, and the addresses of its members.
    pub askers: (usize, Vec<NodeId>),
    /// How many groups the operator makes beside the root group, each with askers of its own.
    pub groups: usize,
    /// Those of the KV whose programs are older at the beginning, and are replaced one by one.
    pub older: Vec<NodeId>,
    /// How often a member of the KV's group is away for longer than the others wait for it, beside what is drawn.
    pub members_away: usize,
    /// How many ASDs may hold damaged data at any time without any object becoming unreadable.
    pub damaged_asds_max: usize,
    /// Whether the cluster can be told to push everything to the ASDs ([`AdminBody::SyncVdisk`]).
    ///
    /// [`AdminBody::SyncVdisk`]: formats::message::admin::AdminBody::SyncVdisk
    pub can_sync: bool,
    /// Whether an owner tells rot of what only it holds from the end of its log (PROTOCOLS L3).
    pub tells_rot: bool,
}

impl Layout {
    /// The nodes of a part.
    pub fn of(&self, part: Part) -> Vec<NodeId> {
        let ids = (0_u32..).map(NodeId).zip(&self.nodes);
        ids.filter(|(_, node)| node.part == part).map(|(id, _)| id).collect()
    }

    /// What is known of a node.
    pub fn node(&self, node: NodeId) -> &NodeSpec {
        &self.nodes[node.0 as usize]
    }

    /// The nodes on a host.
    pub fn on_host(&self, host: u32) -> Vec<NodeId> {
        let ids = (0_u32..).map(NodeId).zip(&self.nodes);
        ids.filter(|(_, node)| node.host == host).map(|(id, _)| id).collect()
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name in traces.
    pub name: String,
    /// What it does.
    pub part: Part,
    /// The machine it runs on: what loses power together.
    pub host: u32,
    /// Bytes that its disk has.
    pub capacity: u64,
    /// Files that are on its disk, durably, before its first life.
    pub files: Vec<(FileName, Bytes)>,
}

/// What a node does, for the table of faults in [`crate::disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An Edge.
    Edge,
    /// A volume driver, or whatever owns volumes.
    VolumeDriver,
    /// An objects client.
    Objects,
    /// An ASD.
    Asd,
    /// A KV.
    Kv,
}

/// A guest and its vDisk.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// The Edge it talks to.
    pub edge: NodeId,
    /// The volume driver, to which it goes to have its vDisk made.
    pub volume_driver: NodeId,
    /// The vDisk's name; no two guests share one.
    pub vdisk: VdiskName,
    /// The vDisk's size in bytes.
    pub size_bytes: u64,
}

//! A cluster with eight ASDs in a calm world, one vDisk that is written and pushed, and what comes after.

use core::time::Duration;

use bytes::Bytes;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus, VdiskStatus};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestRequest};
use formats::message::kv::{KvAnswer, KvBody, KvQuery, KvReply, KvRequest};
use formats::{Message, Payload, registry};
use glossary::{ByteCount, CLUSTER_BYTES, NodeId, OsdId, VdiskId, VdiskName};
use simulator::Random;
use simulator::cluster::{Cluster, Layout, NodeSpec, Part};
use simulator::disk::Folder;
use simulator::roles_cluster::{RolesCluster, RolesFactory};
use simulator::runs::Factory;

use crate::world::World;

/// A seed whose cluster has one Edge and eight ASDs with policy 4,2,6,1.
const SEED: u64 = 3;

/// Clusters that are written: several SCOs.
pub(crate) const CLUSTERS: u64 = 256;

/// Clusters that one request reads.
pub(crate) const AT_ONCE: u64 = 8;

/// The longest that an answer may take by the roles' own clocks: far less than they wait for a silent ASD.
const AT_ONCE_LIMIT: Duration = Duration::from_secs(5);

/// A cluster of which one vDisk is written.
pub(crate) struct Bed {
    cluster: RolesCluster,
    pub(crate) layout: Layout,
    pub(crate) vdisk: VdiskName,
}

/// What a cluster's next life is like.
pub(crate) struct NextLife<'a> {
    /// Its number.
    pub(crate) life: u8,
    /// ASDs that are not there, and are known not to be.
    pub(crate) gone: &'a [u32],
    /// ASDs that say nothing.
    pub(crate) silent: &'a [u32],
    /// Whether the write buffer is the same.
    pub(crate) keeps_write_buffer: bool,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let cluster = RolesFactory { bug: None, members: Some(1), groups: Some(0) }.make(SEED);
        let layout = cluster.layout().clone();
        let vdisk = layout.guests[0].vdisk.clone();
        assert_eq!(layout.of(Part::Asd).len(), 8, "another seed is needed");
        Bed { cluster, layout, vdisk }
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.layout.nodes.len() as u32).map(NodeId)
    }

    fn fresh_folder(spec: &NodeSpec) -> Folder {
        Folder::new(&spec.files, spec.capacity, Random::stream(SEED, "disk"))
    }

    /// A cluster whose vDisk was written, every cluster with its number, and pushed to the ASDs.
    pub(crate) fn written(&self) -> World {
        let folders = self.layout.nodes.iter().map(Self::fresh_folder).collect();
        let mut world = World::new(self.nodes().map(|node| self.cluster.build(node)).collect(), folders);
        for (kv, message) in &self.layout.prologue {
            world.start(*kv, 1);
            world.command(*kv, message);
        }
        let others = self.nodes().filter(|node| self.layout.prologue.iter().all(|(kv, _)| kv != node));
        others.for_each(|node| world.start(node, 1));
        world.rest();
        let size = ByteCount(self.layout.guests[0].size_bytes.max(CLUSTERS * CLUSTER_BYTES));
        let create = AdminBody::CreateVdisk { name: self.vdisk.clone(), size };
        assert_eq!(self.operator(&mut world, create), AdminAnswer::Done);
        let vdisk = self.attach(&mut world).expect("it serves");
        for first in (0..CLUSTERS).step_by(AT_ONCE as usize) {
            let payload = Payload::entering(data(first));
            let body = GuestBody::Write { vdisk, offset: first * CLUSTER_BYTES, fua: false, payload };
            assert_eq!(self.guest(&mut world, body), GuestAnswer::Done);
        }
        let sync = AdminBody::SyncVdisk { name: self.vdisk.clone() };
        assert_eq!(self.operator(&mut world, sync), AdminAnswer::Done);
        world.rest();
        world
    }

    /// The same cluster in its next life, without a write buffer and these ASDs.
    pub(crate) fn without(&self, before: &World, gone: &[u32]) -> World {
        self.next_life(before, NextLife { gone, silent: &[], keeps_write_buffer: false, life: 2 })
    }

    /// The same cluster in its next life.
    pub(crate) fn next_life(&self, before: &World, next: NextLife<'_>) -> World {
        let asds = self.layout.of(Part::Asd);
        let osds: Vec<OsdId> = next.gone.iter().map(|index| OsdId(index + 1)).collect();
        let roles = self.nodes().map(|node| match self.layout.node(node).part {
            Part::Objects => self.cluster.objects(osds.clone()),
            _ => self.cluster.build(node),
        });
        let folders = self.nodes().map(|node| match self.layout.node(node).part {
            Part::VolumeDriver if !next.keeps_write_buffer => Self::fresh_folder(self.layout.node(node)),
            _ => before.folder(node).clone(),
        });
        let mut world = World::new(roles.collect(), folders.collect());
        let dead = next.gone.iter().chain(next.silent);
        world.dead = dead.map(|index| asds[*index as usize]).collect();
        self.nodes().for_each(|node| world.start(node, next.life));
        world.rest();
        world
    }

    pub(crate) fn attach(&self, world: &mut World) -> Result<VdiskId, GuestError> {
        match self.guest(world, GuestBody::Attach { name: self.vdisk.clone() }) {
            GuestAnswer::Attached { vdisk, .. } => Ok(vdisk),
            GuestAnswer::Failed(error) => Err(error),
            other => panic!("not attached: {other:?}"),
        }
    }

    /// A guest asks, and is answered at once.
    pub(crate) fn guest(&self, world: &mut World, body: GuestBody) -> GuestAnswer {
        let (edge, request, since) = (self.layout.guests[0].edge, world.next_request(), world.now());
        let (message, _) = world.ask(edge, Message::Guest(GuestRequest { request, body }));
        assert!(world.now() < since.after(AT_ONCE_LIMIT), "nobody was waited for");
        let Message::GuestReply(reply) = message else { panic!("no answer: {message:?}") };
        reply.body
    }

    pub(crate) fn operator(&self, world: &mut World, body: AdminBody) -> AdminAnswer {
        let (driver, request) = (self.layout.guests[0].volume_driver, world.next_request());
        let (message, _) = world.ask(driver, Message::Admin(AdminRequest { request, body }));
        let Message::AdminReply(reply) = message else { panic!("no answer: {message:?}") };
        reply.body
    }

    /// How many keys all ASDs that can be asked have.
    pub(crate) fn keys(&self, world: &mut World) -> u64 {
        let asds = self.layout.of(Part::Asd).into_iter();
        let there: Vec<NodeId> = asds.filter(|asd| !world.dead.contains(asd)).collect();
        let mut keys_of = |asd| {
            let request = AdminRequest { request: world.next_request(), body: AdminBody::Status };
            match world.ask(asd, Message::Admin(request)).0 {
                Message::AdminReply(AdminReply {
                    body: AdminAnswer::Status(RoleStatus::Asd { keys, .. }),
                    ..
                }) => keys,
                other => panic!("no status: {other:?}"),
            }
        };
        there.into_iter().map(&mut keys_of).sum()
    }

    /// Whether the registry knows the first vDisk, on its way out or not.
    pub(crate) fn is_registered(&self, world: &mut World) -> bool {
        let kv = self.layout.of(Part::Kv)[0];
        let body = KvBody::Query(KvQuery::Get { key: registry::vdisk_key(VdiskId(1)) });
        let request = KvRequest { request: world.next_request(), body };
        match world.ask(kv, Message::Kv(request)).0 {
            Message::KvReply(KvReply { body: KvAnswer::Value(value), .. }) => value.is_some(),
            other => panic!("no value: {other:?}"),
        }
    }

    pub(crate) fn status(&self, world: &mut World) -> VdiskStatus {
        match self.operator(world, AdminBody::Status) {
            AdminAnswer::Status(RoleStatus::VolumeDriver { mut vdisks, .. }) => vdisks.remove(0),
            other => panic!("no status: {other:?}"),
        }
    }

    /// Reads everything: how many reads were answered with data, and how many with an error.
    pub(crate) fn read_all(&self, world: &mut World, vdisk: VdiskId) -> (usize, usize) {
        let (mut right, mut lost) = (0, 0);
        for first in (0..CLUSTERS).step_by(AT_ONCE as usize) {
            let (offset, length) = (first * CLUSTER_BYTES, AT_ONCE * CLUSTER_BYTES);
            match self.guest(world, GuestBody::Read { vdisk, offset, length }) {
                GuestAnswer::Data(payload) => {
                    assert!(payload.contiguous() == data(first), "a wrong byte");
                    right += 1;
                }
                GuestAnswer::Failed(GuestError::Io(_)) => lost += 1,
                other => panic!("neither data nor an error: {other:?}"),
            }
        }
        (right, lost)
    }
}

pub(crate) fn data(first: u64) -> Bytes {
    (first..first + AT_ONCE).flat_map(|cluster| [cluster as u8 | 1; CLUSTER_BYTES as usize]).collect()
}

//! More ASDs are gone than parity makes up for, and the write buffer with them: whatever is lost is an error, whatever
//! is not is read right, and nobody is waited for.

#[allow(dead_code, reason = "other tests use more of it")]
mod calm;

use core::time::Duration;

use bytes::Bytes;
use calm::World;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus, VdiskStatus};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestRequest};
use formats::{Message, Payload};
use glossary::{ByteCount, CLUSTER_BYTES, NodeId, OsdId, VdiskId, VdiskName};
use simulator::Random;
use simulator::cluster::{Cluster, Layout, NodeSpec, Part};
use simulator::disk::Folder;
use simulator::roles_cluster::{RolesCluster, RolesFactory};
use simulator::runs::Factory;

/// A seed whose cluster has one Edge and eight ASDs with policy 4,2,6,1.
const SEED: u64 = 3;

/// Clusters that are written: several SCOs.
const CLUSTERS: u64 = 256;

/// Clusters that one request reads.
const AT_ONCE: u64 = 8;

/// The longest that an answer may take by the roles' own clocks: far less than they wait for a silent ASD.
const AT_ONCE_LIMIT: Duration = Duration::from_secs(5);

struct Bed {
    cluster: RolesCluster,
    layout: Layout,
    vdisk: VdiskName,
}

impl Bed {
    fn new() -> Self {
        let cluster = RolesFactory { bug: None }.make(SEED);
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
    fn written(&self) -> World {
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
    fn without(&self, before: &World, gone: &[u32]) -> World {
        let asds = self.layout.of(Part::Asd);
        let osds: Vec<OsdId> = gone.iter().map(|index| OsdId(index + 1)).collect();
        let roles = self.nodes().map(|node| match self.layout.node(node).part {
            Part::Objects => self.cluster.objects(osds.clone()),
            _ => self.cluster.build(node),
        });
        let folders = self.nodes().map(|node| match self.layout.node(node).part {
            Part::VolumeDriver => Self::fresh_folder(self.layout.node(node)),
            _ => before.folder(node).clone(),
        });
        let mut world = World::new(roles.collect(), folders.collect());
        world.dead = gone.iter().map(|index| asds[*index as usize]).collect();
        self.nodes().for_each(|node| world.start(node, 2));
        world.rest();
        world
    }

    fn attach(&self, world: &mut World) -> Result<VdiskId, GuestError> {
        match self.guest(world, GuestBody::Attach { name: self.vdisk.clone() }) {
            GuestAnswer::Attached { vdisk, .. } => Ok(vdisk),
            GuestAnswer::Failed(error) => Err(error),
            other => panic!("not attached: {other:?}"),
        }
    }

    /// A guest asks, and is answered at once.
    fn guest(&self, world: &mut World, body: GuestBody) -> GuestAnswer {
        let (edge, request, since) = (self.layout.guests[0].edge, world.next_request(), world.now());
        let (message, _) = world.ask(edge, Message::Guest(GuestRequest { request, body }));
        assert!(world.now() < since.after(AT_ONCE_LIMIT), "nobody was waited for");
        let Message::GuestReply(reply) = message else { panic!("no answer: {message:?}") };
        reply.body
    }

    fn operator(&self, world: &mut World, body: AdminBody) -> AdminAnswer {
        let (driver, request) = (self.layout.guests[0].volume_driver, world.next_request());
        let (message, _) = world.ask(driver, Message::Admin(AdminRequest { request, body }));
        let Message::AdminReply(reply) = message else { panic!("no answer: {message:?}") };
        reply.body
    }

    fn status(&self, world: &mut World) -> VdiskStatus {
        match self.operator(world, AdminBody::Status) {
            AdminAnswer::Status(RoleStatus::VolumeDriver { mut vdisks, .. }) => vdisks.remove(0),
            other => panic!("no status: {other:?}"),
        }
    }

    /// Reads everything: how many reads were answered with data, and how many with an error.
    fn read_all(&self, world: &mut World, vdisk: VdiskId) -> (usize, usize) {
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

fn data(first: u64) -> Bytes {
    (first..first + AT_ONCE).flat_map(|cluster| [cluster as u8 | 1; CLUSTER_BYTES as usize]).collect()
}

#[test]
fn three_of_eight_lose_some_of_it_and_that_is_said() {
    let bed = Bed::new();
    let before = bed.written();
    let (mut partly, mut halted) = (0, 0);
    for first in 0..8 {
        for second in first + 1..8 {
            // Each pair with the next: enough of all 56 to have every outcome.
            let mut world = bed.without(&before, &[first, second, (second + 1) % 8]);
            let Ok(vdisk) = bed.attach(&mut world) else {
                let why = bed.status(&mut world).halted.expect("why it does not serve");
                assert!(why.contains("TLog") && why.contains("lost"), "{why}");
                halted += 1;
                continue;
            };
            let (right, lost) = bed.read_all(&mut world, vdisk);
            let named = bed.status(&mut world).lost;
            assert_eq!(lost > 0, !named.is_empty(), "{lost} reads failed, named are {named:?}");
            partly += usize::from(right > 0 && lost > 0);
        }
    }
    assert!(partly > 0 && halted > 0, "{partly} were partly lost, {halted} could not be opened");
}

#[test]
fn five_of_eight_lose_all_and_other_vdisks_work() {
    let bed = Bed::new();
    let mut world = bed.without(&bed.written(), &[0, 1, 2, 3, 4]);
    let error = bed.attach(&mut world).expect_err("it can't serve");
    let why = bed.status(&mut world).halted.expect("why it does not serve");
    assert!(matches!(&error, GuestError::Io(said) if *said == why), "{error:?} and {why}");
    let other = VdiskName::new("other").expect("a name");
    let create = AdminBody::CreateVdisk { name: other.clone(), size: ByteCount(1 << 20) };
    assert_eq!(bed.operator(&mut world, create), AdminAnswer::Done);
    let GuestAnswer::Attached { vdisk, .. } = bed.guest(&mut world, GuestBody::Attach { name: other }) else {
        panic!("a new vDisk works");
    };
    let payload = Payload::entering(data(0));
    let write = GuestBody::Write { vdisk, offset: 0, fua: false, payload: payload.clone() };
    assert_eq!(bed.guest(&mut world, write), GuestAnswer::Done);
    let read = GuestBody::Read { vdisk, offset: 0, length: AT_ONCE * CLUSTER_BYTES };
    assert_eq!(bed.guest(&mut world, read), GuestAnswer::Data(payload));
}

#[test]
fn two_of_eight_lose_nothing() {
    let bed = Bed::new();
    let mut world = bed.without(&bed.written(), &[2, 5]);
    let vdisk = bed.attach(&mut world).expect("it serves");
    assert_eq!(bed.read_all(&mut world, vdisk), ((CLUSTERS / AT_ONCE) as usize, 0));
}

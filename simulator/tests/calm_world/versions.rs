//! Clusters on disk, as each version of the formats left them: the roles of today must open them all.
//!
//! tests/versions/N is what a cluster of version N left behind when it was killed: two ASDs with segments and
//! checkpoints, the KV with log and snapshot, the write buffer with SCOs, TLog and map. A version's directory is
//! written once (`UPDATE=1`, when it is missing) and never again.

use std::path::{Path, PathBuf};

use crate::world::World;
use bytes::Bytes;
use formats::identity::{Folder as Owner, Identity, IdentityError};
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus, VdiskStatus};
use formats::message::guest::{GuestAnswer, GuestBody, GuestRequest};
use formats::message::kv::{KvBody, KvCommand, KvRequest, KvStep};
use formats::recording::RoleCard;
use formats::registry::{self, ClusterRecord, OsdRecord};
use formats::{Message, Payload};
use glossary::{
    BufferIdentity, ByteCount, CLUSTER_BYTES, ClientId, ClusterIdentity, NodeId, OsdId, OsdIdentity, Policy,
    VdiskId, VdiskName,
};
use roles::Role;
use simulator::Random;
use simulator::disk::Folder;
use step::FileName;

const KV: NodeId = NodeId(0);
const OBJECTS: NodeId = NodeId(1);
const VOLUME_DRIVER: NodeId = NodeId(2);
const EDGE: NodeId = NodeId(3);
const ASDS: [NodeId; 2] = [NodeId(4), NodeId(5)];

/// The nodes that have a folder, and its name.
const FOLDERS: [(NodeId, &str); 4] =
    [(KV, "kv"), (VOLUME_DRIVER, "write-buffer"), (ASDS[0], "asd-0"), (ASDS[1], "asd-1")];

const CLUSTER: ClusterIdentity = ClusterIdentity([0xc1; 16]);
const BUFFER: BufferIdentity = BufferIdentity([0xbf; 16]);

/// The version that this program writes.
const NEWEST: &str = "3";

const VDISK_CLUSTERS: u64 = 64;

/// What the vDisk went through: a byte for the clusters from one to another, or none for a discard. After the
/// second everything was pushed to the ASDs, after the last but one it was flushed.
const CHANGES: [(u64, u64, Option<u8>); 5] =
    [(0, 4, Some(1)), (1, 2, None), (2, 3, Some(2)), (20, 21, Some(3)), (40, 41, Some(4))];

fn osd(index: usize) -> OsdRecord {
    OsdRecord {
        osd: OsdId(index as u32 + 1),
        identity: OsdIdentity([0xa0 + index as u8; 16]),
        storage_node: index as u32,
        capacity: ByteCount(32 << 20),
    }
}

/// Roles that write checkpoints and snapshots soon.
fn cast() -> Vec<Role> {
    let osds: Vec<_> = ASDS.iter().enumerate().map(|(index, node)| (osd(index), *node)).collect();
    let asds = osds.iter().map(|(osd, _)| RoleCard::Asd {
        identity: osd.identity,
        capacity: osd.capacity,
        segment: ByteCount(512 << 10),
        checkpoint_every: ByteCount(8 << 10),
    });
    let mut roles = vec![
        roles::kv_role(kv::Config { checkpoint_log_bytes: 8 << 10, ..roles::kv_config(CLUSTER, None) }),
        roles::cast(&RoleCard::Objects { kv: KV, osds: osds.clone(), gone: Vec::new() }, None),
        roles::cast(
            &RoleCard::VolumeDriver { node: VOLUME_DRIVER, kv: KV, objects: OBJECTS, accept_loss: false },
            None,
        ),
        roles::cast(&RoleCard::Edge { client: ClientId(4), volume_driver: VOLUME_DRIVER }, None),
    ];
    roles.extend(asds.map(|card| roles::cast(&card, None)));
    roles
}

fn identity(node: NodeId) -> Option<Identity> {
    let asd = |index: usize| Owner::Asd { osd: osd(index).osd, identity: osd(index).identity };
    let folder = match node {
        KV => Owner::Kv,
        VOLUME_DRIVER => Owner::WriteBuffer { identity: BUFFER },
        node => asd(ASDS.iter().position(|asd| *asd == node)?),
    };
    Some(Identity { cluster: CLUSTER, folder })
}

type Files = Vec<(FileName, Bytes)>;

/// A world whose nodes have these files.
fn world(files: impl Fn(NodeId) -> Files) -> World {
    let roles = cast();
    let folders = (0..roles.len() as u32)
        .map(|node| Folder::new(&files(NodeId(node)), 64 << 20, Random::stream(u64::from(node), "version")));
    World::new(roles, folders.collect())
}

fn record() -> ClusterRecord {
    ClusterRecord {
        identity: CLUSTER,
        policies: vec![Policy { k: 1, m: 1, c: 2, x: 1 }],
        sco_size: ByteCount(16 * CLUSTER_BYTES),
        write_buffer: ByteCount(2 << 20),
        buffer: BUFFER,
        osds: vec![osd(0), osd(1)],
        next_vdisk: VdiskId(1),
        next_sco: 1,
    }
}

fn name() -> VdiskName {
    VdiskName::new("disk1").expect("a name")
}

fn start_others(world: &mut World, life: u8) {
    [OBJECTS, VOLUME_DRIVER, EDGE].into_iter().chain(ASDS).for_each(|node| world.start(node, life));
    world.rest();
}

fn guest(world: &mut World, body: GuestBody) -> GuestAnswer {
    let request = world.next_request();
    let (message, _) = world.ask(EDGE, Message::Guest(GuestRequest { request, body }));
    let Message::GuestReply(reply) = message else { panic!("no answer: {message:?}") };
    reply.body
}

fn operator(world: &mut World, body: AdminBody) {
    let request = world.next_request();
    let (message, _) = world.ask(VOLUME_DRIVER, Message::Admin(AdminRequest { request, body }));
    let Message::AdminReply(reply) = message else { panic!("no answer: {message:?}") };
    assert_eq!(reply.body, AdminAnswer::Done);
}

fn attach(world: &mut World) -> VdiskId {
    let answer = guest(world, GuestBody::Attach { name: name() });
    let GuestAnswer::Attached { vdisk, size } = answer else { panic!("not attached: {answer:?}") };
    assert_eq!(size.0, VDISK_CLUSTERS * CLUSTER_BYTES);
    vdisk
}

/// A change of [`CHANGES`].
fn change(world: &mut World, vdisk: VdiskId, (from, to, byte): (u64, u64, Option<u8>)) {
    let (offset, length) = (from * CLUSTER_BYTES, (to - from) * CLUSTER_BYTES);
    let body = match byte {
        Some(byte) => {
            let payload = Payload::entering(vec![byte; length as usize].into());
            GuestBody::Write { vdisk, offset, fua: false, payload }
        }
        None => GuestBody::Discard { vdisk, offset, length, fua: false },
    };
    assert_eq!(guest(world, body), GuestAnswer::Done);
}

/// What the vDisk holds after all changes: the byte of each cluster.
fn expected() -> Vec<u8> {
    let mut clusters = vec![0; VDISK_CLUSTERS as usize];
    for (from, to, byte) in CHANGES {
        clusters[from as usize..to as usize].fill(byte.unwrap_or(0));
    }
    clusters
}

/// Reads the whole vDisk: the byte of each cluster.
fn contents(world: &mut World, vdisk: VdiskId) -> Vec<u8> {
    let length = VDISK_CLUSTERS * CLUSTER_BYTES;
    let answer = guest(world, GuestBody::Read { vdisk, offset: 0, length });
    let GuestAnswer::Data(payload) = answer else { panic!("not read: {answer:?}") };
    let bytes = payload.contiguous();
    let clusters = bytes.chunks_exact(CLUSTER_BYTES as usize);
    let byte = |cluster: &[u8]| {
        assert!(cluster.iter().all(|byte| *byte == cluster[0]), "a cluster is of one piece");
        cluster[0]
    };
    clusters.map(byte).collect()
}

/// Makes a cluster, uses it, and drops it as it is.
fn make() -> World {
    let mut world = world(|node| identity(node).map_or_else(Vec::new, |own| roles::first_files(&own)));
    world.start(KV, 1);
    let value = registry::encode(&record());
    let command = KvCommand::Sequence(vec![KvStep::Set { key: registry::CLUSTER_KEY.to_vec(), value }]);
    let body = KvBody::Command { session: 1, sequence: 1, answered_below: 1, command };
    world.command(KV, &Message::Kv(KvRequest { request: 1, body }));
    start_others(&mut world, 1);
    let size = ByteCount(VDISK_CLUSTERS * CLUSTER_BYTES);
    operator(&mut world, AdminBody::CreateVdisk { name: name(), size });
    let vdisk = attach(&mut world);
    for (index, next) in CHANGES.into_iter().enumerate() {
        change(&mut world, vdisk, next);
        match index {
            1 | 2 => operator(&mut world, AdminBody::SyncVdisk { name: name() }),
            3 => assert_eq!(guest(&mut world, GuestBody::Flush { vdisk }), GuestAnswer::Done),
            _ => {}
        }
    }
    world.rest();
    assert_eq!(world.halts, []);
    world
}

fn versions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions")
}

/// The files of a node, as a version left them.
fn stored(version: &Path, node: NodeId) -> Files {
    let Some((_, folder)) = FOLDERS.iter().find(|(owner, _)| *owner == node) else { return Vec::new() };
    let entries = std::fs::read_dir(version.join(folder)).expect("every version has every folder");
    let mut files: Files = entries
        .map(|entry| {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
            (name.expect("a name of ours"), std::fs::read(path).expect("it can be read").into())
        })
        .collect();
    files.sort();
    files
}

fn open(files: impl Fn(NodeId) -> Files) -> World {
    let mut world = world(files);
    world.start(KV, 2);
    start_others(&mut world, 2);
    world
}

#[test]
fn the_newest_version_is_there() {
    let newest = versions().join(NEWEST);
    if newest.exists() || std::env::var_os("UPDATE").is_none() {
        assert!(newest.exists(), "UPDATE=1 cargo test -p simulator --test calm_world writes it");
        return;
    }
    let world = make();
    for (node, name) in FOLDERS {
        let folder = newest.join(name);
        std::fs::create_dir_all(&folder).expect("it can be read");
        for (file, contents) in world.folder(node).files() {
            std::fs::write(folder.join(file.as_str()), contents.live()).expect("it can be read");
        }
    }
}

#[test]
fn every_version_has_every_kind_of_file() {
    let kinds = ["identity", "log-", "snapshot-", "segment-", "checkpoint-", ".sco-", ".tlog-", ".map-"];
    for version in std::fs::read_dir(versions()).expect("it can be read") {
        let version = version.expect("it can be read").path();
        let files: Vec<(FileName, Bytes)> =
            FOLDERS.iter().flat_map(|(node, _)| stored(&version, *node)).collect();
        for kind in kinds {
            assert!(files.iter().any(|(name, _)| name.as_str().contains(kind)), "{version:?} has no {kind}");
        }
        let bytes: usize = files.iter().map(|(_, contents)| contents.len()).sum();
        assert!(bytes < 256 << 10, "{version:?} has {bytes} bytes");
    }
}

#[test]
fn every_version_opens() {
    for version in std::fs::read_dir(versions()).expect("it can be read") {
        let version = version.expect("it can be read").path();
        let mut world = open(|node| stored(&version, node));
        let vdisk = attach(&mut world);
        assert_eq!(contents(&mut world, vdisk), expected(), "{version:?}");
        // It can be used as well.
        change(&mut world, vdisk, (60, 64, Some(9)));
        operator(&mut world, AdminBody::SyncVdisk { name: name() });
        assert_eq!(contents(&mut world, vdisk)[60..], [9; 4]);
        assert_eq!(world.halts, []);
    }
}

/// Everything that nodes say keeps them from serving.
fn troubles(world: &mut World) -> Vec<String> {
    let mut said: Vec<String> = world.halts.iter().map(|(_, reason)| reason.clone()).collect();
    for node in [VOLUME_DRIVER, ASDS[0], ASDS[1]] {
        let request = world.next_request();
        let (message, _) = world.ask(node, Message::Admin(AdminRequest { request, body: AdminBody::Status }));
        let Message::AdminReply(reply) = message else { panic!("no answer: {message:?}") };
        match reply.body {
            AdminAnswer::Status(RoleStatus::Asd { serves, .. }) => {
                said.extend(serves.why_not().map(str::to_owned))
            }
            AdminAnswer::Status(RoleStatus::VolumeDriver { vdisks, .. }) => {
                let why = |vdisk: &VdiskStatus| vdisk.serves.why_not().map(str::to_owned);
                said.extend(vdisks.iter().filter_map(why));
            }
            other => panic!("another status: {other:?}"),
        }
    }
    said
}

/// A file as a newer program might have begun it: another version, under a check that holds. Journals have theirs
/// behind 60 bytes, over the page; SCOs behind 32, over what is before.
fn newer_file(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut newer = contents.to_vec();
    newer[8..10].copy_from_slice(&7_u16.to_le_bytes());
    if name.contains(".sco-") {
        let check = checksum::crc32c(&newer[..32]);
        newer[32..36].copy_from_slice(&check.to_le_bytes());
    } else if name != "identity" {
        newer[60..64].fill(0);
        let check = checksum::crc32c(&newer[..4096]);
        newer[60..64].copy_from_slice(&check.to_le_bytes());
    }
    newer
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let newest = versions().join(NEWEST);
    for (node, folder) in FOLDERS {
        for (file, contents) in stored(&newest, node) {
            let newer = newer_file(file.as_str(), &contents);
            if file.as_str() == "identity" {
                assert_eq!(Identity::decode(&contents), Ok(identity(node).expect("it has a folder")));
                assert_eq!(Identity::decode(&newer), Err(IdentityError::Newer(7)));
                continue;
            }
            let mut world = open(|of| {
                let mut files = stored(&newest, of);
                let forged = files.iter_mut().find(|(name, _)| of == node && *name == file);
                forged.into_iter().for_each(|(_, bytes)| *bytes = newer.clone().into());
                files
            });
            let said = troubles(&mut world).join("; ");
            assert!(said.contains("version 7"), "{folder}/{file}: {said}");
            let names_both = node != VOLUME_DRIVER || said.contains("knows up to 1;");
            assert!(names_both && said.contains(file.as_str()), "{folder}/{file}: {said}");
            for (name, bytes) in stored(&newest, node) {
                let now = world.folder(node).files().get(&name).expect("nothing is deleted").live().to_vec();
                assert!(name == file || now == bytes, "{folder}/{file} is newer, and {name} was changed");
            }
        }
    }
}

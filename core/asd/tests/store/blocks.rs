//! Reading blocks of fragments: the block and its entry, nothing else, and checked.

use bytes::Bytes;
use formats::fragment::{Geometry, KEY_BYTES, TableWriter, fragment_key, open_blocks};
use formats::message::asd::{AsdAnswer, AsdBody, AsdError};
use glossary::{AttemptId, FragmentId, NamespaceId, ObjectId};
use step::DiskOperation;

use crate::world::{World, config};

const RECORD_BYTES: u64 = 16;

fn id() -> FragmentId {
    FragmentId { object: ObjectId([4; 32]), chunk: 2, index: 1, attempt: AttemptId(77) }
}

fn geometry(clusters: u32) -> Geometry {
    Geometry::new(4, 2, 2, clusters).expect("a geometry")
}

/// A container, and the clusters in it.
fn container(clusters: u32) -> Vec<u8> {
    let mut table = TableWriter::new(id(), geometry(clusters));
    let mut blocks = Vec::new();
    for block in 0..geometry(clusters).blocks() {
        let mut plain = Vec::new();
        let in_block = geometry(clusters).clusters_of(block);
        let data: Vec<Vec<u8>> =
            (0..in_block).map(|cluster| vec![(block * 2 + cluster) as u8; 4096]).collect();
        data.iter().for_each(|cluster| plain.extend_from_slice(cluster));
        data.iter().for_each(|cluster| plain.extend_from_slice(&checksum::crc32c(cluster).to_le_bytes()));
        table.add(&[&plain]);
        blocks.extend_from_slice(&plain);
    }
    [table.finish(), blocks].concat()
}

fn key() -> Vec<u8> {
    fragment_key(NamespaceId(3), &id())
}

fn ask(world: &mut World, first: u32, count: u32) -> AsdAnswer {
    world.ask(AsdBody::ReadBlocks { key: key(), first, count })
}

/// Larger segments, so that a fragment is longer than what is read whole.
fn world(clusters: u32) -> World {
    let mut config = config();
    config.segment_bytes = 1 << 20;
    config.capacity.0 = 8 << 20;
    let mut world = World::serving(config);
    assert_eq!(world.put(&key(), &container(clusters)), AsdAnswer::Applied);
    world
}

#[test]
fn blocks_come_with_their_entries_and_open() {
    for clusters in [5, 41] {
        let mut world = world(clusters);
        let geometry = geometry(clusters);
        for (first, count) in [(0, 1), (1, 2), (0, geometry.blocks()), (geometry.blocks() - 1, 1)] {
            let AsdAnswer::Blocks { table, payload } = ask(&mut world, first, count) else {
                panic!("blocks")
            };
            let stored = payload.contiguous();
            let plain = open_blocks(&id(), &geometry, first, count, &table, stored).expect("blocks");
            let cluster = plain.clusters(first * 2, 1).expect("a cluster");
            assert!(cluster.verify());
            assert_eq!(cluster.contiguous(), Bytes::from(vec![(first * 2) as u8; 4096]));
        }
    }
}

#[test]
fn one_block_of_a_long_fragment_is_all_that_is_read() {
    let mut world = world(41);
    world.settle();
    world.turn(formats::Event::TurnEnd);
    let request = world.send(AsdBody::ReadBlocks { key: key(), first: 3, count: 1 });
    let expected = [8192, 2 * 4100];
    for length in expected {
        let [(_, DiskOperation::Read { length: asked, .. })] = &world.pending[..] else { panic!("a read") };
        assert_eq!(*asked, length);
        world.complete(0);
    }
    assert!(matches!(world.take_answer(request), Some(AsdAnswer::Blocks { .. })));
    assert_eq!((world.counter("read_blocks"), world.counter("reads")), (1, 1));
    assert_eq!(world.counter("read_bytes"), expected.iter().sum::<u64>());
    // From then on the head is known, and a block is one read.
    let request = world.send(AsdBody::ReadBlocks { key: key(), first: 5, count: 1 });
    let [(_, DiskOperation::Read { length, .. })] = world.pending[..] else { panic!("a read") };
    assert_eq!((length, world.counter("heads_known")), (2 * 4100, 1));
    world.complete(0);
    assert!(matches!(world.take_answer(request), Some(AsdAnswer::Blocks { .. })));
}

#[test]
fn blocks_that_are_not_there_are_invalid() {
    for clusters in [5, 41] {
        let mut world = world(clusters);
        let blocks = geometry(clusters).blocks();
        for (first, count) in
            [(blocks, 1), (0, blocks + 1), (0, 0), (u32::MAX, 1), (4_000_000, 4_096), (0, 4_097)]
        {
            assert_eq!(
                ask(&mut world, first, count),
                AsdAnswer::Failed(AsdError::Invalid),
                "{first} {count}"
            );
        }
        let body = AsdBody::ReadBlocks { key: b"other".to_vec(), first: 0, count: 1 };
        assert_eq!(world.ask(body), AsdAnswer::Failed(AsdError::Invalid));
        let other = fragment_key(NamespaceId(4), &id());
        let body = AsdBody::ReadBlocks { key: other, first: 0, count: 1 };
        assert_eq!(world.ask(body), AsdAnswer::Failed(AsdError::NotFound));
    }
}

#[test]
fn any_bit_that_rots_in_what_is_read_is_seen() {
    for clusters in [5, 41] {
        let mut world = world(clusters);
        let file =
            world.disk.names().into_iter().find(|name| name.as_str().starts_with("segment")).expect("one");
        let record = 4096 + 56;
        let container_at = record + RECORD_BYTES as usize + KEY_BYTES;
        let head = geometry(clusters).head_length() as usize;
        let mut places = vec![record + 3, record + 20, container_at + 60, container_at + 80 + 16 + 5];
        places.push(container_at + head + 2 * 4100 + 1000);
        for place in places {
            world.disk.rot(file, place * 8);
            let answer = ask(&mut world, 1, 1);
            assert_eq!(answer, AsdAnswer::Failed(AsdError::Damaged), "byte {place} of {clusters} clusters");
            world.disk.rot(file, place * 8);
        }
        assert!(matches!(ask(&mut world, 1, 1), AsdAnswer::Blocks { .. }));
    }
}

#[test]
fn a_container_under_another_fragments_key_is_not_given_out() {
    let mut world = world(41);
    let other = FragmentId { attempt: AttemptId(78), ..id() };
    let key = fragment_key(NamespaceId(3), &other);
    assert_eq!(world.put(&key, &container(41)), AsdAnswer::Applied);
    let body = AsdBody::ReadBlocks { key, first: 0, count: 1 };
    assert_eq!(world.ask(body), AsdAnswer::Failed(AsdError::Damaged));
}

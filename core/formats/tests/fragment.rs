//! The fragment container: golden bytes, round trips, and what happens to bytes that were changed.

use bytes::Bytes;
use formats::Payload;
use formats::fragment::{
    ENTRY_BYTES, FragmentError, Geometry, HEADER_BYTES, Header, Plaintext, TableWriter, check_blocks, decode,
    fragment_key, locate, namespace_prefix, open_blocks, parse_fragment_key, table_range,
};
use glossary::{AttemptId, FragmentId, NamespaceId, ObjectId, Policy};
use proptest::prelude::*;

const CLUSTER: usize = 4096;

/// Index 0 exists in every shape.
fn id() -> FragmentId {
    FragmentId { index: 0, ..third() }
}

fn third() -> FragmentId {
    let attempt = AttemptId(0x0807_0605_0403_0201);
    FragmentId { object: ObjectId([0xab; 32]), chunk: 0x0102, index: 3, attempt }
}

/// The plaintext blocks of a fragment whose clusters all differ.
fn plain_blocks(geometry: &Geometry, salt: u8) -> Vec<Vec<u8>> {
    let mut next = 0_u32;
    let block = |block| {
        let (mut clusters, mut crcs) = (Vec::new(), Vec::new());
        for _ in 0..geometry.clusters_of(block) {
            let cluster: Vec<u8> = (0..CLUSTER).map(|i| (i / 7) as u8 ^ (next as u8) ^ salt).collect();
            crcs.extend_from_slice(&checksum::crc32c(&cluster).to_le_bytes());
            clusters.extend_from_slice(&cluster);
            next += 1;
        }
        [clusters, crcs].concat()
    };
    (0..geometry.blocks()).map(block).collect()
}

fn container(id: FragmentId, geometry: Geometry, salt: u8) -> Vec<u8> {
    let blocks = plain_blocks(&geometry, salt);
    let mut table = TableWriter::new(id, geometry);
    for block in &blocks {
        // Pieces as they come from shared data: clusters, then checksums.
        let (clusters, crcs) = block.split_at(block.len() / 4100 * 4096);
        table.add(&[clusters, crcs]);
    }
    [table.finish(), blocks.concat()].concat()
}

#[test]
fn golden_bytes_of_version_1() {
    let geometry = Geometry::new(4, 2, 2, 3).expect("it can be");
    let bytes = container(third(), geometry, 0);
    let mut expected = b"OVSFRAGM\x01\x00\x00\x00".to_vec();
    expected.extend_from_slice(&0x7428_d9d0_u32.to_le_bytes());
    expected.extend_from_slice(&[0xab; 32]);
    expected.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 3, 4, 2, 0, 2, 0, 3, 0, 0, 0, 2, 0, 0, 0]);
    expected.extend_from_slice(&(80 + 2 * 16 + 3 * 4100_u32).to_le_bytes());
    expected.extend_from_slice(&[0; 4]);
    for (offset, length, check) in [(112_u32, 8200_u32, 0x261a_134f_u32), (112 + 8200, 4100, 0x18b0_582a)] {
        expected.extend_from_slice(&offset.to_le_bytes());
        expected.extend_from_slice(&length.to_le_bytes());
        expected.extend_from_slice(&[0; 4]);
        expected.extend_from_slice(&check.to_le_bytes());
    }
    assert_eq!(&bytes[..112], &expected[..], "head");
    assert_eq!(bytes[112..], plain_blocks(&geometry, 0).concat());
    assert_eq!(bytes.len(), geometry.plain_total() as usize);
}

#[test]
fn the_check_of_a_block_covers_what_the_module_says() {
    let geometry = Geometry::new(2, 2, 1, 1).expect("it can be");
    let bytes = container(third(), geometry, 9);
    let stored = &bytes[96..];
    let mut covered = vec![0xab; 32];
    covered.extend_from_slice(&[2, 1, 3, 1, 2, 3, 4, 5, 6, 7, 8]);
    covered.extend_from_slice(&[0, 0, 0, 0, 0, 0, 4, 16, 0, 0, 4, 16, 0, 0]);
    covered.extend_from_slice(&stored[4096..]);
    covered.extend_from_slice(stored);
    assert_eq!(bytes[92..96], checksum::crc32c(&covered).to_le_bytes());
}

#[test]
fn another_cluster_with_its_own_checksum_does_not_pass() {
    // A CRC over bytes and their CRC is a constant: the check must not fall for it, even where a block is
    // one cluster.
    for clusters in 1..=5 {
        let geometry = Geometry::new(2, 1, 4, clusters).expect("it can be");
        let (ours, theirs) = (container(id(), geometry, 0), container(id(), geometry, 1));
        let head = geometry.head_length() as usize;
        let mixed = [&ours[..head], &theirs[head..]].concat();
        assert!(matches!(decode(&mixed.into()), Err(FragmentError::Block { block: 0 })), "{clusters}");
    }
}

#[test]
fn impossible_shapes_are_refused() {
    for (k, m, block_clusters, clusters) in
        [(0, 2, 4, 8), (30, 3, 4, 8), (255, 255, 4, 8), (4, 2, 0, 8), (4, 2, 4, 0), (4, 2, 4, u32::MAX)]
    {
        assert_eq!(Geometry::new(k, m, block_clusters, clusters), None);
    }
    let largest = (1_u32..).map(|n| n * 1024).take_while(|n| Geometry::new(1, 0, 1, *n).is_some()).last();
    let largest = Geometry::new(1, 0, 1, largest.expect("some fit")).expect("it fits");
    assert!(u64::from(largest.plain_total()) == largest.head_length() + u64::from(largest.clusters()) * 4100);
    let fragments = Policy::MAX_FRAGMENTS;
    assert!(Geometry::new(fragments - 1, 1, u16::MAX, 1).is_some());
}

#[test]
fn other_files_newer_versions_and_other_attempts_are_told_apart() {
    let geometry = Geometry::new(4, 2, 2, 3).expect("it can be");
    let good = container(id(), geometry, 0);
    assert_eq!(Header::decode(b"#!/bin/sh"), Err(FragmentError::Foreign));
    assert_eq!(Header::decode(&good[..79]), Err(FragmentError::Length));
    let mut newer = good.clone();
    newer[8] = 2;
    assert_eq!(Header::decode(&newer), Err(FragmentError::Newer(2)));
    let other = FragmentId { attempt: AttemptId(5), ..id() };
    let located = locate(&good[..112], 0, 2).expect("good");
    let (table, blocks) = (&good[80..112], &good[112..]);
    assert_eq!(located.blocks, 112..good.len() as u64);
    assert_eq!(check_blocks(&id(), &located.header, 0, table, blocks), Ok(()));
    assert_eq!(check_blocks(&other, &located.header, 0, table, blocks), Err(FragmentError::Identity));
    let blocks = Bytes::copy_from_slice(blocks);
    assert_eq!(open_blocks(&other, &geometry, 0, 2, table, blocks), Err(FragmentError::Block { block: 0 }));
}

#[test]
fn unknown_flags_are_refused() {
    let geometry = Geometry::new(1, 0, 1, 1).expect("it can be");
    for bit in 0..32 {
        let mut bytes = container(id(), geometry, 0);
        bytes[HEADER_BYTES + 8 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(locate(&bytes, 0, 1), Err(FragmentError::Table { block: 0 }));
        assert_eq!(decode(&bytes.into()), Err(FragmentError::Table { block: 0 }));
    }
}

#[test]
fn keys_sort_by_namespace_and_object_and_read_back() {
    let key = fragment_key(NamespaceId(7), &third());
    let mut expected = b"f\0\0\0\0\0\0\0\x07".to_vec();
    expected.extend_from_slice(&[0xab; 32]);
    expected.extend_from_slice(&[1, 2, 3, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(key, expected);
    assert!(key.starts_with(&namespace_prefix(NamespaceId(7))));
    assert_eq!(parse_fragment_key(&key), Some((NamespaceId(7), third())));
    assert_eq!(parse_fragment_key(&key[1..]), None);
    assert_eq!(parse_fragment_key(&[b"g", &key[1..]].concat()), None);
    assert_eq!(parse_fragment_key(&[&key[..], b"x"].concat()), None);
}

fn geometries() -> impl Strategy<Value = Geometry> {
    (1_u8..9, 0_u8..5, 1_u16..6, 1_u32..12).prop_filter_map("k + m", |(k, m, b, c)| Geometry::new(k, m, b, c))
}

proptest! {
    #[test]
    fn what_was_put_in_comes_out(geometry in geometries(), salt: u8, from in 0_u32..12, count in 1_u32..12) {
        let bytes = Bytes::from(container(id(), geometry, salt));
        let (header, plain) = decode(&bytes).expect("whole");
        prop_assert_eq!(header, Header { id: id(), geometry });
        let all: Vec<u8> = plain_blocks(&geometry, salt)
            .iter()
            .flat_map(|block| block[..block.len() / 4100 * 4096].to_vec())
            .collect();
        let clusters = plain.clusters(from, count);
        prop_assert_eq!(clusters.is_some(), from + count <= geometry.clusters());
        if let Some(clusters) = clusters {
            prop_assert!(clusters.verify());
            let range = from as usize * CLUSTER..(from + count) as usize * CLUSTER;
            prop_assert_eq!(clusters.contiguous(), &all[range]);
        }
    }

    #[test]
    fn some_blocks_are_as_good_as_all(geometry in geometries(), first in 0_u32..12, count in 1_u32..12) {
        let bytes = Bytes::from(container(id(), geometry, 0));
        let head = &bytes[..bytes.len().min(table_range(first, count).end as usize)];
        let located = locate(head, first, count);
        prop_assert_eq!(located.is_ok(), geometry.has_blocks(first, count));
        if let Ok(located) = located {
            let part = |range: core::ops::Range<u64>| bytes.slice(range.start as usize..range.end as usize);
            let (table, blocks) = (part(located.table), part(located.blocks));
            prop_assert_eq!(check_blocks(&id(), &located.header, first, &table, &blocks), Ok(()));
            let plain = open_blocks(&id(), &geometry, first, count, &table, blocks.clone());
            prop_assert_eq!(plain, Ok(Plaintext::new(geometry, first, count, blocks).expect("fits")));
        }
    }

    #[test]
    fn every_changed_bit_is_seen(geometry in geometries(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = container(id(), geometry, 0);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(decode(&bytes.clone().into()).is_err());
        let head = geometry.head_length() as usize;
        if place >= HEADER_BYTES {
            // What a client gets: entries and blocks, held against what the manifest says.
            let stored = Bytes::copy_from_slice(&bytes[head..]);
            let blocks = geometry.blocks();
            let opened = open_blocks(&id(), &geometry, 0, blocks, &bytes[HEADER_BYTES..head], stored);
            prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn blocks_in_the_wrong_place_are_seen(a in 0_u32..3, b in 0_u32..3) {
        let geometry = Geometry::new(2, 1, 1, 3).expect("it can be");
        let bytes = Bytes::from(container(id(), geometry, 0));
        let head = geometry.head_length() as usize;
        let at = |n: u32| head + n as usize * 4100;
        let entry = |n: u32| &bytes[table_range(n, 1).start as usize..][..ENTRY_BYTES];
        // The entry of one block with the bytes of another, and whole blocks asked for under another number.
        let bytes_of_b = bytes.slice(at(b)..at(b + 1));
        prop_assert_eq!(open_blocks(&id(), &geometry, a, 1, entry(a), bytes_of_b.clone()).is_ok(), a == b);
        prop_assert_eq!(open_blocks(&id(), &geometry, a, 1, entry(b), bytes_of_b).is_ok(), a == b);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), first: u32, count: u32, real: bool) {
        if real {
            // A good header before garbage gets further.
            let header = Header { id: id(), geometry: Geometry::new(2, 1, 1, 3).expect("it can be") };
            bytes.splice(0..0, header.encode());
        }
        let _ = decode(&Bytes::from(bytes.clone()));
        let _ = locate(&bytes, first, count);
        let _ = locate(&bytes, first % 4, count % 4);
        let geometry = Geometry::new(2, 1, 1, 3).expect("it can be");
        let _ = open_blocks(&id(), &geometry, first, count, &bytes, Bytes::from(bytes.clone()));
        let _ = open_blocks(&id(), &geometry, first % 4, count % 4, &bytes[..bytes.len().min(16)], Bytes::new());
        let _ = parse_fragment_key(&bytes);
        let plain = Plaintext::new(geometry, 0, 3, vec![0; 3 * 4100].into()).expect("fits");
        let _: Option<Payload> = plain.clusters(first, count);
    }

    #[test]
    fn a_header_with_a_check_but_without_sense_is_refused(at in 16_usize..HEADER_BYTES, value: u8) {
        let header = Header { id: id(), geometry: Geometry::new(2, 2, 1, 3).expect("it can be") };
        let mut bytes = header.encode();
        bytes[at] = value;
        bytes[12..16].fill(0);
        let check = checksum::crc32c(&bytes);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        if let Ok(read) = Header::decode(&bytes) {
            prop_assert!(read.id.index < read.geometry.k() + read.geometry.m());
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}

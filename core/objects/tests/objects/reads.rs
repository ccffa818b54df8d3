//! Reads: one block for a cluster, any k of k + m, and never a wrong byte.

use core::time::Duration;

use bytes::Bytes;
use formats::fragment::{TableWriter, decode};
use formats::message::admin::OsdState;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use glossary::OsdId;

use crate::world::{NAMESPACE, World, bytes_of, data, get, put, sco};

fn failed(error: ObjectError) -> ObjectAnswer {
    ObjectAnswer::Failed(error)
}

/// A world with one object of 16 clusters: one chunk, 4 fragments of 4 clusters, 2 of parity.
fn stored(seed: u64) -> (World, Bytes) {
    let mut world = World::new(6, &["4,2,6,1"], seed);
    let bytes = data(16, seed);
    let answer = world.ask(put(sco(1), &bytes));
    assert!(matches!(answer, ObjectAnswer::Stored { spare: 2, .. }));
    (world, bytes)
}

/// The ASD that holds a fragment of the object, and its key there.
fn place_of(world: &World, index: usize) -> (usize, Vec<u8>) {
    let placed = world.kv.manifests[&(NAMESPACE, sco(1))].chunks[0][index].expect("it is stored");
    let (key, osd) = world.named().into_iter().find(|(_, osd)| *osd == placed.osd).expect("it is named");
    (osd.0 as usize, key)
}

fn damage(world: &mut World, index: usize, at: usize) {
    let (asd, key) = place_of(world, index);
    let value = world.asds[asd].values.get_mut(&key).expect("it is there");
    let mut bytes = value.to_vec();
    let at = at % bytes.len();
    bytes[at] ^= 0x10;
    *value = bytes.into();
}

#[test]
fn four_kilobytes_move_one_block() {
    let (mut world, bytes) = stored(1);
    let before = world.counter("bytes_from_asds");
    assert_eq!(bytes_of(&world.ask(get(sco(1), 6, 1))), bytes.slice(6 * 4096..7 * 4096));
    let reads: Vec<_> = world.asds.iter().flat_map(|asd| asd.reads.clone()).collect();
    assert_eq!(reads, [(1, 1)], "cluster 6 is in the second block of the second fragment");
    assert_eq!(world.asds.iter().map(|asd| asd.bytes_read).sum::<usize>(), 2 * 4100);
    assert_eq!(world.counter("bytes_from_asds") - before, 2 * 4100);
    assert_eq!(world.counter("blocks_read"), 1);
}

#[test]
fn blocks_of_one_fragment_come_with_one_request() {
    let (mut world, bytes) = stored(2);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 1, 9))), bytes.slice(4096..10 * 4096));
    let mut reads: Vec<_> = world.asds.iter().flat_map(|asd| asd.reads.clone()).collect();
    reads.sort_unstable();
    assert_eq!(reads, [(0, 1), (0, 2), (0, 2)]);
}

#[test]
fn any_two_osds_may_be_gone() {
    let (mut world, bytes) = stored(3);
    for first in 0..6 {
        for second in first + 1..6 {
            for (index, asd) in world.asds.iter_mut().enumerate() {
                asd.dead = index == first || index == second;
            }
            assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes, "{first} {second}");
            world.asds.iter_mut().for_each(|asd| asd.dead = false);
            world.run_for(Duration::from_secs(120));
        }
    }
    assert!(world.counter("reconstructs") > 0);
}

#[test]
fn any_two_fragments_may_be_missing_and_a_third_is_told() {
    let (mut world, bytes) = stored(4);
    for index in [1, 5] {
        let (asd, key) = place_of(&world, index);
        world.asds[asd].values.remove(&key);
    }
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes);
    assert_eq!(world.counter("reconstructs"), 1);
    let (asd, key) = place_of(&world, 2);
    world.asds[asd].values.remove(&key);
    assert_eq!(world.ask(get(sco(1), 4, 1)), failed(ObjectError::Lost));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 4))), bytes.slice(..4 * 4096), "the rest can be read");
}

#[test]
fn a_missing_fragment_is_asked_for_last_from_then_on() {
    let (mut world, bytes) = stored(21);
    let mut lost = Vec::new();
    for index in [1, 2] {
        let (asd, key) = place_of(&world, index);
        world.asds[asd].values.remove(&key);
        lost.push(asd);
    }
    let asked = |world: &World| lost.iter().map(|asd| world.asds[*asd].reads.len()).sum::<usize>();
    for round in 0..5 {
        assert_eq!(bytes_of(&world.ask(get(sco(1), 4, 8))), bytes.slice(4 * 4096..12 * 4096));
        assert_eq!((round, asked(&world)), (round, asked(&world).min(4)), "asked once for each cut at most");
    }
    let before = asked(&world);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes);
    assert_eq!((asked(&world), world.counter("missing_fragments")), (before, before as u64));
    // What is known as missing is asked all the same when there is no other way.
    let (asd, key) = place_of(&world, 4);
    world.asds[asd].values.remove(&key);
    assert_eq!(world.ask(get(sco(1), 4, 1)), failed(ObjectError::Lost));
    assert!(asked(&world) > before);
}

#[test]
fn damage_is_an_erasure_wherever_it_is() {
    for careless in [false, true] {
        for at in [0, 20, 60, 82, 95, 100, 4000, 8290, 8300, 8310, 12_000] {
            let (mut world, bytes) = stored(at as u64);
            world.asds.iter_mut().for_each(|asd| asd.careless = careless);
            damage(&mut world, 0, at);
            damage(&mut world, 4, at);
            assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes, "{at}");
        }
    }
}

#[test]
fn damage_beyond_parity_is_an_error_and_never_a_wrong_byte() {
    let (mut world, _) = stored(6);
    world.asds.iter_mut().for_each(|asd| asd.careless = true);
    // In the first block of three fragments.
    for index in [0, 3, 5] {
        damage(&mut world, index, 5000);
    }
    assert_eq!(world.ask(get(sco(1), 0, 1)), failed(ObjectError::Lost));
    assert!(world.counter("damaged_blocks") >= 3);
}

/// Changes the first cluster of a fragment before its container is made: all checks of the container hold.
fn store_wrongly(world: &mut World, index: usize) {
    let (asd, key) = place_of(world, index);
    let (header, plain) = decode(&world.asds[asd].values[&key]).expect("it is whole");
    let mut bytes = plain.bytes().to_vec();
    bytes[10] ^= 1;
    let mut table = TableWriter::new(header.id, header.geometry);
    for block in 0..header.geometry.blocks() {
        let range = header.geometry.plain_range(block, 1);
        table.add(&[&bytes[range.start as usize..range.end as usize]]);
    }
    world.asds[asd].values.insert(key, [table.finish(), bytes].concat().into());
}

#[test]
fn clusters_are_held_against_the_checksums_they_entered_with() {
    let (mut world, bytes) = stored(16);
    store_wrongly(&mut world, 0);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes);
    assert_eq!(world.counter("damaged_blocks"), 1);
}

#[test]
fn parity_that_was_coded_wrong_is_found_out() {
    let (mut world, bytes) = stored(17);
    store_wrongly(&mut world, 4);
    let (asd, key) = place_of(&world, 0);
    world.asds[asd].values.remove(&key);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes, "the other parity is right");
    let (asd, key) = place_of(&world, 5);
    world.asds[asd].values.remove(&key);
    assert_eq!(world.ask(get(sco(1), 0, 1)), failed(ObjectError::Lost), "and no wrong byte without it");
}

#[test]
fn a_fragment_in_the_place_of_another_is_seen() {
    let (mut world, bytes) = stored(7);
    world.asds.iter_mut().for_each(|asd| asd.careless = true);
    let answer = world.ask(put(sco(2), &data(16, 99)));
    assert!(matches!(answer, ObjectAnswer::Stored { .. }));
    // The disk returns what it has of the other object.
    let (asd, key) = place_of(&world, 0);
    let other = world.asds[asd].values.iter().find(|(other, _)| **other != key).expect("it has both");
    let other = other.1.clone();
    world.asds[asd].values.insert(key, other);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 4))), bytes.slice(..4 * 4096));
    assert_eq!(world.counter("damaged_blocks"), 1);
}

#[test]
fn a_late_fragment_is_decoded_from_others_meanwhile() {
    let (mut world, bytes) = stored(8);
    let (asd, _) = place_of(&world, 0);
    world.asds[asd].dead = true;
    let asked_at = world.now;
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 1))), bytes.slice(..4096));
    assert!(world.now.since(asked_at) < Duration::from_millis(25), "it waited for the hedge alone");
    assert_eq!((world.counter("hedges"), world.counter("reconstructs")), (1, 1));
}

#[test]
fn silence_is_not_loss() {
    let (mut world, bytes) = stored(9);
    for index in [0, 1, 2] {
        let (asd, _) = place_of(&world, index);
        world.asds[asd].dead = true;
    }
    assert_eq!(world.ask(get(sco(1), 0, 16)), failed(ObjectError::Unavailable));
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), failed(ObjectError::Unavailable));
    assert_eq!(world.status().0.iter().filter(|(_, state)| *state == OsdState::Down).count(), 3);
    world.run_for(Duration::from_secs(600));
    world.asds.iter_mut().for_each(|asd| asd.dead = false);
    let revived_at = world.now;
    assert_eq!(bytes_of(&world.insist(get(sco(1), 0, 16))), bytes);
    assert!(world.now.since(revived_at) < Duration::from_secs(5), "whoever asks has them asked soon");
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), ObjectAnswer::Redundancy { spare: 2 });
}

#[test]
fn redundancy_counts_osds_that_answer_even_when_nobody_reads() {
    let (mut world, _) = stored(10);
    world.asds[3].dead = true;
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), ObjectAnswer::Redundancy { spare: 1 });
    assert_eq!(world.status().0[3], (OsdId(3), OsdState::Down));
    world.run_for(Duration::from_secs(600));
    world.asds[3].dead = false;
    world.run_for(Duration::from_secs(61));
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), ObjectAnswer::Redundancy { spare: 2 });
    // The pauses have grown while it was away; once it is back it is looked after as before.
    world.asds[3].dead = true;
    world.run_for(Duration::from_secs(12));
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(1) }), ObjectAnswer::Redundancy { spare: 1 });
}

#[test]
fn filling_needs_no_read() {
    // 5 clusters in fragments of 2: the fourth is nothing but filling, so three others are enough.
    let mut world = World::new(6, &["4,2,6,1"], 11);
    let bytes = data(5, 1);
    world.ask(put(sco(1), &bytes));
    for index in [0, 3, 4] {
        let (asd, key) = place_of(&world, index);
        world.asds[asd].values.remove(&key);
    }
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 5))), bytes, "three of six are gone, and one is known");
}

#[test]
fn replication_is_a_code_too() {
    let mut world = World::new(3, &["1,2,3,1"], 12);
    let bytes = data(9, 1);
    world.ask(put(sco(1), &bytes));
    world.asds[0].dead = true;
    world.asds[1].dead = true;
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 9))), bytes);
}

#[test]
fn what_is_not_there_is_told() {
    let (mut world, _) = stored(13);
    assert_eq!(world.ask(get(sco(2), 0, 1)), failed(ObjectError::NotFound));
    assert_eq!(world.ask(get(sco(1), 16, 1)), failed(ObjectError::Condition));
    assert_eq!(world.ask(get(sco(1), u64::MAX / 4096, 1)), failed(ObjectError::Condition));
    let odd = ObjectBody::Get { name: sco(1), offset: 512, length: 4096 };
    assert_eq!(world.ask(odd), failed(ObjectError::Condition));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 3, 0))), Bytes::new());
    assert_eq!(world.ask(ObjectBody::Redundancy { name: sco(2) }), failed(ObjectError::NotFound));
}

#[test]
fn a_manifest_that_is_out_of_date_is_asked_for_again() {
    let (mut world, bytes) = stored(14);
    bytes_of(&world.ask(get(sco(1), 0, 1)));
    // Somebody moves three fragments to each other's places and says so.
    let moved: Vec<_> = [0, 1, 2].map(|index| place_of(&world, index)).into();
    let values: Vec<_> =
        moved.iter().map(|(asd, key)| world.asds[*asd].values.remove(key).expect("there")).collect();
    let manifest = world.kv.manifests.get_mut(&(NAMESPACE, sco(1))).expect("there");
    for index in 0..3 {
        let (target, (_, key)) = (moved[(index + 1) % 3].0, &moved[index]);
        world.asds[target].values.insert(key.clone(), values[index].clone());
        manifest.chunks[0][index].as_mut().expect("there").osd = OsdId(target as u32);
    }
    manifest.revision += 1;
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes);
    // And one that is gone is gone.
    world.kv.manifests.clear();
    world.asds.iter_mut().for_each(|asd| asd.values.clear());
    assert_eq!(world.ask(get(sco(1), 0, 1)), failed(ObjectError::NotFound));
}

#[test]
fn many_reads_at_once_wait_for_their_turn() {
    let mut config = crate::world::config(6);
    config.settings.reads_in_flight_max = 3;
    config.settings.read_bytes_in_flight_max = glossary::ByteCount(2 * 4096);
    let mut world = World::with_config(config, &["4,2,6,1"], 15);
    let bytes = data(16, 1);
    world.ask(put(sco(1), &bytes));
    world.restart();
    let requests: Vec<u64> = (0..50).map(|n| world.send(NAMESPACE, get(sco(1), n % 16, 1))).collect();
    for (request, cluster) in requests.into_iter().zip((0..50).map(|n| n % 16 * 4096)) {
        assert_eq!(bytes_of(&world.wait(request)), bytes.slice(cluster..cluster + 4096));
    }
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), bytes, "more than the bound, alone");
}

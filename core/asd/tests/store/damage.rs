//! Starts on what was damaged: what is kept, and when it doesn't serve (PROTOCOLS L3).

use formats::message::asd::{AsdAnswer, AsdError, Purpose};
use step::{DiskOperation, Entropy, FileName};

use crate::starts::{all_there, compacted, files, grown};
use crate::world::{World, apply, config, value_of};

#[test]
fn the_older_checkpoint_stands_in_for_the_newer() {
    for name in ["checkpoint-a", "checkpoint-b"] {
        let mut world = compacted();
        let name = FileName::parse(name).expect("a name");
        world.disk.rot(name, 8 * (4096 + 100));
        world.restart();
        all_there(&mut world, 20..30);
        // The next checkpoint replaces the damaged one.
        for number in 100..130_u32 {
            assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
        }
        world.rest();
        world.restart();
        assert_eq!(world.keys().len(), 40);
    }
}

#[test]
fn without_checkpoints_the_whole_log_tells_all() {
    let mut world = grown();
    for name in files(&world, "checkpoint") {
        world.disk.rot(name, 8 * 4096);
    }
    world.restart();
    all_there(&mut world, 0..30);
}

#[test]
fn without_checkpoints_a_part_of_the_log_is_not_taken_for_all() {
    for is_missing in [false, true] {
        let mut world = compacted();
        for name in files(&world, "checkpoint") {
            if is_missing {
                world.disk.remove(name);
            } else {
                world.disk.rot(name, 8 * 4096);
            }
        }
        world.restart();
        let trouble = world.trouble().expect("trouble");
        assert!(trouble.starts_with("not serving"), "{trouble}");
        assert_eq!(world.get(&25_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::Stopped));
        assert_eq!(world.put(b"k", b"v"), AsdAnswer::Failed(AsdError::Stopped));
    }
}

#[test]
fn without_checkpoints_the_log_must_begin_with_its_first_segment() {
    let mut world = grown();
    for number in 0..5_u32 {
        assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
    }
    world.rest();
    let sequences: Vec<String> = files(&world, "segment").iter().map(|name| name.to_string()).collect();
    assert!(sequences[0].ends_with("02") && sequences.last().is_some_and(|last| last.ends_with("07")));
    assert_eq!(sequences.len(), 6, "only the first is gone");
    files(&world, "checkpoint").into_iter().for_each(|name| world.disk.remove(name));
    world.restart();
    let why =
        "not serving: no checkpoint is whole, and the segments before segment-0000000000000002 are gone";
    assert_eq!(world.trouble().as_deref(), Some(why));
}

#[test]
fn checkpoints_without_segments_are_damage() {
    let mut world = grown();
    for name in files(&world, "segment") {
        world.disk.remove(name);
    }
    for _ in 0..2 {
        world.restart();
        assert!(world.trouble().is_some());
        assert!(files(&world, "segment").is_empty(), "nothing is begun anew");
        files(&world, "checkpoint").into_iter().for_each(|name| world.disk.rot(name, 8 * 4096));
    }
}

#[test]
fn a_missing_old_segment_damages_its_keys_and_no_others() {
    let mut world = grown();
    let oldest = files(&world, "segment")[0];
    world.disk.remove(oldest);
    for _ in 0..2 {
        world.restart();
        assert_eq!(world.trouble(), None);
        assert_eq!(world.keys().len(), 30);
        let damaged = |world: &mut World| {
            let read = |n: &u32| world.get(&n.to_be_bytes()) == AsdAnswer::Failed(AsdError::Damaged);
            (0..30_u32).filter(read).count()
        };
        assert_eq!(damaged(&mut world), 5);
        world.rest();
    }
    // Putting it again heals a key, and a damaged one can be deleted.
    assert_eq!(world.put(&0_u32.to_be_bytes(), &[0; 12_000]), AsdAnswer::Applied);
    assert_eq!(world.delete(&1_u32.to_be_bytes()), AsdAnswer::Applied);
    world.restart();
    assert_eq!(value_of(&world.get(&0_u32.to_be_bytes())).map(|value| value.len()), Some(12_000));
    assert_eq!(world.get(&1_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::NotFound));
    assert_eq!(world.get(&2_u32.to_be_bytes()), AsdAnswer::Failed(AsdError::Damaged));
}

#[test]
fn a_missing_new_segment_is_damage() {
    let mut world = grown();
    let names = files(&world, "segment");
    world.disk.remove(names[names.len() - 2]);
    world.restart();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")));
}

#[test]
fn rot_in_the_newest_header_is_no_torn_creation() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"k", b"v"), AsdAnswer::Applied);
    world.rest();
    let newest = *files(&world, "segment").last().expect("one");
    world.disk.rot(newest, 8 * 40);
    world.restart();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")), "{:?}", world.trouble());
}

#[test]
fn a_checkpoint_knows_how_far_the_log_was_synced() {
    let mut world = World::serving(config());
    let checkpoints = |world: &mut World| world.counter("checkpoints");
    let mut number = 0_u32;
    while checkpoints(&mut world) == 0 {
        assert_eq!(world.put(&number.to_be_bytes(), &[number as u8; 12_000]), AsdAnswer::Applied);
        number += 1;
    }
    // The last batch has no mark behind it, but the checkpoint was completed after its sync.
    let newest = *files(&world, "segment").last().expect("one");
    let length = world.disk.bytes(newest).len();
    let whole = world.disk.clone();
    world.disk.rot(newest, 8 * (length - 12_288 + 8000));
    world.restart();
    let last = world.get(&(number - 1).to_be_bytes());
    assert_eq!(last, AsdAnswer::Failed(AsdError::Damaged), "no tail: the value was synced once");
    let mut world = World::on(config(), whole);
    world.disk.rot(newest, 8 * (length - 12_288 + 60));
    world.start();
    assert!(world.trouble().is_some_and(|why| why.contains("damaged or missing")), "{:?}", world.trouble());
}

#[test]
fn whatever_the_files_hold_it_starts_or_says_why() {
    let whole = compacted().disk;
    let mut entropy = Entropy::new([5; 32]);
    let mut served = 0;
    for _ in 0..300 {
        let mut world = World::on(config(), whole.clone());
        for _ in 0..=entropy.below(2) {
            let names = world.disk.names();
            let file = names[entropy.below(names.len() as u64) as usize];
            let length = world.disk.bytes(file).len() as u64;
            let at = entropy.below(length);
            if entropy.below(3) == 0 {
                world.disk.truncate(file, at as usize);
            } else {
                let bytes: Vec<u8> = (0..entropy.below(9000)).map(|_| entropy.next_u64() as u8).collect();
                let write = DiskOperation::Write { file, offset: at, pieces: vec![bytes.into()] };
                world.disk.execute(&write).expect("written");
            }
        }
        world.start();
        if world.trouble().is_none() {
            served += 1;
            assert_eq!(world.keys().len(), 10);
            for number in 20..30_u32 {
                match world.get(&number.to_be_bytes()) {
                    AsdAnswer::Failed(AsdError::Damaged) => {}
                    answer => assert_eq!(value_of(&answer).expect("a value"), vec![number as u8; 12_000]),
                }
                assert_eq!(world.delete(&number.to_be_bytes()), AsdAnswer::Applied);
            }
            world.rest();
            world.restart();
            assert_eq!(world.trouble(), None);
            assert!(world.keys().is_empty());
        }
    }
    assert!((30..270).contains(&served), "{served} of 300 served");
}

/// Serves three keys in three batches, of which the first also deletes a fourth; the last has its mark.
fn three() -> (World, FileName) {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"gone", b"gone"), AsdAnswer::Applied);
    let first =
        apply(Purpose::Guest, &[], &[(b"a", Some(&[1; 9000])), (b"gone", None), (b"A", Some(&[2; 70]))]);
    assert_eq!(world.ask(first), AsdAnswer::Applied);
    assert_eq!(world.put(b"b", &[3; 9000]), AsdAnswer::Applied);
    assert_eq!(world.put(b"c", &[4; 9000]), AsdAnswer::Applied);
    world.rest();
    let newest = *files(&world, "segment").last().expect("one");
    (world, newest)
}

/// Where in the file a value's bytes are.
fn place_of(world: &World, file: FileName, value: &[u8]) -> usize {
    world.disk.bytes(file).windows(value.len()).position(|bytes| bytes == value).expect("it is there")
}

#[test]
fn a_rotten_value_since_the_checkpoint_is_damaged_and_the_rest_serves() {
    for (rotten, value) in [(&b"a"[..], [1; 9000]), (b"b", [3; 9000]), (b"c", [4; 9000])] {
        let (mut world, file) = three();
        let at = place_of(&world, file, &value);
        world.disk.rot(file, 8 * (at + 5000));
        for _ in 0..3 {
            world.restart();
            assert_eq!(world.trouble(), None);
            assert_eq!(world.counter("damaged_values"), 1);
            assert_eq!(
                world.keys(),
                [&b"A"[..], b"a", b"b", b"c"],
                "forgets none, and what is gone stays gone"
            );
            assert_eq!(world.get(b"A"), AsdAnswer::Value(formats::Payload::entering(vec![2; 70].into())));
            for (key, content) in [(&b"a"[..], 1), (b"b", 3), (b"c", 4)] {
                let answer = world.get(key);
                if key == rotten {
                    assert_eq!(answer, AsdAnswer::Failed(AsdError::Damaged));
                } else {
                    assert_eq!(value_of(&answer).expect("a value"), vec![content; 9000]);
                }
            }
            world.rest();
        }
        // Another content is refused still; the same heals it, for good.
        assert_eq!(world.put(rotten, &[9; 9000]), AsdAnswer::Failed(AsdError::Invalid));
        assert_eq!(world.put(rotten, &value), AsdAnswer::Applied);
        world.restart();
        assert_eq!(value_of(&world.get(rotten)).expect("a value"), value.to_vec());
        assert_eq!(world.counter("damaged_values"), 0);
    }
}

#[test]
fn a_rotten_head_since_the_checkpoint_is_damage_of_the_log() {
    let (world, file) = three();
    let start = place_of(&world, file, &[1; 9000]) - 17;
    for byte in 0..17 {
        let mut world = World::on(config(), world.disk.clone());
        world.disk.rot(file, 8 * (start + byte));
        world.start();
        let trouble = world.trouble().expect("trouble");
        assert!(trouble.contains("damaged or missing"), "{trouble}");
    }
}

/// A batch that no mark vouches for may be torn: nothing of it is believed, not even that its values are damaged.
#[test]
fn a_damaged_value_above_all_marks_is_a_tail() {
    let mut world = World::serving(config());
    assert_eq!(world.put(b"a", &[1; 9000]), AsdAnswer::Applied);
    let both = apply(Purpose::Guest, &[], &[(b"a", None), (b"b", Some(&[2; 9000]))]);
    assert_eq!(world.ask(both), AsdAnswer::Applied);
    let file = *files(&world, "segment").last().expect("one");
    let at = place_of(&world, file, &[2; 9000]);
    world.disk.rot(file, 8 * (at + 5000));
    world.restart();
    assert_eq!((world.trouble(), world.keys()), (None, vec![b"a".to_vec()]));
    assert_eq!(value_of(&world.get(b"a")).expect("a value"), vec![1; 9000]);
}

//! Deletion, sweeps, restarts, and mistakes that are made on purpose.

use core::time::Duration;

use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::NamespaceCommand;
use glossary::Generation;
use step::Bug;

use crate::world::{NAMESPACE, World, bytes_of, config, data, get, put, sco};

fn failed(error: ObjectError) -> ObjectAnswer {
    ObjectAnswer::Failed(error)
}

fn delete(numbers: impl Iterator<Item = u64>) -> ObjectBody {
    ObjectBody::Delete { generation: Generation(1), names: numbers.map(sco).collect() }
}

#[test]
fn what_is_deleted_is_gone_from_the_disks() {
    let mut world = World::new(6, &["4,2,6,1"], 1);
    for number in 1..=3 {
        world.ask(put(sco(number), &data(8, number)));
    }
    assert_eq!(world.ask(delete([1, 3, 7, 3].into_iter())), ObjectAnswer::Done);
    assert_eq!(world.ask(get(sco(1), 0, 1)), failed(ObjectError::NotFound));
    world.run_for(Duration::from_secs(1));
    assert_eq!((world.stored(), world.named().len()), (6, 6));
    assert_eq!((world.counter("deletes"), world.counter("garbage_deleted")), (2, 12));
    let fenced = ObjectBody::Delete { generation: Generation(2), names: vec![sco(2)] };
    assert_eq!(world.ask(fenced), failed(ObjectError::Fenced));
    assert_eq!(bytes_of(&world.ask(get(sco(2), 0, 8))), data(8, 2));
}

#[test]
fn many_names_are_deleted_in_several_sequences() {
    let mut world = World::new(3, &["2,1,3,1"], 2);
    for number in 1..=150 {
        world.ask(put(sco(number), &data(1, number)));
    }
    let before = world.kv.applied.len();
    assert_eq!(world.ask(delete(1..=150)), ObjectAnswer::Done);
    assert_eq!(world.kv.applied.len() - before, 3);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.stored(), 0);
    assert_eq!(world.ask(delete(0..0)), ObjectAnswer::Done);
}

#[test]
fn a_disk_that_is_away_is_cleaned_when_it_comes_back() {
    let mut world = World::new(6, &["4,2,5,1"], 3);
    world.ask(put(sco(1), &data(8, 1)));
    world.asds[2].dead = true;
    assert_eq!(world.ask(delete([1].into_iter())), ObjectAnswer::Done, "nobody waits for it");
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.stored(), 1);
    world.asds[2].dead = false;
    world.run_for(Duration::from_secs(75));
    assert_eq!(world.stored(), 0);
}

#[test]
fn garbage_that_waits_is_bounded() {
    let mut config = config(6);
    config.settings.garbage_per_osd_max = 2;
    let mut world = World::with_config(config, &["4,2,5,1"], 4);
    for number in 1..=5 {
        world.ask(put(sco(number), &data(8, number)));
    }
    world.asds[0].dead = true;
    world.run_for(Duration::from_secs(20));
    for number in 1..=5 {
        assert_eq!(world.ask(delete([number].into_iter())), ObjectAnswer::Done);
    }
    assert_eq!(world.counter("garbage_left"), 3);
    world.asds[0].dead = false;
    world.run_for(Duration::from_secs(75));
    assert_eq!(world.stored(), 0, "what was not remembered was looked for");
    assert_eq!(world.counter("orphans_found"), 3);
}

#[test]
fn a_sweep_removes_all_of_a_dropped_namespace_and_only_that() {
    let mut world = World::new(6, &["4,2,5,1"], 5);
    for number in 1..=4 {
        world.ask(put(sco(number), &data(40, number)));
    }
    assert_eq!(world.ask(ObjectBody::Sweep), failed(ObjectError::Condition), "it is not dropped");
    let other = vec![b'f', 0, 0, 0, 0, 0, 0, 0, 10, 1];
    world.asds[0].values.insert(other.clone(), data(1, 0));
    world.kv.drop_namespace(NAMESPACE);
    assert_eq!(world.ask(ObjectBody::Sweep), ObjectAnswer::Done);
    assert_eq!(world.stored(), 1);
    assert!(world.asds[0].values.contains_key(&other));
    assert_eq!(world.ask(put(sco(9), &data(1, 1))), failed(ObjectError::NotFound));
}

#[test]
fn a_restart_in_the_middle_of_an_upload_loses_nothing_that_was_answered() {
    for after in (0..3000).step_by(100) {
        let mut world = World::new(6, &["4,2,6,1"], after);
        world.ask(put(sco(1), &data(20, 1)));
        world.send(NAMESPACE, put(sco(2), &data(20, 2)));
        world.run_for(Duration::from_micros(after));
        world.restart();
        let answer = world.insist(put(sco(2), &data(20, 2)));
        assert!(matches!(answer, ObjectAnswer::Stored { .. }));
        for number in 1..=2 {
            assert_eq!(bytes_of(&world.ask(get(sco(number), 0, 20))), data(20, number));
        }
    }
}

#[test]
fn a_kv_that_is_away_is_waited_for() {
    let mut world = World::new(6, &["4,2,6,1"], 7);
    world.ask(put(sco(1), &data(8, 1)));
    world.kv.dead = true;
    let request = world.send(NAMESPACE, put(sco(2), &data(8, 2)));
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.answer_to(request), None, "whether it was published is not known");
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 8))), data(8, 1), "what is known can be read");
    world.kv.dead = false;
    assert!(matches!(world.wait(request), ObjectAnswer::Stored { .. }));
    let is_put = |command: &&NamespaceCommand| matches!(command, NamespaceCommand::Sequence { .. });
    assert_eq!(world.kv.applied.iter().filter(is_put).count(), 2, "once each");
}

#[test]
fn an_asd_of_another_identity_is_down() {
    let mut world = World::new(6, &["4,2,5,1"], 8);
    world.ask(put(sco(1), &data(8, 1)));
    world.asds[1].identity.0[0] ^= 1;
    world.run_for(Duration::from_secs(20));
    let (osds, _) = world.status();
    assert_eq!(osds[1].1, formats::message::admin::OsdState::Down);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 8))), data(8, 1));
}

/// Damages the first block of an object, on ASDs that don't look, and reads it.
fn read_damaged(bug: Option<Bug>) -> (formats::Payload, bytes::Bytes) {
    let mut config = config(6);
    config.bug = bug;
    let mut world = World::with_config(config, &["4,2,6,1"], 9);
    let bytes = data(16, 1);
    world.ask(put(sco(1), &bytes));
    for asd in &mut world.asds {
        asd.careless = true;
        // The header says which fragment it is, at byte 58.
        for value in asd.values.values_mut().filter(|value| value[58] == 0) {
            let mut damaged = value.to_vec();
            damaged[200] ^= 1;
            *value = damaged.into();
        }
    }
    match world.ask(get(sco(1), 0, 1)) {
        ObjectAnswer::Data(payload) => (payload, bytes),
        other => panic!("no data: {other:?}"),
    }
}

#[test]
fn planted_mistakes_show() {
    let (payload, bytes) = read_damaged(None);
    assert!(payload.verify() && payload.contiguous() == bytes[..4096]);
    let (payload, bytes) = read_damaged(Some(Bug::CrcUnchecked));
    assert!(!payload.verify() && payload.contiguous() != bytes[..4096]);
    let (payload, bytes) = read_damaged(Some(Bug::CrcMadeAnew));
    assert!(payload.verify() && payload.contiguous() != bytes[..4096]);
}

#[test]
fn the_planted_mix_up_answers_one_read_with_another_s_data() {
    let mut config = config(6);
    config.bug = Some(Bug::ReplyMixedUp);
    let mut world = World::with_config(config, &["4,2,6,1"], 10);
    let bytes = data(16, 1);
    world.ask(put(sco(1), &bytes));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 3, 1))), bytes.slice(3 * 4096..4 * 4096), "alone it is right");
    let (first, second) =
        (world.send(NAMESPACE, get(sco(1), 0, 1)), world.send(NAMESPACE, get(sco(1), 9, 1)));
    assert_eq!(bytes_of(&world.wait(first)), bytes.slice(9 * 4096..10 * 4096));
    assert_eq!(bytes_of(&world.wait(second)), bytes.slice(..4096));
}

#[test]
fn what_may_have_been_published_is_never_deleted() {
    let mut world = World::new(6, &["4,2,6,1"], 11);
    let bytes = data(8, 1);
    world.kv.forgetful = true;
    assert_eq!(world.ask(put(sco(1), &bytes)), failed(ObjectError::Unavailable));
    world.run_for(Duration::from_secs(30));
    world.check_manifests();
    assert_eq!(world.kv.manifests.len(), 1, "it had been published");
    let answer = world.ask(put(sco(1), &bytes));
    assert!(matches!(answer, ObjectAnswer::Stored { spare: 2, .. }), "under a new session: {answer:?}");
    world.run_for(Duration::from_secs(1));
    world.check_manifests();
    assert_eq!((bytes_of(&world.ask(get(sco(1), 0, 8))), world.stored()), (bytes, 6));
}

#[test]
fn a_number_that_is_used_again_belongs_to_the_new_question() {
    let mut world = World::new(6, &["4,2,6,1"], 12);
    world.ask(put(sco(1), &data(8, 1)));
    world.kv.dead = true;
    world.send_as(500, NAMESPACE, put(sco(2), &data(8, 2)));
    world.run_for(Duration::from_secs(1));
    world.send_as(500, NAMESPACE, get(sco(1), 0, 8));
    assert_eq!(bytes_of(&world.wait(500)), data(8, 1));
    world.kv.dead = false;
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.answer_to(500), None, "nobody waits for the upload any more");
    assert_eq!(bytes_of(&world.ask(get(sco(2), 0, 8))), data(8, 2), "but it came to its end");
}

//! Uploads: what counts, what is replaced, what is refused, and what is left behind.

use core::time::Duration;

use formats::Payload;
use formats::message::admin::OsdState;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::{ChainHead, HeadChange, ObjectName};
use glossary::{Generation, NamespaceId, TlogId};

use crate::world::{NAMESPACE, World, bytes_of, config, data, get, put, sco};

fn spare(answer: &ObjectAnswer) -> u8 {
    match answer {
        ObjectAnswer::Stored { spare, .. } => *spare,
        other => panic!("not stored: {other:?}"),
    }
}

fn failed(error: ObjectError) -> ObjectAnswer {
    ObjectAnswer::Failed(error)
}

#[test]
fn what_was_put_is_there_in_every_size() {
    let mut world = World::new(6, &["4,2,6,1"], 1);
    for clusters in [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 80] {
        let bytes = data(clusters, 7);
        let name = sco(clusters as u64);
        assert_eq!(spare(&world.ask(put(name, &bytes))), 2, "{clusters}");
        assert_eq!(bytes_of(&world.ask(get(name, 0, clusters as u64))), bytes, "{clusters}");
    }
    assert_eq!(world.counter("reconstructs"), 0);
    assert_eq!(world.stored(), world.named().len(), "nothing else is stored");
}

#[test]
fn a_lost_osd_is_replaced_by_another_under_a_fresh_attempt() {
    let mut world = World::new(7, &["4,2,6,1"], 2);
    for victim in 0..7 {
        world.asds.iter_mut().for_each(|asd| asd.dead = false);
        world.run_for(Duration::from_secs(90));
        world.asds[victim].dead = true;
        let name = sco(victim as u64 + 1);
        let bytes = data(9, victim as u64);
        assert_eq!(spare(&world.ask(put(name, &bytes))), 2, "all six are elsewhere");
        assert_eq!(bytes_of(&world.ask(get(name, 0, 9))), bytes);
    }
    assert!(world.counter("replacements") > 0);
    assert!(world.counter("osds_lost") > 0);
}

#[test]
fn success_at_c_and_late_ones_join() {
    // One OSD takes longer than the slack, and less than anybody's patience.
    let mut config = config(6);
    config.settings.slack = Duration::from_micros(50);
    let mut world = World::with_config(config, &["4,2,5,1"], 3);
    world.weather.jitter = Duration::from_millis(3);
    let mut early = 0;
    for number in 1..=20 {
        let answer = world.ask(put(sco(number), &data(8, number)));
        early += u64::from(spare(&answer) == 1);
        world.run_for(Duration::from_millis(100));
        let redundancy = world.ask(ObjectBody::Redundancy { name: sco(number) });
        assert_eq!(redundancy, ObjectAnswer::Redundancy { spare: 2 });
    }
    assert!(early > 5, "most did not wait for the sixth: {early}");
    assert_eq!(world.counter("late_joins"), early);
    assert!(world.kv.manifests.values().all(|manifest| manifest.chunks[0].iter().all(Option::is_some)));
    assert_eq!(world.stored(), world.named().len());
}

#[test]
fn fewer_osds_than_c_are_told_as_such_and_waited_for() {
    let mut world = World::new(6, &["4,2,6,1"], 4);
    world.asds[3].dead = true;
    let bytes = data(8, 1);
    assert_eq!(world.ask(put(sco(1), &bytes)), failed(ObjectError::Unavailable));
    assert_eq!(world.status().0[3].1, OsdState::Down);
    assert_eq!(world.ask(put(sco(1), &bytes)), failed(ObjectError::Unavailable), "at once, now");
    world.asds[3].dead = false;
    assert_eq!(spare(&world.insist(put(sco(1), &bytes))), 2);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.stored(), 6, "what the failed attempt left is deleted");
}

#[test]
fn the_next_policy_serves_when_the_first_can_not() {
    let mut world = World::new(6, &["4,2,6,1", "2,1,3,1"], 5);
    world.asds[0].dead = true;
    world.run_for(Duration::from_secs(20));
    assert_eq!(spare(&world.ask(put(sco(1), &data(8, 1)))), 1);
    let manifest = world.kv.manifests.values().next().expect("it was published");
    assert_eq!(manifest.policy.k, 2);
}

#[test]
fn full_osds_are_passed_over_and_too_many_are_told() {
    let mut world = World::new(7, &["4,2,6,1"], 6);
    world.asds[2].full = true;
    for number in 1..=5 {
        assert_eq!(spare(&world.ask(put(sco(number), &data(8, number)))), 2);
    }
    assert_eq!(world.status().0[2].1, OsdState::Full);
    world.asds[4].full = true;
    let mut answers = (0..3).map(|_| world.ask(put(sco(9), &data(8, 9))));
    assert!(answers.all(|answer| answer == failed(ObjectError::Full)));
    world.asds[4].full = false;
    assert_eq!(spare(&world.insist(put(sco(9), &data(8, 9)))), 2);
    assert_eq!(world.counter("osds_lost"), 0);
}

#[test]
fn the_same_again_is_stored_and_other_content_is_refused() {
    let mut world = World::new(6, &["4,2,6,1"], 7);
    let bytes = data(8, 1);
    let first = world.ask(put(sco(1), &bytes));
    let second = world.ask(put(sco(1), &bytes));
    assert_eq!(first, second, "one object, one id");
    assert_eq!(world.ask(put(sco(1), &data(8, 2))), failed(ObjectError::Condition));
    assert_eq!(world.ask(put(sco(1), &data(7, 1))), failed(ObjectError::Condition));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.stored(), 6, "the fragments of the losing attempts are deleted");
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 8))), bytes);
}

#[test]
fn requests_under_many_numbers_are_one_upload() {
    let mut world = World::new(6, &["4,2,6,1"], 8);
    world.kv.dead = true;
    let requests: Vec<u64> = (0..20).map(|_| world.send(NAMESPACE, put(sco(1), &data(8, 1)))).collect();
    world.run_for(Duration::from_secs(5));
    world.kv.dead = false;
    assert_eq!(spare(&world.wait(requests[19])), 2);
    assert_eq!(world.counter("puts"), 1);
    assert_eq!(world.kv.applied.len(), 1);
}

#[test]
fn the_fence_and_the_conditions_hold() {
    let mut world = World::new(6, &["4,2,6,1"], 9);
    let with = |generation, present: &[ObjectName], head| ObjectBody::Put {
        generation: Generation(generation),
        name: ObjectName::Tlog(TlogId { generation: Generation(1), sequence: 1 }),
        present: present.to_vec(),
        head,
        payload: Payload::entering(data(1, 1)),
    };
    assert_eq!(world.ask(with(2, &[], None)), failed(ObjectError::Fenced));
    assert_eq!(world.ask(with(1, &[sco(1)], None)), failed(ObjectError::Condition));
    let checksum = checksum::crc32c(&data(1, 1));
    let tlog = |sequence| TlogId { generation: Generation(1), sequence };
    let to = ChainHead { tlog: tlog(1), checksum };
    let wrong = HeadChange { from: Some(to), to: ChainHead { tlog: tlog(2), ..to } };
    assert_eq!(world.ask(with(1, &[], Some(wrong))), failed(ObjectError::Condition));
    spare(&world.ask(put(sco(1), &data(8, 1))));
    let first = HeadChange { from: None, to };
    spare(&world.ask(with(1, &[sco(1)], Some(first))));
    assert_eq!(world.kv.records[&NAMESPACE].head, Some(to));
    // Sent again, the head has moved: it is there all the same.
    spare(&world.ask(with(1, &[sco(1)], Some(first))));
    let request = world.send(NamespaceId(77), put(sco(1), &data(1, 1)));
    assert_eq!(world.wait(request), failed(ObjectError::NotFound));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.stored(), 12, "the fragments of the refused are deleted");
}

#[test]
fn an_epoch_that_ended_is_asked_for_anew() {
    let mut world = World::new(6, &["4,2,6,1"], 10);
    spare(&world.ask(put(sco(1), &data(1, 1))));
    world.kv.records.get_mut(&NAMESPACE).expect("there").gc_epoch = 2;
    assert_eq!(world.ask(put(sco(2), &data(1, 2))), failed(ObjectError::Unavailable));
    spare(&world.ask(put(sco(2), &data(1, 2))));
    assert_eq!(world.kv.manifests[&(NAMESPACE, sco(2))].gc_epoch, 2);
}

/// A sequence of an earlier life is still on its way when its fragments are collected: it comes too late.
#[test]
fn what_was_collected_is_published_no_more() {
    let mut config = config(6);
    config.settings.collect_first = Duration::from_millis(10);
    let mut world = World::with_config(config, &["4,2,6,1"], 17);
    world.holds_commands = true;
    world.send(NAMESPACE, put(sco(1), &data(16, 1)));
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.stored(), 6);
    world.restart();
    world.holds_commands = false;
    spare(&world.ask(put(sco(2), &data(16, 2))));
    world.run_for(Duration::from_secs(1));
    assert_eq!((world.counter("orphans_found"), world.counter("epochs_ended")), (1, 1));
    assert_eq!(world.stored(), 6, "those of the second");
    world.release_commands();
    assert_eq!(world.ask(get(sco(1), 0, 1)), failed(ObjectError::NotFound));
    world.check_manifests();
    assert_eq!(world.kv.records[&NAMESPACE].gc_epoch, 2);
    spare(&world.ask(put(sco(1), &data(16, 1))));
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 16))), data(16, 1));
}

/// The manifest is gone, the OSDs haven't heard of it, and the client dies.
#[test]
fn a_deletion_that_a_crash_cut_short_is_ended_by_collection() {
    let mut world = World::new(6, &["4,2,6,1"], 18);
    for number in [1, 2] {
        spare(&world.ask(put(sco(number), &data(16, number))));
    }
    let delete = |number| ObjectBody::Delete { generation: Generation(1), names: vec![sco(number)] };
    world.asds.iter_mut().for_each(|asd| asd.dead = true);
    assert_eq!(world.ask(delete(1)), ObjectAnswer::Done);
    world.run_for(Duration::from_millis(10));
    world.restart();
    world.asds.iter_mut().for_each(|asd| asd.dead = false);
    assert_eq!((world.ask(delete(3)), world.stored()), (ObjectAnswer::Done, 12));
    world.run_for(Duration::from_secs(20));
    assert_eq!((world.stored(), world.counter("orphans_found")), (6, 1));
    assert_eq!(bytes_of(&world.ask(get(sco(2), 0, 16))), data(16, 2));
}

#[test]
fn damaged_data_is_not_certified_anew() {
    let mut world = World::new(6, &["4,2,6,1"], 11);
    let crcs = Payload::entering(data(8, 1)).crcs().to_vec();
    let payload = Payload::with_crcs(vec![data(8, 2)], crcs).expect("as many");
    let (generation, name) = (Generation(1), sco(1));
    let body = ObjectBody::Put { generation, name, present: Vec::new(), head: None, payload };
    assert_eq!(world.ask(body), failed(ObjectError::Lost));
    assert_eq!((world.counter("damaged_puts"), world.stored()), (1, 0));
    let payload = Payload::entering(vec![1; 5000].into());
    let body = ObjectBody::Put { generation, name, present: Vec::new(), head: None, payload };
    assert_eq!(world.ask(body), failed(ObjectError::Condition), "not whole clusters");
}

#[test]
fn chunks_in_work_are_bounded_and_the_rest_waits_in_order() {
    let mut config = config(6);
    config.settings.chunks_in_flight_max = 2;
    let mut world = World::with_config(config, &["4,2,5,1"], 12);
    world.asds[0].dead = true;
    // 5 chunks each; a dead OSD holds up every chunk that finds out.
    let requests: Vec<u64> = (1..=6).map(|n| world.send(NAMESPACE, put(sco(n), &data(80, n)))).collect();
    for request in requests {
        assert!(spare(&world.wait(request)) >= 1);
    }
    for number in 1..=6 {
        assert_eq!(bytes_of(&world.ask(get(sco(number), 0, 80))), data(80, number));
    }
}

#[test]
fn a_slow_osd_slows_uploads_down_instead_of_filling_memory() {
    let mut config = config(6);
    config.settings.late_fragments_max = 3;
    config.settings.chunks_in_flight_max = 2;
    let mut world = World::with_config(config, &["4,2,5,1"], 13);
    world.asds[0].dead = true;
    let request = world.send(NAMESPACE, put(sco(1), &data(160, 1)));
    // Ten chunks: three of them may leave a fragment behind, two more hold their permits.
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.answer_to(request), None);
    let stored: usize = world.asds.iter().map(|asd| asd.values.len()).sum();
    assert_eq!(stored, 5 * 5, "five chunks were worked on");
    assert!(spare(&world.wait(request)) >= 1, "and once the OSD is known to be down it goes on");
}

#[test]
fn more_tasks_than_the_bound_are_told_to_come_later() {
    let mut config = config(6);
    config.settings.tasks_max = 4;
    let mut world = World::with_config(config, &["4,2,6,1"], 14);
    world.kv.dead = true;
    let requests: Vec<u64> = (1..=6).map(|n| world.send(NAMESPACE, get(sco(n), 0, 1))).collect();
    world.run_for(Duration::from_secs(1));
    let refused = requests.iter().filter_map(|request| world.answer_to(*request).cloned());
    assert_eq!(refused.collect::<Vec<_>>(), vec![failed(ObjectError::Unavailable); 2]);
    world.kv.dead = false;
    for request in &requests[..4] {
        assert_eq!(world.wait(*request), failed(ObjectError::NotFound));
    }
}

#[test]
fn not_now_is_waited_for_as_long_as_the_osd_is_there() {
    let mut world = World::new(6, &["4,2,6,1"], 15);
    world.asds.iter_mut().for_each(|asd| asd.busy = 3);
    assert_eq!(spare(&world.ask(put(sco(1), &data(8, 1)))), 2);
    world.asds.iter_mut().for_each(|asd| asd.busy = 3);
    assert_eq!(bytes_of(&world.ask(get(sco(1), 0, 8))), data(8, 1));
    assert_eq!((world.counter("osds_lost"), world.counter("replacements")), (0, 0));
    // One whose disk failed says so to everything.
    world.asds[3].stopped = true;
    assert_eq!(world.ask(put(sco(2), &data(8, 1))), failed(ObjectError::Unavailable));
    assert_eq!(world.status().0[3].1, OsdState::Down);
}

#[test]
fn an_osd_that_refuses_gets_no_second_chance_from_the_same_chunk() {
    let mut world = World::new(6, &["4,2,6,1"], 16);
    world.asds[2].refuses = true;
    assert_eq!(world.ask(put(sco(1), &data(8, 1))), failed(ObjectError::Unavailable));
    assert_eq!((world.counter("replacements"), world.counter("osds_lost")), (0, 0));
    let mut world = World::new(7, &["4,2,6,1"], 16);
    world.asds[2].refuses = true;
    for number in 1..=10 {
        assert_eq!(spare(&world.ask(put(sco(number), &data(8, number)))), 2);
    }
    let replaced = world.counter("replacements");
    assert!((1..10).contains(&replaced), "{replaced}");
}

//! OSDs that say nothing while somebody waits for them: how long that costs, and who is not taken for dead.

use core::time::Duration;

use formats::message::admin::OsdState;
use formats::message::object::ObjectAnswer;
use step::Timestamp;

use crate::world::{World, bytes_of, data, get, put, sco};

/// What a dead OSD may cost who meets it first: half a second until it is doubted, two questions of as long, and a bit.
const DOUBTED: Duration = Duration::from_millis(1_600);

fn took(world: &World, since: Timestamp) -> Duration {
    world.now.since(since)
}

fn state(world: &mut World, osd: usize) -> OsdState {
    world.status().0[osd].1
}

#[test]
fn a_write_waits_a_second_and_a_half_for_who_is_dead_and_the_next_not_at_all() {
    // All fragments must be stored, and there is one OSD to spare.
    let mut world = World::new(7, &["4,2,6,1"], 1);
    world.ask(put(sco(1), &data(8, 1)));
    world.asds[2].dead = true;
    let mut waits = Vec::new();
    for number in 2..=9 {
        let since = world.now;
        assert!(matches!(world.ask(put(sco(number), &data(8, number))), ObjectAnswer::Stored { .. }));
        waits.push(took(&world, since));
    }
    assert_eq!(state(&mut world, 2), OsdState::Down);
    let long = waits.iter().filter(|wait| **wait > Duration::from_millis(100)).count();
    assert!(long == 1 && waits.iter().all(|wait| *wait < DOUBTED), "{waits:?}");
    assert_eq!(bytes_of(&world.ask(get(sco(9), 0, 8))), data(8, 9));
}

#[test]
fn who_answers_a_question_is_there_again() {
    let mut world = World::new(7, &["4,2,6,1"], 2);
    world.asds[2].dead = true;
    (1..=4).for_each(|number| drop(world.ask(put(sco(number), &data(8, number)))));
    assert_eq!(state(&mut world, 2), OsdState::Down);
    world.asds[2].dead = false;
    world.run_for(Duration::from_secs(5));
    assert_eq!(state(&mut world, 2), OsdState::Up);
}

/// A disk that takes seconds for a write, and says at once that it is there, is waited for.
#[test]
fn a_disk_that_is_slow_is_not_dead() {
    let mut world = World::new(7, &["4,2,6,1"], 3);
    world.asds[2].slow_writes = Duration::from_secs(3);
    for number in 1..=6 {
        world.ask(put(sco(number), &data(8, number)));
    }
    assert_eq!(world.counter("osds_lost"), 0);
}

/// Whoever takes so long for everything: it is never lost, or once, and then gets the time that it takes.
#[test]
fn who_is_always_late_does_not_come_and_go() {
    for (late, lost_max) in [(600, 0), (1_200, 1), (1_700, 1)] {
        let mut world = World::new(7, &["4,2,6,1"], 4);
        world.asds[2].late = Duration::from_millis(late);
        for number in 1..=40 {
            world.ask(put(sco(number), &data(8, number)));
            world.run_for(Duration::from_secs(1));
        }
        assert!(world.counter("osds_lost") <= lost_max, "{late} ms: {}", world.counter("osds_lost"));
        assert_eq!(state(&mut world, 2), OsdState::Up, "{late} ms");
    }
}

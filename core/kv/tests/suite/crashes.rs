//! The KV under crashes at any effect, full disks, rot, failing syncs, and a network that loses, doubles and
//! reorders: what was answered is there, once, in an order that nobody can tell from real time.

use crate::support::world::{Violation, World};
use proptest::prelude::*;
use step::Bug;

/// Happenings, then peace and a comparison.
fn run(world: &mut World, length: usize) -> Result<(), Violation> {
    for _ in 0..length {
        world.happen()?;
    }
    world.settle()
}

/// A run in which syncs fail: the KV halts and is started again, with or without a power cut.
fn run_with_failing_syncs(world: &mut World, length: usize) -> Result<(), Violation> {
    world.halts = usize::MAX;
    for _ in 0..length {
        world.happen()?;
        world.disk.fail_sync |= world.chance.one_in(80);
    }
    world.disk.fail_sync = false;
    world.settle()
}

/// A run in which a bit rots while the KV is down. Halting is no violation.
fn run_with_rot(world: &mut World, length: usize) -> Result<(), Violation> {
    run(world, length)?;
    world.rest();
    world.crash(false);
    world.disk.rot(&mut world.chance);
    world.start();
    let ended = world.settle();
    if world.halted.is_some() { Ok(()) } else { ended }
}

/// Whether runs find the bug.
fn finds(bug: Bug, run: impl Fn(&mut World, usize) -> Result<(), Violation>) -> bool {
    (0..200).any(|seed| run(&mut World::new(seed, Some(bug)), 1500).is_err())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_answered_is_lost_doubled_or_out_of_order(seed in any::<u64>(), length in 0_usize..3000) {
        prop_assert_eq!(run(&mut World::new(seed, None), length), Ok(()));
    }

    #[test]
    fn a_sync_that_failed_is_never_believed(seed in any::<u64>(), length in 0_usize..2000) {
        prop_assert_eq!(run_with_failing_syncs(&mut World::new(seed, None), length), Ok(()));
    }

    #[test]
    fn rot_is_harmless_or_stops_it(seed in any::<u64>(), length in 0_usize..1000) {
        prop_assert_eq!(run_with_rot(&mut World::new(seed, None), length), Ok(()));
    }
}

#[test]
fn the_runs_crash_fill_the_disk_and_make_checkpoints() {
    let mut worlds: Vec<_> = (0..20).map(|seed| World::new(seed, None)).collect();
    worlds.iter_mut().for_each(|world| assert_eq!(run(world, 2000), Ok(())));
    assert!(worlds.iter().map(|world| world.crashes).sum::<usize>() > 20);
    assert!(worlds.iter().map(|world| world.full).sum::<usize>() > 20);
    let names: Vec<_> = worlds.iter().flat_map(|world| world.disk.names()).collect();
    assert!(names.iter().any(|name| name == "table"));
}

#[test]
fn planted_bugs_are_found() {
    assert!(finds(Bug::KvAnswersBeforeSync, run));
    assert!(finds(Bug::SessionsLostInCheckpoint, run));
    assert!(finds(Bug::CheckpointAheadOfLog, run));
    assert!(finds(Bug::CheckpointOfManyMoments, run));
    assert!(finds(Bug::TornTailAccepted, run));
    assert!(finds(Bug::SyncRetried, run_with_failing_syncs));
    assert!(finds(Bug::DamageTakenForTail, run_with_rot));
}

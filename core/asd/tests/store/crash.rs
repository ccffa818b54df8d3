//! Many random lives, with crashes, faults, full disks and rot; and with planted bugs, which must show.

use step::Bug;

use crate::lives::{Plan, Run, Totals};
use crate::rot::rot_once;

fn run_all(seeds: std::ops::Range<u64>, plan: Plan) -> Totals {
    let mut totals = Totals::default();
    for seed in seeds {
        let mut run = Run::new(seed, plan);
        if let Err(why) = run.run() {
            panic!("seed {seed}: {why}");
        }
        for (name, count) in run.totals.counters {
            *totals.counters.entry(name).or_default() += count;
        }
    }
    totals
}

#[test]
fn crashes_lose_nothing_and_make_nothing_up() {
    let totals = run_all(0..60, Plan::default());
    for name in ["applies", "checkpoints", "compactions", "moved_bytes", "freed_segments", "marks"] {
        assert!(totals.counters[name] > 20, "{name}: {}", totals.counters[name]);
    }
}

#[test]
fn crashes_of_full_disks_lose_nothing_and_make_nothing_up() {
    let totals = run_all(2000..2040, Plan { small: true, ..Plan::default() });
    for name in ["full", "compactions", "freed_segments"] {
        assert!(totals.counters[name] > 20, "{name}: {}", totals.counters[name]);
    }
}

#[test]
fn failed_writes_and_syncs_lose_nothing_and_make_nothing_up() {
    let totals = run_all(1000..1060, Plan { faults: true, ..Plan::default() });
    for name in ["reloads", "checkpoints", "compactions"] {
        assert!(totals.counters[name] > 20, "{name}: {}", totals.counters[name]);
    }
}

#[test]
fn every_planted_bug_is_found() {
    let crash = |bug, seed| Run::new(seed, Plan { bug, ..Plan::default() }).run();
    let fault = |bug, seed| Run::new(seed, Plan { bug, faults: true, ..Plan::default() }).run();
    let rot = |bug, seed| rot_once(seed, bug).map(|_| ());
    type Try<'a> = &'a dyn Fn(Option<Bug>, u64) -> Result<(), String>;
    let bugs: [(Bug, Try<'_>); 7] = [
        (Bug::FragmentCountedBeforeSync, &crash),
        (Bug::TornTailAccepted, &crash),
        (Bug::CheckpointAheadOfLog, &crash),
        (Bug::SegmentReusedEarly, &crash),
        (Bug::SyncRetried, &fault),
        (Bug::DamageTakenForTail, &rot),
        (Bug::CrcUnchecked, &rot),
    ];
    for (bug, attempt) in bugs {
        let found = (0..100).find_map(|seed| attempt(Some(bug), seed).err().map(|why| (seed, why)));
        assert!(found.is_some(), "{bug:?} is not found");
    }
}

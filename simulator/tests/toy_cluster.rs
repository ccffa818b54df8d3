//! Engine, guests and checkers against a toy that is right, and toys that are wrong.

mod toy;

use simulator::checkers::Promise;
use simulator::runs::{Settings, Summary, find_difference, run_many};
use toy::{Bug, ToyFactory};

fn run(seeds: core::ops::Range<u64>, threads: usize) -> Summary {
    run_many(&ToyFactory(Bug::Nothing), seeds, &Settings::default(), threads)
}

/// Runs until a seed fails, and gives the promises that it broke.
fn broken(bug: Bug) -> Vec<Promise> {
    let (wrong, right) = (ToyFactory(bug), ToyFactory(Bug::Nothing));
    let search = find_difference(&wrong, &right, 1..201, &Settings::default(), 2);
    let found = search.found.unwrap_or_else(|| panic!("{bug:?} was not found"));
    let mut promises: Vec<_> = found.violations.iter().map(|violation| violation.promise).collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

#[test]
fn the_right_toy_passes() {
    let summary = run(1..61, 2);
    let failed = summary.failed.iter().map(|report| (report.seed, &report.panic, report.violations.first()));
    assert_eq!(failed.collect::<Vec<_>>(), []);
    assert_eq!(summary.passed, 60);
}

#[test]
fn the_same_seeds_give_the_same_digest() {
    let digest = |threads, from| run(from..from + 6, threads).digest;
    assert_eq!(digest(1, 1), digest(2, 1));
    assert_ne!(digest(1, 1), digest(1, 2));
}

#[test]
fn every_wrong_toy_is_found_by_the_promise_it_breaks() {
    // What is acknowledged and not there after a crash breaks P1 or P2: whether a process or the power goes first is the
    // seed's.
    const LOST: &[Promise] = &[Promise::P1, Promise::P2];
    for (bug, promises) in [
        (Bug::AcknowledgeBeforeWrite, LOST),
        (Bug::FlushWithoutSync, &[Promise::P2]),
        (Bug::HolesInTheLog, &[Promise::P3]),
        (Bug::DiscardNotLogged, LOST),
        (Bug::OldReads, &[Promise::P5]),
        (Bug::TornTailAccepted, &[Promise::P2]),
        (Bug::FlippedBit, &[Promise::P6]),
        (Bug::AnswersSwapped, &[Promise::P6]),
        (Bug::NoBound, &[Promise::P9]),
        (Bug::NeverAnswers, &[Promise::P10]),
        (Bug::SyncTriedAgain, &[Promise::P2]),
    ] {
        let broken = broken(bug);
        let is_it = promises.iter().any(|promise| broken.contains(promise));
        assert!(is_it, "{bug:?} broke {broken:?}, none of {promises:?}");
    }
}

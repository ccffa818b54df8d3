//! Engine, guests and checkers against a toy that is right, and toys that are wrong.

mod toy;

use simulator::checkers::Promise;
use simulator::runs::{Settings, Summary, find_difference, run_many};
use toy::{Bug, ToyFactory};

/// The end of the seeds within which a mistake must be found.
const SEEDS_END: u64 = 201;

fn run(seeds: core::ops::Range<u64>, threads: usize) -> Summary {
    run_many(&ToyFactory(Bug::Nothing), seeds, &Settings::default(), threads)
}

/// Runs until a seed breaks a promise. Those before it may break others: which one a mistake comes to break first is
/// the seed's. Gives what they broke where none breaks this one.
fn breaks(bug: Bug, promise: Promise) -> Result<(), Vec<Promise>> {
    let (wrong, right) = (ToyFactory(bug), ToyFactory(Bug::Nothing));
    let (mut from, mut broken) = (1, Vec::new());
    loop {
        let search = find_difference(&wrong, &right, from..SEEDS_END, &Settings::default(), 2);
        let Some(found) = search.found else { return Err(broken) };
        broken.extend(found.violations.iter().map(|violation| violation.promise));
        if broken.contains(&promise) {
            return Ok(());
        }
        from = found.seed + 1;
    }
}

#[test]
fn the_right_toy_passes() {
    let summary = run(1..31, 2);
    let failed = summary.failed.iter().map(|report| (report.seed, &report.panic, report.violations.first()));
    assert_eq!(failed.collect::<Vec<_>>(), []);
    assert_eq!(summary.passed, 30);
}

#[test]
fn the_same_seeds_give_the_same_digest() {
    let digest = |threads, from| run(from..from + 3, threads).digest;
    assert_eq!(digest(1, 1), digest(2, 1));
    assert_ne!(digest(1, 1), digest(1, 2));
}

#[test]
fn every_wrong_toy_is_found_by_the_promise_it_breaks() {
    for (bug, promise) in [
        (Bug::AcknowledgeBeforeWrite, Promise::P1),
        (Bug::FlushWithoutSync, Promise::P2),
        (Bug::HolesInTheLog, Promise::P3),
        (Bug::DiscardNotLogged, Promise::P1),
        (Bug::OldReads, Promise::P5),
        (Bug::TornTailAccepted, Promise::P2),
        (Bug::FlippedBit, Promise::P6),
        (Bug::AnswersSwapped, Promise::P6),
        (Bug::NoBound, Promise::P9),
        (Bug::NeverAnswers, Promise::P10),
        (Bug::SyncTriedAgain, Promise::P2),
        (Bug::TrustsItsClock, Promise::P10),
    ] {
        let broken = breaks(bug, promise);
        assert!(broken.is_ok(), "{bug:?} broke {broken:?}, not {promise:?}");
    }
}

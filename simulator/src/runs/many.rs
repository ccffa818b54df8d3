//! Many seeds, on some threads. What comes out doesn't depend on which thread ran which seed.

use core::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::one::run_one;
use super::report::{Report, Settings};
use crate::cluster::Cluster;
use crate::faults::{CRASHES_MIN, KINDS_MIN};
use crate::{Digest, Tally};

/// Makes the cluster of a seed.
pub trait Factory: Sync {
    /// What it makes.
    type Cluster: Cluster;

    /// The cluster of a seed: its layout may be drawn.
    fn make(&self, seed: u64) -> Self::Cluster;
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many passed.
    pub passed: u64,
    /// Those that failed, in the order of their seeds.
    pub failed: Vec<Report>,
    /// Seeds in which too little happened to prove anything.
    pub tame: Vec<u64>,
    /// Everything that happened.
    pub tally: Tally,
    /// Operations of guests.
    pub operations: u64,
    /// Events that nodes took.
    pub steps: u64,
    /// A hash over every event and effect of all seeds.
    pub digest: u64,
}

/// Runs seeds on some threads.
pub fn run_many<F: Factory>(factory: &F, seeds: Range<u64>, settings: &Settings, threads: usize) -> Summary {
    summarize(
        run_all(seeds, threads, |seed| (run_one(|| factory.make(seed), seed, settings), false)),
        settings,
    )
}

/// What came of looking for a mistake.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The first seed in which it shows.
    pub found: Option<Report>,
    /// Seeds before it that prove nothing, as they fail without the mistake too.
    pub skipped: Vec<u64>,
}

/// Looks for the first seed in which `wrong` breaks a promise that `right` keeps.
pub fn find_difference<F: Factory>(
    wrong: &F,
    right: &F,
    seeds: Range<u64>,
    settings: &Settings,
    threads: usize,
) -> Search {
    let mut reports = run_all(seeds, threads, |seed| {
        let report = run_one(|| wrong.make(seed), seed, settings);
        let is_broken = !report.violations.is_empty();
        let is_found = is_broken && run_one(|| right.make(seed), seed, settings).is_passed();
        (report, is_found)
    });
    reports.sort_by_key(|(report, _)| report.seed);
    let mut search = Search::default();
    for (report, is_found) in reports {
        if is_found {
            search.found = Some(report);
            break;
        }
        if !report.violations.is_empty() {
            search.skipped.push(report.seed);
        }
    }
    search
}

/// Does something with each seed, on some threads, until it says that this was the last one.
fn run_all(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> (Report, bool) + Sync,
) -> Vec<(Report, bool)> {
    let next = AtomicU64::new(seeds.start);
    let reports = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run(seed);
            if report.1 {
                next.store(seeds.end, Ordering::Relaxed);
            }
            reports.lock().expect("no thread panics while it holds this").push(report);
        }
    };
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| {
            scope.spawn(work);
        });
    });
    reports.into_inner().expect("no thread panics while it holds this")
}

fn summarize(mut reports: Vec<(Report, bool)>, settings: &Settings) -> Summary {
    reports.sort_by_key(|(report, _)| report.seed);
    let mut summary = Summary::default();
    let mut digest = Digest::default();
    for (report, _) in reports {
        digest.word(report.seed);
        digest.word(report.digest);
        summary.tally.merge(&report.tally);
        summary.operations += report.operations;
        summary.steps += report.steps;
        if !report.is_passed() {
            summary.failed.push(report);
            continue;
        }
        let is_tame = report.crashes < CRASHES_MIN
            || report.tally.fault_kinds() < KINDS_MIN
            || report.operations < settings.operations;
        if is_tame {
            summary.tame.push(report.seed);
        }
        summary.passed += 1;
    }
    summary.digest = digest.value();
    summary
}

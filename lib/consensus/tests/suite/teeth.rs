//! Every planted bug is found by the checkers.

use consensus::PlantedBug;

use crate::world::{Bug, World};

/// Seeds in which each must be found.
const SEEDS: u64 = 600;

/// Where those that take many seeds showed when that was last noted: looked at first.
const NOTED: [(Bug, u64); 3] =
    [(Bug::NoTruncation, 47), (Bug::ForgottenVote, 527), (Bug::Inside(PlantedBug::LeaderBeforeItsTerm), 126)];

#[test]
fn every_planted_bug_is_found() {
    let is_found = |bug: &Bug| {
        let noted = NOTED.iter().filter(|(noted, _)| noted == bug).map(|(_, seed)| *seed);
        noted.chain(0..SEEDS).any(|seed| World::new(seed, Some(*bug)).run().is_err())
    };
    let missed: Vec<Bug> = Bug::ALL.into_iter().filter(|bug| !is_found(bug)).collect();
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

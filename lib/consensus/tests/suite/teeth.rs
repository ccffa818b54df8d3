//! Every planted bug is found by the checkers.

use crate::world::{Bug, World};

/// Seeds in which each must be found.
const SEEDS: u64 = 600;

#[test]
fn every_planted_bug_is_found() {
    let is_found = |bug: &Bug| (0..SEEDS).any(|seed| World::new(seed, Some(*bug)).run().is_err());
    let missed: Vec<Bug> = Bug::ALL.into_iter().filter(|bug| !is_found(bug)).collect();
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

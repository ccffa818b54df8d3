//! Every planted bug is found by the checkers.

use crate::world::{Bug, World};

/// Seeds in which each must be found.
const SEEDS: u64 = 600;

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match (0..SEEDS).find_map(|seed| World::new(seed, Some(bug)).run().err()) {
            Some(violation) => println!("{bug:?}: {violation}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

//! The same seeds are the same runs: of the real roles, on any number of threads.

use simulator::roles_cluster::RolesFactory;
use simulator::runs::{Settings, Summary, run_many};

fn run(from: u64, threads: usize) -> Summary {
    let settings = Settings { operations: 100, ..Settings::default() };
    run_many(&RolesFactory { bug: None, members: None, groups: None }, from..from + 4, &settings, threads)
}

#[test]
fn the_digest_depends_on_seeds_alone() {
    let (alone, together) = (run(1, 1), run(1, 3));
    assert_eq!(alone.digest, together.digest);
    assert_eq!((alone.steps, alone.tally), (together.steps, together.tally));
    assert_ne!(alone.digest, run(2, 3).digest);
}

//! Worlds by seed: whatever fails, the log stays one log, and once all is healed it serves.

use crate::world::World;

/// Seeds of a normal run. `CONSENSUS_SEEDS=5000` runs more, `CONSENSUS_SEED=17` one alone.
const SEEDS: u64 = 240;

/// Seeds run in this many tests, side by side.
const LANES: u64 = 4;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn run_lane(lane: u64) {
    if let Some(seed) = setting("CONSENSUS_SEED") {
        World::new(seed, None).run().unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let seeds = setting("CONSENSUS_SEEDS").unwrap_or(SEEDS);
    let (mut committed, mut reads, mut installs, mut decided, mut runs) = (0, 0, 0, 0, 0);
    for seed in (lane..seeds).step_by(LANES as usize) {
        let outcome = World::new(seed, None).run().unwrap_or_else(|violation| panic!("{violation}"));
        committed += outcome.committed;
        reads += outcome.reads;
        installs += outcome.installs;
        decided += usize::from(outcome.is_decided);
        runs += 1;
    }
    assert!(committed > 1000 && reads > 1000 && installs > 10, "{committed} {reads} {installs}: too calm");
    assert!(decided * 10 >= runs * 9, "only {decided} of {runs} histories could be checked");
}

#[test]
fn worlds_keep_their_promises_1() {
    run_lane(0);
}

#[test]
fn worlds_keep_their_promises_2() {
    run_lane(1);
}

#[test]
fn worlds_keep_their_promises_3() {
    run_lane(2);
}

#[test]
fn worlds_keep_their_promises_4() {
    run_lane(3);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let run = || World::new(seed, None).run().expect("no violation");
        assert_eq!(run(), run(), "seed {seed}");
    }
    let digests: std::collections::BTreeSet<u64> =
        (0..20).map(|seed| World::new(seed, None).run().expect("no violation").digest).collect();
    assert_eq!(digests.len(), 20, "seeds differ");
}

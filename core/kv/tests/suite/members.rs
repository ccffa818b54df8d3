//! Groups of several members: what any of them answered is there, once, in an order that nobody can tell from real
//! time, at all of them alike; and after faults they go on by themselves.

use crate::support::members::{Members, Violation};
use proptest::prelude::*;
use step::Bug;

fn run(members: &mut Members, length: usize) -> Result<(), Violation> {
    for _ in 0..length {
        members.happen()?;
    }
    members.settle()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_answered_is_lost_doubled_or_out_of_order(seed in any::<u64>(), length in 0_usize..6000, five: bool) {
        let count = if five { 5 } else { 3 };
        prop_assert_eq!(run(&mut Members::new(seed, count, None), length), Ok(()));
    }
}

#[test]
fn the_runs_crash_and_hand_states_over() {
    let mut worlds: Vec<_> = (0..10).map(|seed| Members::new(seed, 3, None)).collect();
    worlds.iter_mut().for_each(|world| assert_eq!(run(world, 6000), Ok(())));
    assert!(worlds.iter().map(|world| world.crashes).sum::<usize>() > 20);
    assert!(worlds.iter().map(|world| world.installed).sum::<u64>() > 0);
}

#[test]
fn planted_bugs_are_found() {
    let finds = |bug| (0..100).any(|seed| run(&mut Members::new(seed, 3, Some(bug)), 4000).is_err());
    assert!(finds(Bug::KvAnswersBeforeSync));
    assert!(finds(Bug::SessionsLostInCheckpoint));
}

/// What runs found: here a state offered while another one was being taken in, which nobody
/// offered again.
#[test]
fn what_was_found_stays_mended() {
    assert_eq!(run(&mut Members::new(9_952_424_636_179_021_415, 3, None), 4646), Ok(()));
}

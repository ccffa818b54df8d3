use super::*;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use glossary::{Generation, LogNumber, ScoId, ScoOffset};
use proptest::prelude::*;

const SIZE: u64 = 3 * PAGE_CLUSTERS;

fn expand(runs: &[Run]) -> Vec<u64> {
    runs.iter().flat_map(|run| (0..run.clusters).map(|i| run.location.advanced(i).bits())).collect()
}

fn a_run() -> impl Strategy<Value = Run> {
    let lengths = prop_oneof![3 => 1_u64..4, 2 => 1_u64..64, 1 => 1_u64..2000];
    (0..SIZE, lengths, 0_u64..12, 0_u16..2000).prop_map(|(address, clusters, sco, offset)| Run {
        address: ClusterAddress(address),
        clusters: clusters.min(SIZE - address),
        location: if sco == 0 { Location::NONE } else { Location::new(ScoId(sco), ScoOffset(offset)) },
    })
}

fn check_base(base: &Base, model: &[u64]) -> Result<(), TestCaseError> {
    let mut runs = Vec::new();
    base.runs(0, SIZE, &mut runs);
    prop_assert_eq!(&expand(&runs), model);
    let mut live: BTreeMap<u64, u64> = BTreeMap::new();
    model.iter().filter(|bits| **bits != 0).for_each(|bits| *live.entry(bits >> 16).or_default() += 1);
    for sco in 1..12 {
        prop_assert_eq!(base.live_clusters(ScoId(sco)), live.get(&sco).copied().unwrap_or(0));
    }
    prop_assert_eq!(base.stored_clusters(), live.values().sum::<u64>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Overlay and base together read as an array does; the base alone reads as what was published.
    #[test]
    fn the_map_is_an_array(
        steps in proptest::collection::vec((a_run(), any::<bool>(), any::<prop::sample::Index>()), 1..60),
        window in (0..SIZE, 1_u64..SIZE),
    ) {
        let (mut overlay, mut base) = (Overlay::default(), Base::default());
        let (mut all, mut published) = (alloc::vec![0_u64; SIZE as usize], alloc::vec![0_u64; SIZE as usize]);
        let mut waiting: Vec<(Run, LogNumber)> = Vec::new();
        for (number, (run, publish, how_many)) in steps.into_iter().enumerate() {
            let by = LogNumber { generation: Generation(1), number: number as u64 };
            overlay.set(run, by);
            waiting.push((run, by));
            for index in 0..run.clusters {
                all[(run.address.0 + index) as usize] = run.location.advanced(index).bits();
            }
            if publish {
                // Not everything that waits is published: a TLog ends somewhere.
                let part: Vec<(Run, LogNumber)> = waiting.drain(..=how_many.index(waiting.len())).collect();
                let mut dead = Vec::new();
                for (run, _) in &part {
                    base.apply(*run, &mut dead);
                    for index in 0..run.clusters {
                        published[(run.address.0 + index) as usize] = run.location.advanced(index).bits();
                    }
                }
                part.into_iter().for_each(|(run, by)| overlay.forget(run, by));
            }
            prop_assert_eq!(&expand(&look_up(&overlay, &base, 0, SIZE)), &all);
            let to = (window.0 + window.1).min(SIZE);
            let expected = &all[window.0 as usize..to as usize];
            prop_assert_eq!(&expand(&look_up(&overlay, &base, window.0, to))[..], expected);
        }
        check_base(&base, &published)?;
        if waiting.is_empty() {
            prop_assert_eq!(overlay.len(), 0);
        }
    }

    /// Sequential writes cost one run, however many they are.
    #[test]
    fn sequential_data_is_one_run(lengths in proptest::collection::vec(1_u64..50, 1..20)) {
        let mut overlay = Overlay::default();
        let mut at = 0;
        for clusters in lengths {
            let location = Location::new(ScoId(9), ScoOffset(at as u16));
            overlay.set(Run { address: ClusterAddress(at), clusters, location }, LogNumber::default());
            at += clusters;
        }
        prop_assert_eq!(overlay.len(), 1);
    }
}

#[test]
fn a_discard_of_everything_is_one_run_and_touches_only_what_is_there() {
    let mut base = Base::default();
    let mut dead = Vec::new();
    let location = Location::new(ScoId(3), ScoOffset(0));
    base.apply(Run { address: ClusterAddress(1 << 33), clusters: 10, location }, &mut dead);
    base.apply(Run { address: ClusterAddress(0), clusters: 1 << 34, location: Location::NONE }, &mut dead);
    assert_eq!((dead, base), (alloc::vec![ScoId(3)], Base::default()));
}

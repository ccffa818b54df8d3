//! What can go wrong, one case each.

mod failover;
mod full;
mod handover;
mod healing;
mod hung;
mod linearizable;
mod rolling;

use anyhow::{Context, Result};

use crate::bed::Bed;

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bed) -> Result<()>,
    /// Whether it measures times: it runs alone.
    pub(crate) measures: bool,
}

const fn case(name: &'static str, run: fn(&Bed) -> Result<()>) -> Case {
    Case { name, run, measures: false }
}

const CASES: [Case; 17] = [
    case("killed_leader", linearizable::killed_leader),
    case("killed_follower", linearizable::killed_follower),
    case("all_killed", linearizable::all_killed),
    case("stopped_leader", linearizable::stopped_leader),
    case("isolated_leader", linearizable::isolated_leader),
    case("one_way_cut", linearizable::one_way_cut),
    case("slow_disk", linearizable::slow_disk),
    case("hung_follower", hung::hung_follower),
    case("hung_leader", hung::hung_leader),
    case("full_disk", full::full_disk),
    case("disks_full_of_keys", full::disks_full_of_keys),
    case("killed_while_its_table_heals", healing::killed_while_its_table_heals),
    case("killed_while_it_joins_anew", healing::killed_while_it_joins_anew),
    Case { measures: true, ..case("stopped_leaders", handover::stopped_leaders) },
    case("rolling_restart", rolling::rolling_restart),
    case("rolling_upgrade", rolling::rolling_upgrade),
    Case { measures: true, ..case("failover_times", failover::failover_times) },
];

/// All cases.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter()
}

/// The case of a name.
pub(crate) fn named(name: &str) -> Result<&'static Case> {
    let names = || CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
    all().find(|case| case.name == name).with_context(|| format!("no case {name}; there are {}", names()))
}

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
}

const CASES: [Case; 16] = [
    Case { name: "killed_leader", run: linearizable::killed_leader },
    Case { name: "killed_follower", run: linearizable::killed_follower },
    Case { name: "all_killed", run: linearizable::all_killed },
    Case { name: "stopped_leader", run: linearizable::stopped_leader },
    Case { name: "isolated_leader", run: linearizable::isolated_leader },
    Case { name: "one_way_cut", run: linearizable::one_way_cut },
    Case { name: "slow_disk", run: linearizable::slow_disk },
    Case { name: "hung_follower", run: hung::hung_follower },
    Case { name: "hung_leader", run: hung::hung_leader },
    Case { name: "full_disk", run: full::full_disk },
    Case { name: "killed_while_its_table_heals", run: healing::killed_while_its_table_heals },
    Case { name: "killed_while_it_joins_anew", run: healing::killed_while_it_joins_anew },
    Case { name: "stopped_leaders", run: handover::stopped_leaders },
    Case { name: "rolling_restart", run: rolling::rolling_restart },
    Case { name: "rolling_upgrade", run: rolling::rolling_upgrade },
    Case { name: "failover_times", run: failover::failover_times },
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

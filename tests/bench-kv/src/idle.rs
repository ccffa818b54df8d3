//! What groups cost of which nobody asks anything: the processor time of each server in half a minute.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::footprint::cpu_of;
use crate::ovs::Ovs;

const TIME: Duration = Duration::from_secs(30);

/// After so long everybody sleeps.
const SETTLE: Duration = Duration::from_secs(20);

/// Parts of a core, by server.
pub struct Idle {
    pub groups: usize,
    pub alone: Vec<f64>,
    pub with_groups: Vec<f64>,
}

impl Idle {
    /// With the root group alone, and with so many groups beside it.
    pub fn measure(ovs: &Path, folder: &Path, groups: usize) -> Result<Self> {
        let cluster = Ovs::start(ovs, folder, None)?;
        let alone = parts(&cluster)?;
        (0..groups).try_for_each(|number| cluster.make_group(&format!("group-{number}")))?;
        Ok(Idle { groups, alone, with_groups: parts(&cluster)? })
    }
}

fn parts(cluster: &Ovs) -> Result<Vec<f64>> {
    std::thread::sleep(SETTLE);
    let all = || cluster.processes().map(cpu_of).collect::<Result<Vec<_>>>();
    let before = all()?;
    std::thread::sleep(TIME);
    let used = all()?.into_iter().zip(before).map(|(after, before)| after - before);
    Ok(used.map(|used| used.as_secs_f64() / TIME.as_secs_f64()).collect())
}

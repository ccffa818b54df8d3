//! What one set takes while nobody else asks for anything, on disks whose sync takes a while.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::etcd::Etcd;
use crate::floor::Floor;
use crate::load::{self, Load, Measured, Work};
use crate::ovs::Ovs;
use crate::slow::SlowDisk;

/// Medians of what one client waits for.
pub struct Alone {
    /// What the disk adds to a sync; nothing, where it is this machine's own.
    pub delay: Option<Duration>,
    pub floor: Floor,
    pub ours: Duration,
    pub etcd: Duration,
}

impl Alone {
    /// What loads came to that ran on this machine's own disk.
    pub fn measured(floor: Floor, ours: &[Measured], etcd: &[Measured]) -> Self {
        Alone { delay: None, floor, ours: median(ours), etcd: median(etcd) }
    }

    /// Runs it in turns on slow disks, one for each server.
    pub fn measure(
        ovs: &Path,
        folder: &Path,
        delay: Duration,
        rounds: usize,
        time: Duration,
    ) -> Result<Self> {
        let floor = floor(&folder.join("floor"), delay).context("the floor on slow disks")?;
        let ours = Ovs::start(ovs, &folder.join("ovs"), Some(delay)).context("ovs on slow disks")?;
        let etcd = Etcd::start(&folder.join("etcd"), Some(delay)).context("etcd on slow disks")?;
        let load = Load { work: Work::Set, clients: 1 };
        let mut measured = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            measured.0.push(load::run(&ours, load, time)?);
            measured.1.push(load::run(&etcd, load, time)?);
        }
        eprintln!("{} on disks whose sync takes {delay:?}", load.name());
        Ok(Alone { delay: Some(delay), floor, ours: median(&measured.0), etcd: median(&measured.1) })
    }

    /// How many round trips and syncs a set of ours takes.
    pub fn ratio(&self) -> f64 {
        self.times(self.ours)
    }

    /// How many round trips and syncs that is.
    pub fn times(&self, latency: Duration) -> f64 {
        latency.as_secs_f64() / self.floor.alone.as_secs_f64()
    }
}

fn floor(folder: &Path, delay: Duration) -> Result<Floor> {
    let at: Vec<PathBuf> = (1..=3).map(|server| folder.join(format!("server-{server}"))).collect();
    let _disks = at.iter().map(|at| SlowDisk::mount(at, delay)).collect::<Result<Vec<_>>>()?;
    Floor::measure([&at[0], &at[1], &at[2]])
}

fn median(rounds: &[Measured]) -> Duration {
    let mut all: Vec<_> = rounds.iter().map(|measured| measured.percentile(0.5)).collect();
    all.sort();
    all[all.len() / 2]
}

//! What a write costs the pure core: Edge and volume driver stepped in this process, with a disk, a KV and a
//! backend that answer from memory and are not counted.

#[path = "../../../../core/volume/tests/suite/world/backend.rs"]
mod backend;
mod disk;
#[path = "../../../../core/volume/tests/suite/world/registry.rs"]
mod registry;
mod world;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::report::median;
use world::World;

/// Writes that arrive in one turn.
const BATCH: u64 = 32;

/// Writes of a run.
const WRITES: u64 = 20_000;

/// What the cost is of writing 4 KiB.
pub(crate) struct Cost {
    /// Nanoseconds a write in Edge and volume driver together, 32 writes to a turn.
    pub(crate) batched: f64,
    /// The same with one write to a turn.
    pub(crate) alone: f64,
    /// Of `batched`, what the volume driver takes.
    pub(crate) driver: f64,
    /// Instructions a write, 32 to a turn; none where callgrind is missing.
    pub(crate) instructions: Option<f64>,
}

/// Measures by the clock, then counts under callgrind.
pub(crate) fn measure(rounds: u32) -> Result<Cost> {
    let batched: Vec<_> = (0..rounds).map(|_| run(WRITES, BATCH)).collect();
    let alone: Vec<_> = (0..rounds).map(|_| run(WRITES, 1)).collect();
    let of = |runs: &[(Duration, Duration)], pick: fn(&(Duration, Duration)) -> Duration| {
        let each: Vec<f64> = runs.iter().map(|run| pick(run).as_nanos() as f64 / WRITES as f64).collect();
        median(&each).context("no rounds")
    };
    Ok(Cost {
        batched: of(&batched, |(edge, driver)| *edge + *driver)?,
        alone: of(&alone, |(edge, driver)| *edge + *driver)?,
        driver: of(&batched, |(_, driver)| *driver)?,
        instructions: count().ok(),
    })
}

/// Writes at random, so many to a turn; says what Edge and volume driver took.
pub(crate) fn run(writes: u64, batch: u64) -> (Duration, Duration) {
    let mut world = World::new();
    for _ in 0..writes / batch {
        world.write(batch);
    }
    (world.edge_took, world.driver_took)
}

/// Instructions of a write: the difference of two runs, so that neither start nor opening counts.
fn count() -> Result<f64> {
    let (few, many) = (4_000, 12_000);
    Ok((collected(many)? - collected(few)?) / (many - few) as f64)
}

/// Runs this program under callgrind, which counts only what is below [`world::stepping`].
fn collected(writes: u64) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*stepping_counted*"])
        .arg(std::env::current_exe()?)
        .args(["--step-writes", &writes.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let number = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    match number.and_then(|number| number.trim().parse::<f64>().ok()) {
        Some(number) if output.status.success() && number > 0.0 => Ok(number),
        _ => bail!("callgrind: {said}"),
    }
}

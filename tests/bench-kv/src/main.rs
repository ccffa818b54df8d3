//! The KV beside etcd: three servers each on this machine, the same loads in turns, ratios.
//!
//! See README.md for what is measured and how.

mod alone;
mod etcd;
mod floor;
mod footprint;
mod idle;
mod load;
mod ovs;
mod report;
mod slow;
mod store;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;

use alone::Alone;
use etcd::Etcd;
use floor::Floor;
use idle::Idle;
use load::{KEYS, Load, Measured};
use ovs::Ovs;
use report::{CatchUp, Report, Row};
use store::{Footprint, Store};

/// Compares the KV with etcd on this machine.
#[derive(Parser)]
struct Arguments {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/ovs")]
    ovs: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often each load runs on each store.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only loads whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Keys for memory and disk, and for catching up; 0 leaves that out.
    #[arg(long, default_value_t = 300_000)]
    keys: usize,
    /// Groups that are measured idle; 0 leaves that out.
    #[arg(long, default_value_t = 300)]
    groups: usize,
    /// Milliseconds that a sync takes on slow disks, on which one client sets keys.
    #[arg(long, value_name = "MILLISECONDS", value_delimiter = ',', default_value = "1,2")]
    delays: Vec<u64>,
    /// Where the servers keep their data.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The report.
    #[arg(long, default_value = "docs/bench-kv.md")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = arguments.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("bench-kv"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let report = measure(&arguments, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    let text = report?.text();
    std::fs::write(&arguments.out, &text).with_context(|| format!("writing {}", arguments.out.display()))?;
    print!("{text}");
    Ok(())
}

fn measure(arguments: &Arguments, folder: &std::path::Path) -> Result<Report> {
    let floor = Floor::measure([folder; 3])?;
    let idle = match arguments.groups {
        0 => None,
        groups => Some(Idle::measure(&arguments.ovs, &folder.join("idle"), groups).context("idle groups")?),
    };
    let time = Duration::from_secs(arguments.seconds);
    let mut slow = Vec::new();
    for &delay in &arguments.delays {
        let (delay, folder) = (Duration::from_millis(delay), folder.join(format!("slow-{delay}")));
        slow.push(Alone::measure(&arguments.ovs, &folder, delay, arguments.rounds, time)?);
    }
    let mut ours = Ovs::start(&arguments.ovs, &folder.join("ovs"), None).context("ovs")?;
    let mut etcd = Etcd::start(&folder.join("etcd"), None).context("etcd")?;
    for store in [&ours as &dyn Store, &etcd] {
        load::fill(store, 0..KEYS).with_context(|| format!("filling {}", store.name()))?;
    }
    let mut rows = Vec::new();
    for load in Load::all().into_iter().filter(|load| load.name().contains(&arguments.only)) {
        rows.push(in_turns(load, arguments, &ours, &etcd)?);
    }
    let growth = match arguments.keys {
        0 => None,
        keys => Some((grow(&mut ours, keys)?, grow(&mut etcd, keys)?)),
    };
    let alone = rows.iter().find(|row| row.load.work == load::Work::Set && row.load.clients == 1);
    let alone =
        alone.map(|row| Alone::measured(floor, &row.ours, &row.etcd)).into_iter().chain(slow).collect();
    let (rounds, seconds) = (arguments.rounds, arguments.seconds);
    Ok(Report { etcd: Etcd::version()?, rows, alone, growth, idle, rounds, seconds })
}

fn in_turns(load: Load, arguments: &Arguments, ours: &dyn Store, etcd: &dyn Store) -> Result<Row> {
    let time = Duration::from_secs(arguments.seconds);
    let (mut of_ours, mut of_etcd): (Vec<Measured>, Vec<Measured>) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        for (store, measured) in [(ours, &mut of_ours), (etcd, &mut of_etcd)] {
            let name = || format!("{} of {}", load.name(), store.name());
            measured.push(load::run(store, load, time).with_context(name)?);
        }
    }
    eprintln!("{}", load.name());
    Ok(Row { load, ours: of_ours, etcd: of_etcd })
}

/// Adds keys while a follower is away, and lets it catch up.
fn grow(store: &mut dyn Store, keys: usize) -> Result<(Footprint, CatchUp)> {
    store.kill_follower()?;
    load::fill(store, KEYS..KEYS + keys)?;
    let started = Instant::now();
    store.start_follower()?;
    let catch_up = CatchUp { keys, time: started.elapsed() };
    let footprint = store.footprint()?;
    eprintln!("{}: {keys} keys more", store.name());
    Ok((footprint, catch_up))
}

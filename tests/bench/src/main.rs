//! `cargo xtask bench`: peers and us in one run on one machine, as ratios, written to docs/bench.md.
#![forbid(unsafe_code)]

mod coding;
mod fio;
mod goals;
mod ovs;
mod report;
mod servers;
mod stepping;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use fio::{DISK, Workload};
use ovs::Cluster;
use report::{Cell, How, Report, median};
use servers::Server;

/// How long the CPU of an idle cluster is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Bytes that 4+2 writes for each byte.
const CODED: f64 = 1.5;

/// Measures the shipped binary beside its peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds of each measurement; servers take turns within each, and medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/ovs")]
    ovs: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "docs/bench.md")]
    out: PathBuf,
    /// Where the servers keep their files; a folder is made in it, and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Only loads whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Step so many writes through the core and measure nothing: for callgrind, which counts instructions.
    #[arg(long, hide = true)]
    step_writes: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(writes) = arguments.step_writes {
        stepping::run(writes, 32);
        return Ok(());
    }
    let (begin, load) = (Instant::now(), report::load_average());
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&arguments.dir)?;
    let mut bench = Bench { arguments: &arguments, folder: folder.path(), report: Report::default() };
    let cluster = Cluster::new(&arguments.ovs, folder.path())?;
    bench.measure_servers(&cluster)?;
    let mut report = bench.report;
    println!("erasure coding");
    (report.coded, report.no_isal) = coding::measure(arguments.rounds, folder.path())?;
    println!("steps of the core");
    report.step = Some(stepping::measure(arguments.rounds)?);
    let Arguments { seconds, rounds, out, .. } = &arguments;
    report.how = How { seconds: *seconds, rounds: *rounds, took: begin.elapsed(), load };
    std::fs::write(out, report.render()).with_context(|| format!("writing {}", out.display()))?;
    println!("{}", report.render());
    Ok(())
}

/// A run.
struct Bench<'a> {
    arguments: &'a Arguments,
    folder: &'a Path,
    report: Report,
}

impl Bench<'_> {
    fn measure_servers(&mut self, cluster: &Cluster) -> Result<()> {
        let mut servers = servers::peers(self.folder)?;
        let (ours, first) = cluster.start(&[])?;
        for peer in &servers {
            fio::fill(&peer.uri)?;
        }
        self.report.sequential = Some(self.fill(&ours, cluster)?);
        servers.push(ours);
        let folder = self.folder.display().to_string();
        let line = |server: &Server| (server.name.clone(), server.line.replace(&folder, "FOLDER"));
        self.report.lines = servers.iter().map(line).collect();
        self.measure(&servers, &fio::HOT, || Ok(()))?;
        cluster.sync()?;
        servers.pop();
        servers.push(cluster.start_cold()?);
        self.measure(&servers, &fio::COLD, || cluster.drop_page_cache())?;
        servers.clear();
        let (ours, again) = cluster.start(&[])?;
        self.report.ready = Some((first.as_secs_f64(), again.as_secs_f64()));
        self.report.idle = Some(idle(&ours)?);
        Ok(())
    }

    /// Fills our disk up to the ASDs, in turns with a plain file; gives the ratio of the bytes written.
    fn fill(&self, ours: &Server, cluster: &Cluster) -> Result<f64> {
        let mut ratios = Vec::new();
        for _ in 0..self.arguments.rounds {
            let disk = fio::raw_disk(&self.folder.join("plain"))?;
            let begin = Instant::now();
            fio::fill(&ours.uri)?;
            cluster.sync()?;
            let coded = DISK as f64 * CODED / begin.elapsed().as_secs_f64();
            println!("  fill: {:.0} MB/s to ASDs, a plain file {:.0} MB/s", coded / 1e6, disk / 1e6);
            ratios.push(coded / disk);
        }
        median(&ratios).context("no rounds")
    }

    /// Each load in rounds, in each round every server.
    fn measure(
        &mut self,
        servers: &[Server],
        loads: &'static [Workload],
        before: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let wanted =
            |load: &&Workload| self.arguments.only.as_ref().is_none_or(|only| load.name.contains(only));
        for load in loads.iter().filter(wanted) {
            for _ in 0..self.arguments.rounds {
                for server in servers {
                    before()?;
                    let measured = fio::run(&server.uri, load, self.arguments.seconds)
                        .with_context(|| format!("{} with {}", load.name, server.name))?;
                    let (rate, mean) = (measured.per_second, measured.mean_us);
                    println!("  {:<22} {:<24} {rate:>9.0} /s, mean {mean:>7.0} us", load.name, server.name);
                    self.report.cells.push(Cell {
                        server: server.name.clone(),
                        workload: load.name,
                        measured,
                    });
                    server.settle()?;
                }
            }
        }
        Ok(())
    }
}

/// CPU of a cluster that nobody uses, in per cent of a core.
fn idle(server: &Server) -> Result<f64> {
    server.settle()?;
    let before = server.cpu_seconds()?;
    std::thread::sleep(IDLE);
    Ok((server.cpu_seconds()? - before) / IDLE.as_secs_f64() * 100.0)
}

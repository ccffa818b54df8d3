//! `cargo xtask bench`: peers and us in one run on one machine, as ratios, written to docs/bench.md.
#![forbid(unsafe_code)]

mod coding;
mod fio;
mod report;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use fio::Workload;
use report::{Cell, Report};
use servers::Server;

/// Measures the shipped binary beside its peers.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; servers take turns within each, and the mean is reported.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/ovs")]
    ovs: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "docs/bench.md")]
    out: PathBuf,
    /// Only workloads whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let workloads: Vec<Workload> = fio::all()
        .into_iter()
        .filter(|w| arguments.only.as_ref().is_none_or(|only| w.name.contains(only)))
        .collect();
    let mut report = Report::default();
    for round in 1..=arguments.rounds {
        for mut server in servers::all(&arguments.ovs)? {
            println!("round {round}: {}", server.name());
            measure(server.as_mut(), &workloads, arguments.seconds, &mut report)
                .with_context(|| format!("measuring {}", server.name()))?;
        }
    }
    report.notes.extend(coding::measure());
    report.notes.push(idle_and_start(&arguments.ovs)?);
    std::fs::write(&arguments.out, report.render(arguments.seconds, arguments.rounds))?;
    println!("{}", report.render(arguments.seconds, arguments.rounds));
    Ok(())
}

/// Fills the server, then measures each workload.
fn measure(server: &mut dyn Server, workloads: &[Workload], seconds: u64, report: &mut Report) -> Result<()> {
    let uri = server.start()?;
    fio::fill(&uri)?;
    server.settle()?;
    for workload in workloads {
        let measured = fio::run(&uri, workload, seconds)?;
        println!(
            "  {:<22} {:>9.0} /s, mean {:>7.0} us",
            workload.name, measured.per_second, measured.mean_us
        );
        report.add(Cell { server: server.name().into(), workload: workload.name.into(), measured });
    }
    server.stop()
}

/// CPU of an idle cluster, and how long it takes to serve.
fn idle_and_start(ovs: &std::path::Path) -> Result<String> {
    let mut server = servers::ovs(ovs)?;
    server.start()?;
    let ready = server.started_in;
    let before = server.cpu_seconds()?;
    let pause = Duration::from_secs(5);
    std::thread::sleep(pause);
    let busy = (server.cpu_seconds()? - before) / pause.as_secs_f64() * 100.0;
    server.stop()?;
    Ok(format!(
        "First start to `ready`: {} ms. CPU of an idle cluster: {busy:.1} % of a core.",
        ready.as_millis()
    ))
}

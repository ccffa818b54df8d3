//! Three servers of the shipped binary in network namespaces, and what goes wrong between them.
//!
//! Every case runs in a process and a network of its own, under a time limit, two at a time where they measure nothing. One
//! that passes prints `ok NAME` and what it measured; one that fails shows all that it and its servers said.
#![forbid(unsafe_code)]

mod bed;
mod cases;
mod clients;
mod cluster;
mod disk;
mod judge;
mod network;
mod random;
mod runner;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Runs cases against three servers of `ovs serve`.
#[derive(Parser)]
#[command(name = "kv-faults", version)]
struct Arguments {
    /// Run only this case (may be repeated).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Name the cases and do nothing.
    #[arg(long)]
    list: bool,
    /// The binary under test; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    ovs: Option<PathBuf>,
    /// Run this case here and now, in this folder. The runner starts itself so.
    #[arg(long, hide = true, requires = "folder")]
    case: Option<String>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// What the namespaces of the case are called, which the runner has made.
    #[arg(long, hide = true)]
    network: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(arguments: &Arguments) -> Result<bool> {
    let here = std::env::current_exe().context("a program knows where it is")?;
    let ovs = arguments.ovs.clone().unwrap_or_else(|| here.with_file_name("ovs"));
    if let (Some(name), Some(folder), Some(network)) =
        (&arguments.case, &arguments.folder, &arguments.network)
    {
        let bed = bed::Bed::new(folder, &ovs, network::Network::named(network));
        (cases::named(name)?.run)(&bed)?;
        return Ok(true);
    }
    if arguments.list {
        cases::all().for_each(|case| println!("{}", case.name));
        return Ok(true);
    }
    let chosen = match arguments.only.as_slice() {
        [] => cases::all().collect(),
        names => names.iter().map(|name| cases::named(name)).collect::<Result<Vec<_>>>()?,
    };
    Ok(runner::run_all(chosen, runner::Programs { here: &here, ovs: &ovs }))
}

//! Real clients against the shipped binary.
//!
//! Every case runs in a process of its own, with a cluster of its own, two at a time at most, under a time limit. A
//! case that passes prints `ok NAME`; one that fails shows all that it and its programs said.

#![forbid(unsafe_code)]

mod bed;
mod cases;
mod cluster;
mod guest;
mod history;
mod nbd;
mod pattern;
mod process;
mod random;
mod runner;
mod server;
mod storm;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use bed::{Against, Bed};

/// Runs real clients against `ovs up`.
#[derive(Parser)]
#[command(name = "clients-test", version)]
struct Arguments {
    /// Run only this case (may be repeated).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Name the cases and do nothing.
    #[arg(long)]
    list: bool,
    /// Run those cases that carry much between roles, with every message encoded through a socket.
    #[arg(long)]
    frames: bool,
    /// The server: ours, ours in a cluster whose KV is of three servers, or a reference that proves that the cases ask for
    /// nothing odd.
    #[arg(long, value_enum, default_value = "ovs")]
    against: Against,
    /// The binary under test; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    ovs: Option<PathBuf>,
    /// Run this case here and now, in this folder. The runner starts itself so.
    #[arg(long, hide = true, requires = "folder")]
    case: Option<String>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
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
    if let (Some(name), Some(folder)) = (&arguments.case, &arguments.folder) {
        let bed = Bed::new(folder, &ovs, arguments.against, arguments.frames);
        (cases::named(name)?.run)(&bed)?;
        return Ok(true);
    }
    let chosen = cases::chosen(&arguments.only, arguments.frames, arguments.against)?;
    if arguments.list {
        for case in chosen {
            println!("{}", case.name);
        }
        return Ok(true);
    }
    runner::run_all(&chosen, &here, &ovs, arguments.against, arguments.frames)
}

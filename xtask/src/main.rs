//! All automation of this repository: `cargo xtask COMMAND`.
//!
//! `test` runs everything that CI checks and never writes to the tree; `fix` writes. The rules of the house that no
//! compiler holds are in [`tidy`].

#![forbid(unsafe_code)]

mod command;
mod fix;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Everything that can be automated about this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check everything that CI checks, cheapest first; stop at the first failure. Writes nothing to the tree.
    Test(test::Choice),
    /// Check the rules of the house: layering, purity, lengths, READMEs, links, the feature table.
    Tidy,
    /// Format, apply clippy's suggestions and write the generated documents anew.
    Fix(fix::Choice),
    /// Simulate whole clusters: `cargo xtask sim --seeds 1000 --from 1 [--bug NAME]`.
    #[command(disable_help_flag = true)]
    Sim(PassThrough),
    /// Step the roles through a recorded run again: `cargo xtask replay FILE`.
    #[command(disable_help_flag = true)]
    Replay(PassThrough),
    /// Run the benchmarks, ours and the peers', in one go; `bench kv` runs those of the KV, beside etcd (see
    /// tests/bench-kv for what they need).
    #[command(disable_help_flag = true)]
    Bench(PassThrough),
}

/// Arguments handed on as they are.
#[derive(clap::Args)]
struct PassThrough {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let root = root()?;
    match verb {
        Verb::Test(choice) => test::run(&root, &choice),
        Verb::Tidy => tidy::run(&root),
        Verb::Fix(choice) => fix::run(&root, &choice),
        Verb::Sim(pass) => run_release("simulator", &[], &pass),
        Verb::Replay(pass) => run_release("simulator", &["replay"], &pass),
        Verb::Bench(pass) => match pass.arguments.split_first() {
            Some((kv, arguments)) if kv == "kv" => bench_kv(arguments),
            _ => run_release("bench", &[], &pass),
        },
    }
}

/// Builds the binary that ships, and measures its KV.
fn bench_kv(arguments: &[String]) -> Result<()> {
    command::run(Path::new("."), "cargo", &["build", "--release", "--package", "ovs"])?;
    let mut all = vec!["run", "--quiet", "--release", "--manifest-path", "tests/bench-kv/Cargo.toml", "--"];
    all.extend(arguments.iter().map(String::as_str));
    command::run(Path::new("."), "cargo", &all)
}

/// Runs a program of this workspace where the caller stands, so that file names mean what they say.
fn run_release(package: &str, first: &[&str], pass: &PassThrough) -> Result<()> {
    let mut arguments = vec!["run", "--quiet", "--release", "--package", package, "--"];
    arguments.extend(first);
    arguments.extend(pass.arguments.iter().map(String::as_str));
    command::run(Path::new("."), "cargo", &arguments)
}

/// The workspace folder: the parent of this crate's.
fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("start me with `cargo xtask`")?;
    let root = Path::new(&here).parent().context("the crate xtask lies in the workspace folder")?;
    Ok(root.to_path_buf())
}

//! `cargo xtask sim`: runs seeds and says what came of them. `cargo xtask replay`: steps roles through a recording.
#![forbid(unsafe_code)]

mod hunt;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use simulator::Moment;
use simulator::bugs;
use simulator::replay::replay;
use simulator::roles_cluster::RolesFactory;
use simulator::runs::{Factory, Report, Settings, Summary, run_many, run_one};
use simulator::workload::Profile;

/// Runs whole clusters by seed, under faults, and checks the promises.
#[derive(Parser)]
#[command(name = "cargo xtask sim", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// What guests do; drawn by seed when nothing is said.
    #[arg(long)]
    profile: Option<Profile>,
    /// Plants a bug; it must be found.
    #[arg(long, conflicts_with = "all_bugs")]
    bug: Option<String>,
    /// Plants every bug, one after another; each must be found.
    #[arg(long)]
    all_bugs: bool,
    /// Members of the KV's group; drawn by seed when nothing is said.
    #[arg(long)]
    members: Option<u16>,
    /// Groups of the KV beside its root group; drawn by seed when nothing is said.
    #[arg(long)]
    groups: Option<usize>,
    /// Prints the account of the last events of the first seed, whatever came of it.
    #[arg(long)]
    trace: bool,
    /// The last second of which an account is kept; when something shows to be broken, if nothing is said.
    #[arg(long)]
    trace_until: Option<f64>,
    /// Lines of an account.
    #[arg(long, default_value_t = 120)]
    trace_lines: usize,
    /// How many broken promises of a failing seed are told.
    #[arg(long, default_value_t = 3)]
    violations: usize,
    /// How many failing seeds are told in full.
    #[arg(long, default_value_t = 3)]
    accounts: usize,
    /// Guest operations of a seed.
    #[arg(long, default_value_t = 500)]
    operations: u64,
    /// Threads; the result doesn't depend on it.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Subcommand)]
enum Verb {
    /// Steps the roles through what `ovs up --record FILE` wrote; they must want the same again.
    Replay {
        /// The recording.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    // A panic of a role is told with its seed; where it came from is not lost.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    if let Some(Verb::Replay { file }) = &arguments.verb {
        return replay_file(file);
    }
    if let Some(name) = &arguments.bug {
        let names = bugs::ALL.map(|planted| planted.name).join(", ");
        let planted = bugs::by_name(name).with_context(|| format!("no bug {name}; there are {names}"))?;
        return hunt::find(arguments, planted);
    }
    if arguments.all_bugs {
        return hunt::find_all(arguments);
    }
    let settings = settings(arguments);
    let factory = RolesFactory { bug: None, members: arguments.members, groups: arguments.groups };
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let summary = run_many(&factory, seeds, &settings, arguments.threads);
    for (index, report) in summary.failed.iter().enumerate() {
        if index < arguments.accounts {
            tell(&factory, report, &settings, arguments);
        } else {
            println!("seed {} failed: {}", report.seed, headline(report));
        }
    }
    if arguments.trace {
        let settings = Settings { trace_lines: arguments.trace_lines, ..settings.clone() };
        let report = run_one(|| factory.make(arguments.from), arguments.from, &settings);
        report.trace.lines().iter().for_each(|line| println!("{line}"));
    }
    conclude(&summary, arguments.members.is_none() && arguments.groups.is_none())
}

fn settings(arguments: &Arguments) -> Settings {
    Settings { operations: arguments.operations, profile: arguments.profile, ..Settings::default() }
}

/// What went wrong in a seed: the line that runs it again, what is broken, and what led to it.
fn tell(factory: &RolesFactory, report: &Report, settings: &Settings, arguments: &Arguments) {
    let seed = report.seed;
    println!("seed {seed} failed; again: cargo xtask sim --seeds 1 --from {seed}{}", extras(arguments));
    if let Some(panic) = &report.panic {
        println!("  panic: {panic}");
    }
    for violation in report.violations.iter().take(arguments.violations) {
        println!("  {violation}");
    }
    let shows = report.violations.first().map_or(settings.trace_until, |violation| violation.at);
    let trace_until = arguments.trace_until.map_or(shows, |seconds| Moment((seconds * 1e9) as u64));
    let settings = Settings { trace_lines: arguments.trace_lines, trace_until, ..settings.clone() };
    let again = run_one(|| factory.make(seed), seed, &settings);
    again.trace.lines().iter().for_each(|line| println!("    {line}"));
}

/// What is wrong with a seed, in one line.
fn headline(report: &Report) -> String {
    match (&report.panic, report.violations.first()) {
        (Some(panic), _) => format!("panic: {panic}"),
        (None, Some(violation)) => violation.to_string(),
        (None, None) => "nothing".into(),
    }
}

fn extras(arguments: &Arguments) -> String {
    let mut extras = String::new();
    if let Some(profile) = arguments.profile {
        extras.push_str(&format!(" --profile {profile}"));
    }
    if let Some(members) = arguments.members {
        extras.push_str(&format!(" --members {members}"));
    }
    if let Some(groups) = arguments.groups {
        extras.push_str(&format!(" --groups {groups}"));
    }
    if arguments.operations != 500 {
        extras.push_str(&format!(" --operations {}", arguments.operations));
    }
    extras
}

fn conclude(summary: &Summary, has_all_groups: bool) -> Result<()> {
    println!("{} guest operations, {} events", summary.operations, summary.steps);
    println!("{}", summary.tally);
    let failed = summary.failed.len();
    println!("simulator: {} seeds passed, {failed} failed, digest {:016x}", summary.passed, summary.digest);
    if failed > 0 {
        let seeds: Vec<String> = summary.failed.iter().map(|report| report.seed.to_string()).collect();
        bail!("failed: {}", seeds.join(", "));
    }
    if !summary.tame.is_empty() {
        bail!("too little happened in seeds {:?}", summary.tame);
    }
    // Few seeds can't have everything, nor can groups of one size.
    let missing = summary.tally.missing();
    if has_all_groups && summary.passed >= 50 && !missing.is_empty() {
        bail!("these never happened: {missing:?}");
    }
    Ok(())
}

/// Replays a recording and says what came of it; another effect than was recorded is a failure.
fn replay_file(file: &Path) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let replayed = replay(&bytes, None).with_context(|| format!("replaying {}", file.display()))?;
    if let Some(difference) = &replayed.difference {
        bail!("{}: {difference}", file.display());
    }
    println!("replay: {replayed}: the same effects");
    Ok(())
}

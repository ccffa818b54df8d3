//! Looks for planted bugs: each must be found by the promises alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use simulator::bugs::{self, Planted};
use simulator::roles_cluster::RolesFactory;
use simulator::runs::{Report, Search, find_difference};

use crate::{Arguments, settings, tell};

/// Plants a bug and demands that a promise is seen broken.
pub(crate) fn find(arguments: &Arguments, planted: Planted) -> Result<()> {
    let report = found(arguments, planted, scan(arguments, planted, arguments.threads))?;
    println!("{}", line(planted, &report));
    if arguments.trace {
        let factory = RolesFactory { bug: Some(planted.bug), ..right(arguments, planted) };
        tell(&factory, &report, &settings(arguments), arguments);
    }
    Ok(())
}

/// Plants one after another, each in the seed in which it showed last; where it does no more, it is looked for.
pub(crate) fn find_all(arguments: &Arguments) -> Result<()> {
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(planted) = bugs::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = find_again(arguments, *planted) {
                println!("{error}");
                missed.lock().expect("no thread panics while it holds this").push(planted.name);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..arguments.threads).for_each(|_| drop(scope.spawn(work)));
    });
    let missed = missed.into_inner().expect("no thread panics while it holds this");
    println!("simulator: {} of {} planted bugs found", bugs::ALL.len() - missed.len(), bugs::ALL.len());
    if missed.is_empty() { Ok(()) } else { bail!("not found: {}", missed.join(", ")) }
}

fn find_again(arguments: &Arguments, planted: Planted) -> Result<()> {
    let noted = search(arguments, planted, planted.seed..planted.seed + 1, 1);
    if let Some(report) = noted.found {
        println!("{}", line(planted, &report));
        return Ok(());
    }
    let report = found(arguments, planted, scan(arguments, planted, 1))?;
    println!("{}; no more in {}, which bugs.rs has", line(planted, &report), planted.seed);
    Ok(())
}

fn scan(arguments: &Arguments, planted: Planted, threads: usize) -> Search {
    search(arguments, planted, arguments.from..arguments.from + bugs::SEEDS_MAX, threads)
}

fn search(arguments: &Arguments, planted: Planted, seeds: core::ops::Range<u64>, threads: usize) -> Search {
    let right = right(arguments, planted);
    let wrong = RolesFactory { bug: Some(planted.bug), ..right };
    find_difference(&wrong, &right, seeds, &settings(arguments), threads)
}

fn found(arguments: &Arguments, planted: Planted, search: Search) -> Result<Report> {
    if !search.skipped.is_empty() {
        println!("{}: seeds that fail without it as well: {:?}", planted.name, search.skipped);
    }
    let Some(report) = search.found else {
        let from = arguments.from;
        bail!("{} ({}) was not found in {} seeds from {from}", planted.name, planted.about, bugs::SEEDS_MAX);
    };
    Ok(report)
}

fn line(planted: Planted, report: &Report) -> String {
    format!("{}: seed {}: {}", planted.name, report.seed, report.violations[0])
}

/// The cluster in which it is planted, without it.
fn right(arguments: &Arguments, planted: Planted) -> RolesFactory {
    let members = arguments.members.or(planted.members);
    let groups = arguments.groups.or(planted.groups);
    RolesFactory { bug: None, members, groups }
}

//! Runs cases, each in a process group of its own, so that nothing it started outlives it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::os::unix::process::CommandExt;

use crate::bed::Against;
use crate::cases::Case;

/// Cases at a time: the machines that this runs on have two cores.
const WORKERS: usize = 2;

/// How often a running case is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What all cases of a run share.
struct Shared<'a> {
    program: &'a Path,
    ovs: &'a Path,
    against: Against,
    frames: bool,
}

/// Runs the cases and prints a line for each; returns whether all passed.
pub(crate) fn run_all(
    cases: &[&'static Case],
    program: &Path,
    ovs: &Path,
    against: Against,
    frames: bool,
) -> Result<bool> {
    if matches!(against, Against::Ovs | Against::ThreeServers) {
        ensure!(ovs.is_file(), "{} is missing: cargo build --release --package ovs", ovs.display());
    }
    let shared = Shared { program, ovs, against, frames };
    // The longest first, so that the last worker does not sit alone with it.
    let mut queue = cases.to_vec();
    queue.sort_by_key(|case| case.limit_seconds);
    let queue = Mutex::new(queue);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    if let Err(error) = run_one(case, &shared) {
                        println!("FAILED {}: {error:#}", case.name);
                        failed.lock().expect("no worker panics while it holds this").push(case.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no worker panics while it holds this");
    println!("cases: {} passed, {} failed", cases.len() - failed.len(), failed.len());
    Ok(failed.is_empty())
}

fn next(queue: &Mutex<Vec<&'static Case>>) -> Option<&'static Case> {
    queue.lock().expect("no worker panics while it holds this").pop()
}

/// Runs one case in a fresh folder beside this program (a real disk, unlike the system's folder for temporary files).
fn run_one(case: &Case, shared: &Shared) -> Result<()> {
    let parent = shared.program.with_file_name("clients");
    std::fs::create_dir_all(&parent)?;
    let folder = tempfile::Builder::new().prefix("").rand_bytes(6).tempdir_in(&parent)?;
    let log_path = folder.path().join("case.log");
    let log = File::create(&log_path)?;
    let mut command = Command::new(shared.program);
    command.arg("--case").arg(case.name).arg("--folder").arg(folder.path()).arg("--ovs").arg(shared.ovs);
    let against = shared.against.to_possible_value().context("every server has a name")?;
    command.arg("--against").arg(against.get_name());
    if shared.frames {
        command.arg("--frames");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let start = Instant::now();
    let mut child = command.spawn()?;
    let outcome = wait(&mut child, start + Duration::from_secs(case.limit_seconds));
    end_group(&child);
    child.wait()?;
    match outcome {
        Ok(true) => {
            println!("ok {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
            Ok(())
        }
        Ok(false) => Err(anyhow::anyhow!("see above")),
        Err(error) => Err(error),
    }
    .inspect_err(|_| {
        let said = std::fs::read(&log_path).unwrap_or_default();
        println!("---- {} ----\n{}----", case.name, String::from_utf8_lossy(&said));
    })
}

/// Waits until the case ends or its time is over; says whether it passed.
fn wait(child: &mut Child, deadline: Instant) -> Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        ensure!(Instant::now() < deadline, "time is over");
        std::thread::sleep(POLL);
    }
}

/// Ends everything that the case started. It is all in one group; a group without processes is no error.
fn end_group(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

//! Runs cases, each in a process group and a network of its own, under a time limit.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cases::Case;
use crate::network::{Network, SERVERS};

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// How often it is looked whether it ended.
const POLL: Duration = Duration::from_millis(50);

/// Cases at a time, where nothing is measured: most of their time they wait.
const WORKERS: usize = 2;

/// What all cases of a run share: this program and the one under test.
#[derive(Clone, Copy)]
pub(crate) struct Programs<'a> {
    pub(crate) here: &'a Path,
    pub(crate) ovs: &'a Path,
}

/// Runs cases, those that measure one by one after the others; whether all passed.
pub(crate) fn run_all(cases: Vec<&'static Case>, programs: Programs) -> bool {
    let (measuring, others) = cases.into_iter().partition(|case| case.measures);
    let others_passed = work_off(others, WORKERS, programs);
    work_off(measuring, 1, programs) && others_passed
}

fn work_off(cases: Vec<&'static Case>, workers: usize, programs: Programs) -> bool {
    let queue = Mutex::new(cases.into_iter());
    let next = || queue.lock().expect("no worker panics while it holds this").next();
    let is_well = AtomicBool::new(true);
    let worker = |number| {
        while let Some(case) = next() {
            let passed = run(programs, case.name, number).unwrap_or_else(|error| {
                println!("FAILED {}: {error:#}", case.name);
                false
            });
            is_well.fetch_and(passed, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        (0..workers).for_each(|number| drop(scope.spawn(move || worker(number))));
    });
    is_well.into_inner()
}

/// Runs a case; whether it passed.
fn run(Programs { here, ovs }: Programs, case: &str, worker: usize) -> Result<bool> {
    let folder =
        tempfile::Builder::new().prefix("kv-faults").tempdir_in(here.parent().context("a folder")?)?;
    let name = format!("f{:x}-{worker}-", std::process::id());
    let network = Network::create(&name)?;
    let log = folder.path().join("case.log");
    let output = std::fs::File::create(&log)?;
    let mut child = Command::new("ip")
        .args(["netns", "exec", &network.middle()])
        .arg(here)
        .args(["--case", case, "--network", &name, "--ovs"])
        .arg(ovs)
        .arg("--folder")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("ip (package iproute2)")?;
    let status = wait(&mut child)?;
    if status.is_none() {
        end(&mut child, folder.path())?;
    }
    let said = std::fs::read_to_string(&log)?;
    let passed = status.is_some_and(|status| status.success());
    match (passed, status) {
        (true, _) => println!("ok {case}\n{}", said.trim_end()),
        (false, None) => println!("FAILED {case}: it hangs\n{said}\n{}", servers_said(folder.path())),
        (false, Some(_)) => println!("FAILED {case}\n{said}\n{}", servers_said(folder.path())),
    }
    Ok(passed)
}

/// Waits until a case ends or its time is over.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= deadline => return Ok(None),
            None => std::thread::sleep(POLL),
        }
    }
}

/// Ends a case that hangs, and its servers. One that waits for a disk can't be killed, so the disks go on first; they are mounted
/// where the case runs alone, and go with it.
fn end(child: &mut Child, folder: &Path) -> Result<()> {
    let inside = child.id().to_string();
    for server in 1..=SERVERS {
        let disk = folder.join(format!("cluster/server-{server}/data"));
        // One that doesn't hang says so.
        let _ = Command::new("nsenter")
            .args(["--mount", "--target", &inside, "fsfreeze", "-u"])
            .arg(disk)
            .stderr(Stdio::null())
            .status();
    }
    kill_process_group(Pid::from_child(child), Signal::KILL)?;
    child.wait()?;
    Ok(())
}

fn servers_said(folder: &Path) -> String {
    let said = |server| {
        let log = std::fs::read_to_string(folder.join(format!("cluster/server-{server}.log"))).ok()?;
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        Some(format!("-- server {server}\n{last}\n"))
    };
    (1..=SERVERS).filter_map(said).collect()
}

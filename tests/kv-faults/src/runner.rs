//! Runs a case in a process of its own, within a network of its own, under a time limit.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::network::Network;

/// A case that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// How often it is looked whether it ended.
const POLL: Duration = Duration::from_millis(50);

/// Runs a case; whether it passed.
pub(crate) fn run(here: &Path, ovs: &Path, case: &str) -> Result<bool> {
    let folder =
        tempfile::Builder::new().prefix("kv-faults").tempdir_in(here.parent().context("a folder")?)?;
    let name = format!("f{:x}", std::process::id());
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
        .spawn()
        .context("ip (package iproute2)")?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => std::thread::sleep(POLL),
        }
    };
    if status.is_none() {
        child.kill()?;
        child.wait()?;
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

fn servers_said(folder: &Path) -> String {
    let said = |server| {
        let log = std::fs::read_to_string(folder.join(format!("cluster/server-{server}.log"))).ok()?;
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        Some(format!("-- server {server}\n{last}\n"))
    };
    (1..=crate::network::SERVERS).filter_map(said).collect()
}

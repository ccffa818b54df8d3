//! One server's process.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Time for a start on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Time for a clean stop on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(10);

/// A server.
pub(crate) struct Server {
    ovs: PathBuf,
    config: PathBuf,
    namespace: String,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new(ovs: &Path, config: PathBuf, namespace: String, log: PathBuf) -> Self {
        Server { ovs: ovs.into(), config, namespace, log, child: None }
    }

    /// Starts it; how much it and those before it said by then.
    pub(crate) fn spawn(&mut self) -> Result<u64> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let before = log.metadata()?.len();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace])
            .arg(&self.ovs)
            .args(["serve", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("ip (package iproute2)")?;
        self.child = Some(child);
        Ok(before)
    }

    /// Starts it, and returns when it says that it is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        let before = self.spawn()?;
        let deadline = Instant::now() + READY_LIMIT;
        while !self.says_ready(before)? {
            if let Some(status) =
                self.child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()?
            {
                bail!("the server ended at its start: {status}");
            }
            ensure!(Instant::now() < deadline, "the server doesn't get ready");
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn says_ready(&self, from: u64) -> Result<bool> {
        let log = std::fs::read(&self.log)?;
        let new = String::from_utf8_lossy(log.get(from as usize..).unwrap_or_default()).into_owned();
        Ok(new.lines().any(|line| line.starts_with("ready")))
    }

    /// Whether it was started and not ended by us.
    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match child.try_wait()? {
                Some(status) => {
                    ensure!(status.success(), "a clean stop ends with {status}");
                    return Ok(());
                }
                None if Instant::now() >= deadline => bail!("it doesn't stop"),
                None => std::thread::sleep(POLL),
            }
        }
    }

    /// `ip netns exec` becomes the program that it starts, so the child's number is the server's.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().context("the server runs")?;
        let pid = Pid::from_raw(child.id() as i32).context("a process has a number")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing more can be done about one that can't be ended.
        let _ = self.kill();
    }
}

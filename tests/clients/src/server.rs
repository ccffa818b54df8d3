//! A server process: started up to its `ready`, stopped, killed, started again.

use std::fs::{File, OpenOptions};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Time for a start, recovery included, on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Time for an emulated machine to boot and start a server.
const GUEST_READY_LIMIT: Duration = Duration::from_secs(240);

/// Time for a clean stop: the promise is 5 s on a machine of one's own; two cases share this one.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What ours says when it is ready.
const READY: &str = "ready";

/// What a server of a cluster says when guests can reach it at its port.
const READY_FOR_GUESTS: &str = "ready nbd://";

/// How often a process that starts or stops is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How a server is started again, and how one knows that it is ready.
struct Start {
    program: PathBuf,
    arguments: Vec<String>,
    /// What a line of ours begins with when it is ready; of a reference the port tells.
    says: Option<&'static str>,
    ready_limit: Duration,
}

/// A running (or stopped) server on a port of the loopback interface.
pub(crate) struct Server {
    start: Start,
    port: u16,
    log: PathBuf,
    child: Child,
    /// Servers that run as long as this one is kept, whatever is done to it.
    beside: Vec<Server>,
}

impl Server {
    /// Starts our server: `first` are arguments of its first start only.
    pub(crate) fn start_ovs(
        ovs: &Path,
        data: &Path,
        port: u16,
        first: &[String],
        frames: bool,
        log: &Path,
    ) -> Result<Self> {
        let mut common = vec![
            "--dir".to_owned(),
            data.display().to_string(),
            "--nbd".to_owned(),
            format!("127.0.0.1:{port}"),
        ];
        if frames {
            common.push("--frames".to_owned());
        }
        let again = ["up".to_owned()].into_iter().chain(common.clone()).collect();
        let start =
            Start { program: ovs.to_owned(), arguments: again, says: Some(READY), ready_limit: READY_LIMIT };
        let now: Vec<String> = first.iter().cloned().chain(common).collect();
        Server::spawn(start, &now, port, log)
    }

    /// Starts our server by another program, such as one that enters a namespace: `prefix` ends with our binary.
    pub(crate) fn start_through(
        prefix: &[String],
        first: &[String],
        common: &[String],
        port: u16,
        log: &Path,
    ) -> Result<Self> {
        let (program, words) = prefix.split_first().context("a command line has a program")?;
        let line = |more: &[String]| -> Vec<String> {
            let up = ["up".to_owned()];
            words.iter().chain(&up).chain(more).chain(common).cloned().collect()
        };
        let start = Start {
            program: PathBuf::from(program),
            arguments: line(&[]),
            says: Some(READY),
            ready_limit: READY_LIMIT,
        };
        Server::spawn(start, &line(first), port, log)
    }

    /// Starts one server of a cluster of several, which listens on this port.
    pub(crate) fn start_serve(ovs: &Path, config: &Path, port: u16, log: &Path) -> Result<Self> {
        let arguments = ["serve".to_owned(), "--config".to_owned(), config.display().to_string()];
        let start = Start {
            program: ovs.to_owned(),
            arguments: arguments.to_vec(),
            says: Some(READY),
            ready_limit: READY_LIMIT,
        };
        Server::spawn(start, &arguments, port, log)
    }

    /// The same of the server where guests come, whose NBD listens on this port.
    pub(crate) fn start_for_guests(ovs: &Path, config: &Path, port: u16, log: &Path) -> Result<Self> {
        let arguments = ["serve".to_owned(), "--config".to_owned(), config.display().to_string()];
        let start = Start {
            program: ovs.to_owned(),
            arguments: arguments.to_vec(),
            says: Some(READY_FOR_GUESTS),
            ready_limit: READY_LIMIT,
        };
        Server::spawn(start, &arguments, port, log)
    }

    /// A number that the kernel has of the process, in KiB, such as `VmHWM`, its highest memory.
    pub(crate) fn memory_kib(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let line = line.with_context(|| format!("the kernel does not say {name}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Starts a server of somebody else's on an image file.
    pub(crate) fn start_reference(line: &str, image: &Path, port: u16, log: &Path) -> Result<Self> {
        let mut words = line.split_whitespace().map(str::to_owned);
        let program = PathBuf::from(words.next().context("a command line has a program")?);
        let arguments: Vec<String> = words.chain([image.display().to_string()]).collect();
        let start = Start { program, arguments: arguments.clone(), says: None, ready_limit: READY_LIMIT };
        Server::spawn(start, &arguments, port, log)
    }

    /// Starts an emulated machine, whose console says `ready` when the server in it does.
    pub(crate) fn start_guest(emulator: &Path, arguments: &[String], port: u16, log: &Path) -> Result<Self> {
        let start = Start {
            program: emulator.to_owned(),
            arguments: arguments.to_vec(),
            says: Some(READY),
            ready_limit: GUEST_READY_LIMIT,
        };
        Server::spawn(start, arguments, port, log)
    }

    fn spawn(start: Start, arguments: &[String], port: u16, log: &Path) -> Result<Self> {
        println!("$ {} {} &", start.program.display(), arguments.join(" "));
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let said_before = file.metadata()?.len();
        let child = Command::new(&start.program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", start.program.display()))?;
        let mut server = Server { start, port, log: log.to_owned(), child, beside: Vec::new() };
        server.await_ready(said_before)?;
        Ok(server)
    }

    /// Keeps these servers, which it needs.
    pub(crate) fn beside(mut self, others: Vec<Server>) -> Self {
        self.beside = others;
        self
    }

    /// Waits until it says that it is ready, behind what it had said before.
    pub(crate) fn await_ready(&mut self, said_before: u64) -> Result<()> {
        let (ready, port) = (self.start.says, self.port);
        self.wait_until(said_before, |said| match ready {
            Some(ready) => said.lines().any(|line| line.starts_with(ready)),
            None => TcpStream::connect(("127.0.0.1", port)).is_ok(),
        })
    }

    fn wait_until(&mut self, said_before: u64, is_so: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + self.start.ready_limit;
        loop {
            let said = self.said_since(said_before)?;
            if is_so(&said) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended before it was ready: {status}\n{said}");
            }
            ensure!(Instant::now() < deadline, "the server is not ready in time\n{said}");
            std::thread::sleep(POLL);
        }
    }

    /// What the server said from a position of its log on.
    fn said_since(&self, position: u64) -> Result<String> {
        let all = std::fs::read(&self.log)?;
        let from = usize::try_from(position)?.min(all.len());
        Ok(String::from_utf8_lossy(&all[from..]).into_owned())
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a vDisk, as clients take it.
    pub(crate) fn uri(&self, vdisk: &str) -> String {
        format!("nbd://127.0.0.1:{}/{vdisk}", self.port)
    }

    /// The process, for those that signal it from another thread.
    pub(crate) fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.child.id())?).context("a process has an id")
    }

    /// SIGKILL, as the kernel or an impatient operator would send it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for a clean end with exit code 0.
    pub(crate) fn stop(&mut self) -> Result<()> {
        kill_process(self.pid()?, Signal::TERM)?;
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // nbdkit and qemu-nbd end with 0 as well.
                ensure!(status.success(), "stopping ended with {status}\n{}", self.said_since(0)?);
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "still running {STOP_LIMIT:?} after SIGTERM\n{}",
                self.said_since(0)?
            );
            std::thread::sleep(POLL);
        }
    }

    /// Starts it again on the same data and port, with `more` arguments; it must have ended.
    pub(crate) fn start_again(&mut self, more: &[&str]) -> Result<()> {
        let said_before = self.spawn_again(more)?;
        self.await_ready(said_before)
    }

    /// Starts it again where it says this and waits, rather than being ready. Returns how much it had said before, for
    /// [`Server::await_ready`].
    pub(crate) fn start_waiting(&mut self, says: &str) -> Result<u64> {
        let said_before = self.spawn_again(&[])?;
        self.wait_until(said_before, |said| said.contains(says))?;
        Ok(said_before)
    }

    fn spawn_again(&mut self, more: &[&str]) -> Result<u64> {
        self.child.wait()?;
        let said_before = File::open(&self.log)?.metadata()?.len();
        let mut arguments = self.start.arguments.clone();
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        println!("$ {} {} &", self.start.program.display(), arguments.join(" "));
        let file = OpenOptions::new().append(true).open(&self.log)?;
        self.child = Command::new(&self.start.program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(said_before)
    }
}

impl Drop for Server {
    /// A case that fails leaves its server's words behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let said = self.said_since(0).unwrap_or_default();
        let skipped = said.lines().count().saturating_sub(200);
        let tail: Vec<&str> = said.lines().skip(skipped).collect();
        println!("-- the server said (last lines):\n{}", tail.join("\n"));
    }
}

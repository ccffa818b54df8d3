//! The servers that are compared.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The port that each server takes in its turn.
const PORT: u16 = 10_877;

/// A server under measurement.
pub(crate) trait Server {
    /// Its name in the table.
    fn name(&self) -> &str;
    /// Starts it and gives its URI.
    fn start(&mut self) -> Result<String>;
    /// Lets it finish what filling it left to do.
    fn settle(&mut self) -> Result<()> {
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    }
    /// Ends it.
    fn stop(&mut self) -> Result<()>;
}

/// All of them, the null first.
pub(crate) fn all(ovs_binary: &Path) -> Result<Vec<Box<dyn Server>>> {
    let port = PORT.to_string();
    let raw = |cache: &str| -> Result<Box<dyn Server>> {
        let folder = TempDir::new_in(".")?;
        let image = folder.path().join("disk.raw").display().to_string();
        std::fs::File::create(&image)?.set_len(1 << 30)?;
        let line = format!(
            "qemu-nbd -t -f raw --cache={cache} --aio=threads -e 8 -x disk1 -b 127.0.0.1 -p {port} {image}"
        );
        Ok(Box::new(Peer::new(&format!("qemu-nbd cache={cache}"), &line, Some(folder))))
    };
    let null = format!("nbdkit -f -i 127.0.0.1 -p {port} memory 1G");
    Ok(vec![
        Box::new(Peer::new("nbdkit memory", &null, None)),
        raw("none")?,
        raw("writeback")?,
        Box::new(ovs(ovs_binary)?),
    ])
}

/// Ours.
pub(crate) fn ovs(binary: &Path) -> Result<Ovs> {
    let binary =
        binary.canonicalize().with_context(|| format!("{}: cargo build --release", binary.display()))?;
    Ok(Ovs { binary, folder: TempDir::new_in(".")?, child: None, started_in: Duration::ZERO })
}

/// Somebody else's server, started by a command.
struct Peer {
    name: String,
    line: String,
    child: Option<Child>,
    _folder: Option<TempDir>,
}

impl Peer {
    fn new(name: &str, line: &str, folder: Option<TempDir>) -> Self {
        Peer { name: name.into(), line: line.into(), child: None, _folder: folder }
    }
}

impl Server for Peer {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self) -> Result<String> {
        let words: Vec<&str> = self.line.split(' ').collect();
        let child = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).spawn();
        self.child = Some(child.with_context(|| format!("{} does not run", words[0]))?);
        wait_for_port()?;
        Ok(format!("nbd://127.0.0.1:{PORT}/disk1"))
    }

    fn stop(&mut self) -> Result<()> {
        end(&mut self.child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = end(&mut self.child);
    }
}

/// A cluster in one process.
pub(crate) struct Ovs {
    binary: std::path::PathBuf,
    folder: TempDir,
    child: Option<Child>,
    pub(crate) started_in: Duration,
}

impl Ovs {
    /// CPU that the process has used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let pid = self.child.as_ref().context("not started")?.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no stat")?.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).context("no ticks");
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }
}

impl Server for Ovs {
    fn name(&self) -> &str {
        "ovs up"
    }

    fn start(&mut self) -> Result<String> {
        let begin = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(["up", "--vdisk", "disk1:1GiB", "--nbd", &format!("127.0.0.1:{PORT}"), "--dir"])
            .arg(self.folder.path().join("cluster"))
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        self.child = Some(child);
        for line in lines {
            if line?.starts_with("ready") {
                self.started_in = begin.elapsed();
                return Ok(format!("nbd://127.0.0.1:{PORT}/disk1"));
            }
        }
        bail!("ovs up ended before it was ready")
    }

    fn settle(&mut self) -> Result<()> {
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        end(&mut self.child)
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        let _ = end(&mut self.child);
    }
}

fn end(child: &mut Option<Child>) -> Result<()> {
    if let Some(mut child) = child.take() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

fn wait_for_port() -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", PORT)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on port {PORT}")
}

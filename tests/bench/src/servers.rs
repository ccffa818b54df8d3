//! The servers that are compared.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::fio::DISK;

/// The port of the first server; each takes the next.
pub(crate) const PORT: u16 = 10_877;

/// The server that the others are measured by.
pub(crate) const NULL: &str = "nbdkit memory";

/// A raw file past the page cache.
pub(crate) const RAW: &str = "qemu-nbd cache=none";

/// The longest wait for a server to finish what a load left to do.
const SETTLED: Duration = Duration::from_secs(15);

/// A process that serves NBD.
pub(crate) struct Server {
    pub(crate) name: String,
    /// How it was started.
    pub(crate) line: String,
    pub(crate) uri: String,
    pub(crate) child: Child,
}

/// Starts the peers on files in a folder, the null first.
pub(crate) fn peers(folder: &Path) -> Result<Vec<Server>> {
    let raw = |cache: &str, port: u16| {
        let image = folder.join(format!("{cache}.raw"));
        std::fs::File::create(&image)?.set_len(DISK)?;
        let image = image.display();
        let line = format!(
            "qemu-nbd -t -f raw --cache={cache} --aio=threads -e 8 -x disk1 -b 127.0.0.1 -p {port} {image}"
        );
        peer(&format!("qemu-nbd cache={cache}"), line, port)
    };
    let null = format!("nbdkit -f -i 127.0.0.1 -p {PORT} memory {DISK}");
    Ok(vec![peer(NULL, null, PORT)?, raw("none", PORT + 1)?, raw("writeback", PORT + 2)?])
}

fn peer(name: &str, line: String, port: u16) -> Result<Server> {
    if TcpStream::connect(("127.0.0.1", port)).is_ok() {
        bail!("port {port} is in use: end what listens there");
    }
    let words: Vec<&str> = line.split(' ').collect();
    let child = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).spawn();
    let child = child.with_context(|| format!("{0} does not run: apt-get install {0}", words[0]))?;
    let uri = format!("nbd://127.0.0.1:{port}/disk1");
    let server = Server { name: name.into(), line, uri, child };
    wait_for_port(port)?;
    Ok(server)
}

impl Server {
    /// CPU that the process has used so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no stat")?.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).context("no ticks");
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Waits until it has done what a load left to do, so that the next one measured is not disturbed.
    pub(crate) fn settle(&self) -> Result<()> {
        let pause = Duration::from_millis(100);
        let (mut before, mut idle) = (self.cpu_seconds()?, 0);
        for _ in 0..SETTLED.as_millis() / pause.as_millis() {
            std::thread::sleep(pause);
            let now = self.cpu_seconds()?;
            idle = if now - before < 0.015 { idle + 1 } else { 0 };
            if idle == 2 {
                break;
            }
            before = now;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for_port(port: u16) -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on port {port}")
}

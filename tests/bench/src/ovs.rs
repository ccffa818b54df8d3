//! Ours: a cluster in one process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::fio::DISK;
use crate::servers::{PORT, Server};

/// Its name in the tables.
pub(crate) const NAME: &str = "ovs up";

/// A port that no peer takes.
const OWN_PORT: u16 = PORT + 3;

/// A cluster's binary and folder.
pub(crate) struct Cluster {
    binary: PathBuf,
    folder: PathBuf,
}

impl Cluster {
    pub(crate) fn new(binary: &Path, folder: &Path) -> Result<Self> {
        let missing = || format!("{} is not there: cargo build --release -p ovs", binary.display());
        Ok(Cluster { binary: binary.canonicalize().with_context(missing)?, folder: folder.join("cluster") })
    }

    /// Starts it, and says after how long it was ready.
    pub(crate) fn start(&self, more: &[&str]) -> Result<(Server, Duration)> {
        let begin = Instant::now();
        let mut arguments = vec!["up".to_owned(), "--vdisk".into(), format!("disk1:{}GiB", DISK >> 30)];
        arguments.extend(["--nbd".into(), format!("127.0.0.1:{OWN_PORT}")]);
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        arguments.extend(["--dir".into(), self.folder.display().to_string()]);
        let mut child = Command::new(&self.binary).args(&arguments).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let line = format!("ovs {}", arguments.join(" "));
        let uri = format!("nbd://127.0.0.1:{OWN_PORT}/disk1");
        let server = Server { name: NAME.into(), line, uri, child };
        while let Some(line) = lines.next().transpose()? {
            if line.starts_with("ready") {
                let after = begin.elapsed();
                // Whatever it says later must find a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((server, after));
            }
        }
        bail!("ovs up ended before it was ready")
    }

    /// Pushes everything acknowledged to the ASDs.
    pub(crate) fn sync(&self) -> Result<()> {
        let words = ["vdisk", "sync", "disk1", "--dir"];
        let output = Command::new(&self.binary).args(words).arg(&self.folder).output()?;
        if !output.status.success() {
            bail!("ovs vdisk sync failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// After a [`Cluster::sync`] and the end of the process: takes the write buffer away, so that every read goes to
    /// the ASDs, and gives a start that accepts that.
    pub(crate) fn start_cold(&self) -> Result<Server> {
        std::fs::remove_dir_all(self.folder.join("write-buffer"))?;
        Ok(self.start(&["--accept-write-buffer-loss"])?.0)
    }

    /// Drops the ASDs' files from the page cache.
    pub(crate) fn drop_page_cache(&self) -> Result<()> {
        for file in files_below(&self.folder)? {
            let from = format!("if={}", file.display());
            let dropped =
                Command::new("dd").args([&from, "iflag=nocache", "count=0", "status=none"]).status()?;
            anyhow::ensure!(dropped.success(), "dd could not drop {} from the page cache", file.display());
        }
        Ok(())
    }
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(files)
}

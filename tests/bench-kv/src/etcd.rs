//! Three servers of etcd on loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp};
use tokio::runtime::{Builder, Runtime};

use crate::footprint::{disk_of, memory_of};
use crate::slow::SlowDisk;
use crate::store::{Client, Consistency, Footprint, Store};

const SERVERS: usize = 3;

/// Ports of the first server: for clients, for other servers.
const PORTS: (u16, u16) = (17_379, 17_380);

/// The cluster.
pub struct Etcd {
    folder: PathBuf,
    servers: Vec<Child>,
    killed: Option<usize>,
    /// Dropped after the servers.
    _disks: Vec<SlowDisk>,
}

impl Etcd {
    /// Starts it in a new folder, and returns when it serves. Where a delay is told, each server has a disk of its own whose sync
    /// takes so long.
    pub fn start(folder: &Path, delay: Option<Duration>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mount = |delay| (0..SERVERS).map(move |server| SlowDisk::mount(&data(folder, server), delay));
        let _disks = delay.into_iter().flat_map(mount).collect::<Result<_>>()?;
        let servers = (0..SERVERS).map(|server| spawn(folder, server)).collect::<Result<_>>()?;
        let etcd = Etcd { folder: folder.into(), servers, killed: None, _disks };
        let deadline = Instant::now() + Duration::from_secs(30);
        while etcd.client(0).and_then(|mut client| client.set(b"ready", b"")).is_err() {
            ensure!(Instant::now() < deadline, "etcd doesn't serve");
        }
        Ok(etcd)
    }

    /// What it is, in a line.
    pub fn version() -> Result<String> {
        let output = Command::new("etcd").arg("--version").output().context("etcd (package etcd-server)")?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("etcd").replace(" Version:", ""))
    }

    fn status(&self, server: usize) -> Result<(bool, u64)> {
        let mut client = EtcdClient::connect(server)?;
        let EtcdClient { runtime, client } = &mut client;
        let status = runtime.block_on(client.status())?;
        let id = status.header().map_or(0, |header| header.member_id());
        Ok((status.leader() == id, status.raft_applied_index()))
    }
}

fn data(folder: &Path, server: usize) -> PathBuf {
    folder.join(format!("s{server}"))
}

fn spawn(folder: &Path, server: usize) -> Result<Child> {
    let url = |first: u16, server: usize| format!("http://127.0.0.1:{}", first + 2 * server as u16);
    let all: Vec<_> = (0..SERVERS).map(|server| format!("s{server}={}", url(PORTS.1, server))).collect();
    let log = std::fs::File::create(folder.join(format!("s{server}.log")))?;
    Command::new("etcd")
        .args(["--name", &format!("s{server}"), "--initial-cluster", &all.join(",")])
        .args([
            "--listen-client-urls",
            &url(PORTS.0, server),
            "--advertise-client-urls",
            &url(PORTS.0, server),
        ])
        .args([
            "--listen-peer-urls",
            &url(PORTS.1, server),
            "--initial-advertise-peer-urls",
            &url(PORTS.1, server),
        ])
        .args(["--quota-backend-bytes", "8589934592", "--logger", "zap"])
        .arg("--data-dir")
        .arg(data(folder, server))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("etcd (package etcd-server)")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Store for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    /// A client speaks to one server, as what it measures should not depend on where a library looks next.
    fn client(&self, number: usize) -> Result<Box<dyn Client>> {
        let running: Vec<usize> = (0..SERVERS).filter(|server| self.killed != Some(*server)).collect();
        Ok(Box::new(EtcdClient::connect(running[number % running.len()])?))
    }

    fn kill_follower(&mut self) -> Result<()> {
        for server in 0..SERVERS {
            if !self.status(server)?.0 {
                self.servers[server].kill()?;
                self.servers[server].wait()?;
                self.killed = Some(server);
                return Ok(());
            }
        }
        bail!("every server of etcd says that it leads")
    }

    fn start_follower(&mut self) -> Result<()> {
        let server = self.killed.take().context("a server was killed")?;
        self.servers[server] = spawn(&self.folder, server)?;
        let other = (server + 1) % SERVERS;
        let (_, wanted) = self.status(other)?;
        while self.status(server).map_or(0, |(_, applied)| applied) < wanted {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn footprint(&self) -> Result<Footprint> {
        let memory = self.servers.iter().map(|server| memory_of(server.id())).sum::<Result<u64>>()?;
        let disk = (0..SERVERS)
            .map(|server| disk_of(&self.folder.join(format!("s{server}"))))
            .sum::<Result<u64>>()?;
        Ok(Footprint { memory, disk })
    }
}

/// A client with a runtime of its own, so that its thread waits for its socket and for nothing else.
struct EtcdClient {
    runtime: Runtime,
    client: etcd_client::Client,
}

impl EtcdClient {
    fn connect(server: usize) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let address = format!("127.0.0.1:{}", PORTS.0 + 2 * server as u16);
        let client = runtime.block_on(etcd_client::Client::connect([address], None))?;
        Ok(EtcdClient { runtime, client })
    }
}

impl Client for EtcdClient {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.runtime.block_on(self.client.put(key, value, None))?;
        Ok(())
    }

    fn get(&mut self, key: &[u8], consistency: Consistency) -> Result<()> {
        let options = GetOptions::new();
        let options = if consistency == Consistency::Stale { options.with_serializable() } else { options };
        let answer = self.runtime.block_on(self.client.get(key, Some(options)))?;
        ensure!(answer.kvs().len() == 1, "the key is there");
        Ok(())
    }

    fn sequence(&mut self, keys: &[Vec<u8>], value: &[u8]) -> Result<()> {
        let exist: Vec<_> =
            keys.iter().map(|key| Compare::version(key.clone(), CompareOp::Greater, 0)).collect();
        let sets: Vec<_> = keys.iter().map(|key| TxnOp::put(key.clone(), value, None)).collect();
        let answer = self.runtime.block_on(self.client.txn(Txn::new().when(exist).and_then(sets)))?;
        ensure!(answer.succeeded(), "the keys are there");
        Ok(())
    }

    fn range(&mut self, prefix: &[u8], limit: usize) -> Result<()> {
        let options = GetOptions::new().with_prefix().with_limit(limit as i64);
        let answer = self.runtime.block_on(self.client.get(prefix, Some(options)))?;
        ensure!(answer.kvs().len() == limit, "so many keys are there");
        Ok(())
    }
}

//! Three servers of `ovs serve` on loopback.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use certificates::Credentials;
use glossary::ServerId;
use kv_client::{Steps, TlsDial};

use crate::footprint::{disk_of, memory_of};
use crate::slow::SlowDisk;
use crate::store::{Client, Consistency, Footprint, Store};

const SERVERS: u16 = 3;

/// The port of the first server.
const PORT: u16 = 17_410;

/// Time for anything.
const LIMIT: Duration = Duration::from_secs(120);

/// The cluster.
pub struct Ovs {
    ovs: PathBuf,
    root: PathBuf,
    servers: BTreeMap<u16, Child>,
    killed: Option<u16>,
    /// Dropped after the servers.
    disks: Vec<SlowDisk>,
}

/// What a server says of itself.
struct Status {
    leads: bool,
    applied: u64,
}

impl Ovs {
    /// Makes a cluster and starts it, and returns when it serves. Where a delay is told, each server has a disk of its own whose
    /// sync takes so long.
    pub fn start(ovs: &Path, root: &Path, delay: Option<Duration>) -> Result<Self> {
        let mut cluster = Ovs {
            ovs: ovs.into(),
            root: root.into(),
            servers: BTreeMap::new(),
            killed: None,
            disks: Vec::new(),
        };
        let at: Vec<_> = (1..=SERVERS).map(|server| format!("--address={}", address(server))).collect();
        let (at, folder) = (at.iter().map(String::as_str), root.display().to_string());
        cluster.run(&["cluster", "init", &folder].into_iter().chain(at).collect::<Vec<_>>())?;
        cluster.run(&["cluster", "add-client", &root.display().to_string(), "bench"])?;
        for server in 1..=SERVERS {
            if let Some(delay) = delay {
                cluster.disks.push(SlowDisk::mount(&cluster.data(server), delay)?);
            }
            cluster.run(&["kv", "init", "--config", &cluster.config(server), "--with", "1,2,3"])?;
            let child = cluster.spawn(server)?;
            cluster.servers.insert(server, child);
        }
        let mut client = cluster.client(0)?;
        let deadline = Instant::now() + LIMIT;
        while client.set(b"ready", b"").is_err() {
            ensure!(Instant::now() < deadline, "ovs doesn't serve");
        }
        Ok(cluster)
    }

    /// A client that finds the leader by itself.
    fn connect(&self, number: usize) -> Result<kv_client::Client> {
        let credentials = Credentials::load(&self.root.join("clients/bench/certificates"))?;
        let servers = (1..=SERVERS).map(|server| (ServerId(server), address(server))).collect();
        let dial = TlsDial::new(credentials, servers).beginning_with(ServerId(number as u16 % SERVERS + 1));
        let mut client = kv_client::Client::connect(Box::new(dial))?;
        client.wait_for(Duration::from_secs(30));
        Ok(client)
    }

    /// Makes a group of keys, as an operator does.
    pub fn make_group(&self, name: &str) -> Result<()> {
        let admin = self.root.join("clients/admin/ovs.toml").display().to_string();
        self.run(&["kv", "group", "create", name, "--config", &admin]).map(drop)
    }

    /// The processes of the servers, in their order.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        self.servers.values().map(Child::id)
    }

    fn config(&self, server: u16) -> String {
        self.root.join(format!("server-{server}/ovs.toml")).display().to_string()
    }

    fn data(&self, server: u16) -> PathBuf {
        self.root.join(format!("server-{server}/data"))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.ovs).args(arguments).output().context("the binary (--ovs)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ovs {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    fn spawn(&self, server: u16) -> Result<Child> {
        let log = std::fs::File::create(self.root.join(format!("server-{server}.log")))?;
        let mut command = Command::new(&self.ovs);
        command
            .args(["serve", "--config", &self.config(server)])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?);
        command.stderr(log).spawn().context("the binary (--ovs)")
    }

    fn status(&self, server: u16) -> Result<Status> {
        let text = self.run(&["kv", "status", "--json", "--config", &self.config(server)])?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        let applied = value["applied"].as_u64().context("a status says how far it is")?;
        Ok(Status { leads: value["role"] == "leader", applied })
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        for server in self.servers.values_mut() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Store for Ovs {
    fn name(&self) -> &'static str {
        "ovs"
    }

    /// Every client finds the leader by itself; a stale read asks the server that it began with.
    fn client(&self, number: usize) -> Result<Box<dyn Client>> {
        Ok(Box::new(OvsClient(self.connect(number)?)))
    }

    fn kill_follower(&mut self) -> Result<()> {
        for server in 1..=SERVERS {
            if !self.status(server)?.leads {
                let child = self.servers.get_mut(&server).context("it runs")?;
                child.kill()?;
                child.wait()?;
                self.killed = Some(server);
                return Ok(());
            }
        }
        bail!("every server says that it leads")
    }

    fn start_follower(&mut self) -> Result<()> {
        let server = self.killed.take().context("a server was killed")?;
        let child = self.spawn(server)?;
        self.servers.insert(server, child);
        let wanted = self.status(server % SERVERS + 1)?.applied;
        while self.status(server).map_or(0, |status| status.applied) < wanted {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn footprint(&self) -> Result<Footprint> {
        let memory = self.servers.values().map(|server| memory_of(server.id())).sum::<Result<u64>>()?;
        let disk = (1..=SERVERS).map(|server| disk_of(&self.data(server))).sum::<Result<u64>>()?;
        Ok(Footprint { memory, disk })
    }
}

fn address(server: u16) -> String {
    format!("127.0.0.1:{}", PORT + server)
}

struct OvsClient(kv_client::Client);

impl Client for OvsClient {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.set(key, value)?)
    }

    fn get(&mut self, key: &[u8], consistency: Consistency) -> Result<()> {
        self.0.read_with(match consistency {
            Consistency::Linearizable => kv_client::Consistency::Linearizable,
            Consistency::Stale => kv_client::Consistency::Stale,
        });
        ensure!(self.0.get(key)?.is_some(), "the key is there");
        Ok(())
    }

    fn sequence(&mut self, keys: &[Vec<u8>], value: &[u8]) -> Result<()> {
        let asserts = keys.iter().fold(Steps::new(), |steps, key| steps.assert_exists(key.clone()));
        let steps = keys.iter().fold(asserts, |steps, key| steps.set(key.clone(), value));
        self.0.sequence(steps)?;
        Ok(())
    }

    fn range(&mut self, prefix: &[u8], limit: usize) -> Result<()> {
        let pairs = self.0.prefix(prefix).take(limit).collect::<Result<Vec<_>, _>>()?;
        ensure!(pairs.len() == limit, "so many keys are there");
        Ok(())
    }
}

//! Three servers of the binary, and a client of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use certificates::Credentials;
use kv_client::{Client, TlsDial};
use rustix::process::Signal;
use serde_json::Value;

use crate::disk::{self, Disk};
use crate::network::{Network, SERVERS, address};
use crate::server::Server;

/// The port of each server.
const PORT: u16 = 7410;

/// Time for the group to agree on a leader, or for a server to catch up, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(20);

/// The servers.
pub(crate) struct Cluster {
    ovs: PathBuf,
    root: PathBuf,
    servers: RefCell<BTreeMap<u16, Server>>,
    has_own_disks: bool,
}

/// How a cluster is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Make {
    /// Each server's data lies on such a disk, which is its own.
    pub(crate) disk: Option<Disk>,
    /// All servers are held at this level.
    pub(crate) level: Option<u32>,
}

/// What a server says of itself.
struct Status {
    leads: bool,
    applied: u64,
    voters: usize,
}

impl Cluster {
    /// Makes a cluster of three and starts it.
    pub(crate) fn start(ovs: &Path, root: &Path, network: &Network, make: Make) -> Result<Self> {
        let Make { disk, level } = make;
        let cluster = Cluster {
            ovs: ovs.into(),
            root: root.into(),
            servers: RefCell::default(),
            has_own_disks: disk.is_some(),
        };
        let at: Vec<_> =
            (1..=SERVERS).map(|server| format!("--address={}:{PORT}", address(server))).collect();
        let at = at.iter().map(String::as_str);
        cluster.ovs(&["cluster", "init", &cluster.path("")].into_iter().chain(at).collect::<Vec<_>>())?;
        cluster.ovs(&["cluster", "add-client", &cluster.path(""), "tester"])?;
        for server in 1..=SERVERS {
            if let Some(disk) = disk {
                disk.mount(&cluster.data(server))?;
            }
            cluster.hold(server, level)?;
            cluster.ovs(&["kv", "init", "--config", &cluster.config(server), "--with", "1,2,3"])?;
            let log = root.join(format!("server-{server}.log"));
            let process = Server::new(ovs, cluster.config(server).into(), network.of(server), log);
            cluster.servers.borrow_mut().insert(server, process);
        }
        cluster.start_dead()?;
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    fn config(&self, server: u16) -> String {
        self.path(&format!("server-{server}/ovs.toml"))
    }

    fn data(&self, server: u16) -> PathBuf {
        self.root.join(format!("server-{server}/data"))
    }

    fn ovs(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.ovs).args(arguments).output().context("the binary")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ovs {}: {}", arguments.join(" "), said.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// From its next start on a server is held at this level; at its program's, where none is named.
    pub(crate) fn hold(&self, server: u16, level: Option<u32>) -> Result<()> {
        let text = std::fs::read_to_string(self.config(server))?;
        let line = level.map_or_else(|| "# level =".to_owned(), |level| format!("level = {level} #"));
        let held = |old: &str| old.trim_start_matches("# ").starts_with("level =");
        let lines = text.lines().map(|old| if held(old) { &line } else { old });
        Ok(std::fs::write(self.config(server), lines.collect::<Vec<_>>().join("\n") + "\n")?)
    }

    /// A level of those that a server tells.
    pub(crate) fn level(&self, server: u16, which: impl Fn(&Value) -> &Value) -> Result<u64> {
        self.wait_for("a server doesn't tell a level", || which(&self.told(server)?).as_u64())
    }

    /// Waits until all servers say that the group has a level.
    pub(crate) fn wait_for_level(&self, level: u64) -> Result<()> {
        let has = |server: u16| self.told(server).is_some_and(|status| status["group_level"] == level);
        self.wait_for("the group doesn't rise to the level", || (1..=SERVERS).all(has).then_some(()))
    }

    fn told(&self, server: u16) -> Option<Value> {
        let text = self.ovs(&["kv", "status", "--json", "--config", &self.config(server)]).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// What a running server says; none where it says nothing.
    fn status(&self, server: u16) -> Option<Status> {
        let value = self.told(server)?;
        Some(Status {
            leads: value["role"] == "leader",
            applied: value["applied"].as_u64()?,
            voters: value["voters"].as_array()?.len(),
        })
    }

    fn with<T>(&self, server: u16, act: impl FnOnce(&mut Server) -> Result<T>) -> Result<T> {
        let mut servers = self.servers.borrow_mut();
        let server = servers.get_mut(&server).context("servers are 1 to 3")?;
        act(server)
    }

    fn running(&self) -> Vec<u16> {
        self.servers
            .borrow()
            .iter()
            .filter(|(_, server)| server.is_running())
            .map(|(number, _)| *number)
            .collect()
    }

    /// The server that leads.
    pub(crate) fn leader(&self) -> Result<u16> {
        self.wait_for("no server leads", || {
            let leads = |server: &u16| self.status(*server).is_some_and(|status| status.leads);
            self.running().into_iter().find(leads)
        })
    }

    /// A server that doesn't.
    pub(crate) fn follower(&self) -> Result<u16> {
        let leader = self.leader()?;
        self.running().into_iter().find(|server| *server != leader).context("more than one runs")
    }

    /// Waits until another server leads.
    pub(crate) fn leader_beside(&self, server: u16) -> Result<u16> {
        self.wait_for("no other server leads", || {
            let leads = |other: &u16| self.status(*other).is_some_and(|status| status.leads);
            self.running().into_iter().filter(|other| *other != server).find(leads)
        })
    }

    /// Waits until a server says that this troubles it.
    pub(crate) fn wait_for_trouble(&self, server: u16, trouble: &str) -> Result<()> {
        let says = |status: Value| status["trouble"].as_str().is_some_and(|said| said.contains(trouble));
        self.wait_for("a server doesn't say what troubles it", || {
            self.told(server).filter(|said| says(said.clone()))
        })
        .map(drop)
    }

    /// All members have the same, as they say themselves.
    pub(crate) fn verify(&self) -> Result<()> {
        self.ovs(&["kv", "verify", "--config", &self.config(1)]).map(drop)
    }

    /// Has a server's table hold all that there is, and its log begin anew.
    pub(crate) fn snapshot(&self, server: u16) -> Result<()> {
        self.ovs(&["kv", "snapshot", "--config", &self.config(server)]).map(drop)
    }

    /// The folder of a server's KV.
    pub(crate) fn kv_folder(&self, server: u16) -> PathBuf {
        self.data(server).join("kv")
    }

    /// Waits until all servers run and have what the leader has now: what clients write meanwhile makes nobody wait.
    pub(crate) fn wait_until_whole(&self) -> Result<()> {
        let leads = |server| self.status(server).filter(|status| status.leads);
        let has = self.wait_for("no server leads", || self.running().into_iter().find_map(leads))?.applied;
        let is_whole = |server| {
            self.status(server)
                .is_some_and(|status| status.applied >= has && status.voters == usize::from(SERVERS))
        };
        self.wait_for("the servers don't come to the same state", || {
            (1..=SERVERS).all(is_whole).then_some(())
        })
    }

    fn wait_for<T>(&self, otherwise: &str, look: impl Fn() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!("{otherwise}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends a server without warning.
    pub(crate) fn kill(&self, server: u16) -> Result<()> {
        self.with(server, Server::kill)
    }

    /// Ends a server as an operator does.
    pub(crate) fn stop(&self, server: u16) -> Result<()> {
        self.with(server, Server::stop)
    }

    /// Starts a server, and doesn't wait until it serves.
    pub(crate) fn start_and_leave(&self, server: u16) -> Result<()> {
        self.with(server, |server| server.spawn().map(drop))
    }

    /// Starts all that don't run.
    pub(crate) fn start_dead(&self) -> Result<()> {
        for server in (1..=SERVERS).filter(|server| !self.running().contains(server)) {
            self.with(server, Server::start).with_context(|| format!("server {server}"))?;
        }
        Ok(())
    }

    /// A server stands still.
    pub(crate) fn pause(&self, server: u16) -> Result<()> {
        self.with(server, |server| server.signal(Signal::STOP))
    }

    /// All go on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.running()
            .into_iter()
            .try_for_each(|server| self.with(server, |server| server.signal(Signal::CONT)))
    }

    /// Nothing that a server writes is done any more, and nothing fails, until [`Cluster::thaw`].
    pub(crate) fn freeze(&self, server: u16) -> Result<()> {
        disk::freeze(&self.data(server))
    }

    /// What a server has written is done.
    pub(crate) fn thaw(&self, server: u16) -> Result<()> {
        disk::thaw(&self.data(server))
    }

    /// Leaves a server little room on its small disk.
    pub(crate) fn fill_disk(&self, server: u16) -> Result<()> {
        let filler = std::fs::File::create(self.data(server).join("filler"))?;
        let space = rustix::fs::statvfs(self.data(server))?;
        let free = space.f_bavail * space.f_frsize;
        Ok(rustix::fs::fallocate(
            &filler,
            rustix::fs::FallocateFlags::empty(),
            0,
            free.saturating_sub(44 << 20),
        )?)
    }

    /// Gives the room back.
    pub(crate) fn free_disk(&self, server: u16) -> Result<()> {
        Ok(std::fs::remove_file(self.data(server).join("filler"))?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.has_own_disks {
            // What waits for a disk can't be ended.
            (1..=SERVERS).for_each(|server| disk::release(&self.data(server)));
        }
        self.servers.borrow_mut().clear();
        if self.has_own_disks {
            (1..=SERVERS).for_each(|server| disk::unmount(&self.data(server)));
        }
    }
}

/// A client of a configuration: of users' keys, through TLS.
pub(crate) fn connect(folder: &Path) -> Result<Client> {
    let credentials = Credentials::load(&folder.join("certificates"))?;
    let servers =
        (1..=SERVERS).map(|server| (glossary::ServerId(server), format!("{}:{PORT}", address(server))));
    Ok(Client::connect(Box::new(TlsDial::new(credentials, servers.collect())))?)
}

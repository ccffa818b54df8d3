//! A cluster of several servers, each a process of its own.

use anyhow::{Context, Result, anyhow};

use crate::bed::{Bed, VDISK, free_port};
use crate::process::Program;
use crate::server::Server;

/// A cluster whose server of this number has the volume driver, and what it needs to be started.
pub(crate) struct Cluster<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) ports: Vec<u16>,
    nbd: u16,
    guests: u16,
}

impl<'a> Cluster<'a> {
    /// Makes one of a server for each of these roles, with one vDisk of that size (such as `1GiB`). The first of them, all
    /// with a KV, begin its group.
    pub(crate) fn new(bed: &'a Bed, roles: &[&str], size: &str) -> Result<Self> {
        let ports = roles.iter().map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        let mut init = bed.ovs("cluster init").arg(bed.path("c"));
        for (server, (port, roles)) in (1..).zip(ports.iter().zip(roles)) {
            init = init.words(&format!("--address 127.0.0.1:{port} --roles {server}={roles}"));
        }
        init.run()?;
        let roles_with = |role: &str| roles.iter().filter(|roles| roles.contains(role)).count();
        let guests = roles.iter().position(|roles| roles.contains("volume-driver")).context("one has it")?;
        let cluster = Cluster { bed, ports, nbd: free_port()?, guests: u16::try_from(guests)? + 1 };
        for (server, roles) in (1..).zip(roles) {
            cluster.configure(server, roles_with("asd") > 1, size)?;
            if roles.contains("kv") {
                let all: Vec<_> = (1..=roles_with("kv")).map(|server| server.to_string()).collect();
                cluster.kv(server, &format!("init --with {}", all.join(","))).run()?;
            }
        }
        Ok(cluster)
    }

    /// Small disks and SCOs, and the vDisk. Where several servers have disks, they have two each, and any of them may go.
    fn configure(&self, server: u16, is_spread: bool, size: &str) -> Result<()> {
        let path = self.bed.path(&format!("c/server-{server}/ovs.toml"));
        let mut text = std::fs::read_to_string(&path)?;
        if is_spread {
            text = text.replace("disks = 8", "disks = 2");
            text = text.replace("# policies = [\"4,2,6,6\"]", "policies = [\"2,2,4,2\", \"1,1,2,2\"]");
        }
        for (from, to) in [
            ("# disk-size = \"10GiB\"".to_owned(), "disk-size = \"4GiB\"".to_owned()),
            ("# sco-size = \"16MiB\"".to_owned(), "sco-size = \"4MiB\"".to_owned()),
            ("# vdisks = [\"disk1:10GiB\"]".to_owned(), format!("vdisks = [\"{VDISK}:{size}\"]")),
            ("127.0.0.1:10809".to_owned(), format!("127.0.0.1:{}", self.nbd)),
        ] {
            text = text.replace(&from, &to);
        }
        Ok(std::fs::write(path, text)?)
    }

    pub(crate) fn start(&self, server: u16) -> Result<Server> {
        let config = self.bed.path(&format!("c/server-{server}/ovs.toml"));
        let log = self.bed.path(&format!("server-{server}.log"));
        match server == self.guests {
            true => Server::start_for_guests(self.bed.ovs_binary(), &config, self.nbd, &log),
            false => {
                let port = self.ports[usize::from(server) - 1];
                Server::start_serve(self.bed.ovs_binary(), &config, port, &log)
            }
        }
    }

    /// Starts all: that of the guests first, which waits for the others.
    pub(crate) fn start_all(&self) -> Result<(Server, Vec<Server>)> {
        std::thread::scope(|scope| {
            let guests = scope.spawn(|| self.start(self.guests));
            let others = (1..=self.ports.len() as u16).filter(|server| *server != self.guests);
            let others = others.map(|server| self.start(server)).collect::<Result<Vec<_>>>()?;
            Ok((guests.join().map_err(|_| anyhow!("a thread panicked"))??, others))
        })
    }

    pub(crate) fn kv(&self, server: u16, words: &str) -> Program {
        let config = self.bed.path(&format!("c/server-{server}/ovs.toml"));
        self.bed.ovs("kv").words(words).arg("--config").arg(config)
    }

    /// A verb on vDisks or disks.
    pub(crate) fn verb(&self, words: &str) -> Program {
        let data = self.bed.path(&format!("c/server-{}/data", self.guests));
        Program::new(self.bed.ovs_binary()).words(words).arg("--dir").arg(data)
    }
}

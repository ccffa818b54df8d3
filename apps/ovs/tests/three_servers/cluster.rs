//! A cluster's folder and its servers, each a process of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use certificates::Credentials;
use glossary::ServerId;
use kv_client::{Client, TlsDial};
use serde_json::Value;

pub(crate) const OVS: &str = env!("CARGO_BIN_EXE_ovs");

/// A cluster's folder, its servers' addresses, and those that run.
pub(crate) struct Cluster {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) addresses: Vec<String>,
    pub(crate) running: Vec<Option<Child>>,
}

pub(crate) fn ovs(arguments: &[&str]) -> String {
    let output = Command::new(OVS).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// Addresses that nobody uses.
pub(crate) fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

impl Cluster {
    /// Makes the certificates and configurations of so many servers. Each configuration names those that were there
    /// when it was made, as an operator leaves them.
    pub(crate) fn new(servers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = (0..servers).map(|_| None).collect();
        let cluster = Cluster { addresses: free_addresses(servers), running, folder };
        let root = cluster.folder.path().to_str().unwrap();
        ovs(&["cluster", "init", root, "--address", &cluster.addresses[0]]);
        for address in &cluster.addresses[1..] {
            ovs(&["cluster", "add-server", root, "--address", address]);
        }
        cluster
    }

    /// Servers with these roles.
    pub(crate) fn of_roles(roles: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = roles.iter().map(|_| None).collect();
        let cluster = Cluster { addresses: free_addresses(roles.len()), running, folder };
        let roles = (1..).zip(roles).map(|(server, roles)| format!("{server}={roles}"));
        let roles: Vec<String> = roles.collect();
        let servers = cluster.addresses.iter().zip(&roles);
        let servers = servers.flat_map(|(address, roles)| ["--address", address, "--roles", roles]);
        let root = cluster.folder.path().to_str().unwrap();
        ovs(&["cluster", "init", root].into_iter().chain(servers).collect::<Vec<_>>());
        cluster
    }

    /// Three servers that run and make one group, in which a colour is green.
    pub(crate) fn of_three() -> Self {
        let mut cluster = Cluster::new(3);
        cluster.introduce();
        for server in 1..=3 {
            ovs(&["kv", "init", "--with", "1,2,3", "--config", path(&cluster.config(server))]);
        }
        (1..=3).for_each(|server| cluster.start(server));
        cluster.client(&[1, 2, 3]).set(b"colour", b"green").unwrap();
        cluster
    }

    /// Has each configuration name all servers.
    pub(crate) fn introduce(&self) {
        for server in 1..=self.addresses.len() {
            let path = self.config(server);
            let text = std::fs::read_to_string(&path).unwrap();
            let known = text.split_once("[servers]").unwrap().0;
            let all = self.addresses.iter().zip(1..).map(|(address, it)| format!("{it} = \"{address}\"\n"));
            std::fs::write(&path, format!("{known}[servers]\n{}", all.collect::<String>())).unwrap();
        }
    }

    pub(crate) fn config(&self, server: usize) -> PathBuf {
        self.folder.path().join(format!("server-{server}/ovs.toml"))
    }

    /// Changes a server's configuration.
    pub(crate) fn configure(&self, server: usize, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config(server)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(self.config(server), text.replace(from, to)).unwrap();
    }

    /// Starts a server, and waits until it says that it is ready.
    pub(crate) fn start(&mut self, server: usize) {
        self.start_through(server, 1);
    }

    /// The same with one that has so many lives one after another.
    pub(crate) fn start_through(&mut self, server: usize, lives: usize) {
        let mut command = Command::new(OVS);
        command.args(["serve", "--config"]).arg(self.config(server)).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = format!("ready {}", self.addresses[server - 1]);
        for _ in 0..lives {
            assert!(lines.any(|line| line.unwrap() == ready));
        }
        self.running[server - 1] = Some(child);
    }

    /// Starts a server, and waits until it says in its log what it waits for.
    pub(crate) fn start_waiting(&mut self, server: usize, says: &str) {
        let mut command = Command::new(OVS);
        command.args(["serve", "--config"]).arg(self.config(server)).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(says)));
        // What it says later is read as well: nobody waits for its reader.
        std::thread::spawn(move || lines.count());
        self.running[server - 1] = Some(child);
    }

    /// Ends a server as a lost machine does.
    pub(crate) fn kill(&mut self, server: usize) {
        let mut child = self.running[server - 1].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills a server and changes a byte in the middle of its log.
    pub(crate) fn damage_log(&mut self, server: usize) {
        self.client(&[1, 2, 3]).set(b"damaged", b"soon").unwrap();
        assert_eq!(self.ask(server, &["verify"])["alike"], true);
        // The log file that a second life begins tells that the one before was whole.
        self.kill(server);
        self.start(server);
        assert_eq!(self.ask(server, &["verify"])["alike"], true);
        self.kill(server);
        let kv = self.folder.path().join(format!("server-{server}/data/kv"));
        let files = std::fs::read_dir(kv).unwrap().map(|entry| entry.unwrap().path());
        let mut logs: Vec<PathBuf> =
            files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("log-")).collect();
        logs.sort_unstable();
        let log = &logs[logs.len() - 2];
        let mut bytes = std::fs::read(log).unwrap();
        bytes[4096 + 60] ^= 1;
        std::fs::write(log, &bytes).unwrap();
    }

    pub(crate) fn status(&self, server: usize) -> Value {
        self.ask(server, &["status"])
    }

    /// A verb about the group, as programs ask it.
    pub(crate) fn ask(&self, server: usize, verb: &[&str]) -> Value {
        let config = self.config(server);
        let arguments = [&["kv"], verb, &["--json", "--config", path(&config)]].concat();
        serde_json::from_str(&ovs(&arguments)).unwrap()
    }

    /// Waits until a server knows these members with a vote.
    pub(crate) fn until_voters(&self, server: usize, voters: &[u64]) {
        let has_them = || self.status(server)["voters"] == serde_json::json!(voters);
        assert!((0..5000).any(|_| has_them()), "it is {}", self.status(server));
    }

    /// Waits until one of three is a member that lost so many disks, and has what the others have.
    pub(crate) fn until_anew(&self, server: usize, lost: u64) {
        let anew = lost << 16 | server as u64;
        let mut voters: Vec<u64> = (1..=3).filter(|other| *other != server as u64).chain([anew]).collect();
        voters.sort_unstable();
        self.until_voters(server, &voters);
        assert_eq!(self.ask(server, &["verify"])["alike"], true);
    }

    /// What a server says where it doesn't start.
    pub(crate) fn refusal(&self, server: usize) -> String {
        let output = Command::new(OVS).args(["serve", "--config"]).arg(self.config(server)).output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Who leads, as soon as somebody does.
    pub(crate) fn leader(&self, asked: usize) -> usize {
        loop {
            if let Some(leader) = self.status(asked)["leader_server"].as_u64() {
                return leader as usize;
            }
            std::thread::yield_now();
        }
    }

    /// A client that knows these servers alone.
    pub(crate) fn client(&self, servers: &[usize]) -> Client {
        let certificates = self.folder.path().join("clients/admin/certificates");
        let addresses = servers.iter().map(|it| (ServerId(*it as u16), self.addresses[it - 1].clone()));
        let dial = TlsDial::new(Credentials::load(&certificates).unwrap(), addresses.collect());
        Client::connect(Box::new(dial)).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

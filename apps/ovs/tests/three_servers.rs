//! Three servers of a cluster, each a process of its own, as an operator makes and loses them.
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use certificates::Credentials;
use glossary::ServerId;
use kv_client::{Client, TlsDial};
use serde_json::Value;

const OVS: &str = env!("CARGO_BIN_EXE_ovs");

/// A cluster's folder, its servers' addresses, and those that run.
struct Cluster {
    folder: tempfile::TempDir,
    addresses: Vec<String>,
    running: Vec<Option<Child>>,
}

fn ovs(arguments: &[&str]) -> String {
    let output = Command::new(OVS).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// Addresses that nobody uses.
fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

impl Cluster {
    /// Makes the certificates and configurations of so many servers. Each configuration names those that were there
    /// when it was made, as an operator leaves them.
    fn new(servers: usize) -> Self {
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

    /// Has each configuration name all servers.
    fn introduce(&self) {
        for server in 1..=self.addresses.len() {
            let path = self.config(server);
            let text = std::fs::read_to_string(&path).unwrap();
            let known = text.split_once("[servers]").unwrap().0;
            let all = self.addresses.iter().zip(1..).map(|(address, it)| format!("{it} = \"{address}\"\n"));
            std::fs::write(&path, format!("{known}[servers]\n{}", all.collect::<String>())).unwrap();
        }
    }

    fn config(&self, server: usize) -> PathBuf {
        self.folder.path().join(format!("server-{server}/ovs.toml"))
    }

    /// Starts a server, and waits until it says that it is ready.
    fn start(&mut self, server: usize) {
        let mut command = Command::new(OVS);
        command.args(["serve", "--config"]).arg(self.config(server)).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == format!("ready {}", self.addresses[server - 1])));
        self.running[server - 1] = Some(child);
    }

    /// Ends a server as a lost machine does.
    fn kill(&mut self, server: usize) {
        let mut child = self.running[server - 1].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn status(&self, server: usize) -> Value {
        serde_json::from_str(&ovs(&["kv", "status", "--json", "--config", path(&self.config(server))]))
            .unwrap()
    }

    /// Who leads, as soon as somebody does.
    fn leader(&self, asked: usize) -> usize {
        loop {
            if let Some(leader) = self.status(asked)["leader_server"].as_u64() {
                return leader as usize;
            }
            std::thread::yield_now();
        }
    }

    /// A client that knows these servers alone.
    fn client(&self, servers: &[usize]) -> Client {
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

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_a_group_acknowledged_outlives_any_one_server() {
    let mut cluster = Cluster::new(3);
    cluster.introduce();
    for server in 1..=3 {
        ovs(&["kv", "init", "--with", "1,2,3", "--config", path(&cluster.config(server))]);
    }
    (1..=3).for_each(|server| cluster.start(server));
    cluster.client(&[1, 2, 3]).set(b"colour", b"green").unwrap();
    let leader = cluster.leader(1);
    cluster.kill(leader);
    let others: Vec<usize> = (1..=3).filter(|server| *server != leader).collect();
    let mut client = cluster.client(&others);
    assert_eq!(client.get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    client.set(b"colour", b"blue").unwrap();
    cluster.start(leader);
    cluster.kill(others[0]);
    let mut client = cluster.client(&[leader, others[1]]);
    assert_eq!(
        client.get(b"colour").unwrap().as_deref(),
        Some(&b"blue"[..]),
        "two of three are enough, any two"
    );
    assert_eq!(cluster.status(leader)["voters"], serde_json::json!([1, 2, 3]));
}

#[test]
fn servers_join_a_group_that_runs_and_leave_it() {
    let mut cluster = Cluster::new(3);
    ovs(&["kv", "init", "--config", path(&cluster.config(1))]);
    cluster.start(1);
    cluster.client(&[1]).set(b"colour", b"green").unwrap();
    for server in [2, 3] {
        ovs(&["kv", "join", "--config", path(&cluster.config(server))]);
        cluster.start(server);
    }
    let until_voters = |cluster: &Cluster, server: usize, voters: Value| {
        while cluster.status(server)["voters"] != voters {
            std::thread::yield_now();
        }
    };
    until_voters(&cluster, 2, serde_json::json!([1, 2, 3]));
    cluster.kill(1);
    assert_eq!(cluster.client(&[2, 3]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
    cluster.start(1);
    // A leader does not remove itself.
    let (stays, leaves) = if cluster.leader(2) == 3 { (3, 2) } else { (2, 3) };
    ovs(&["kv", "leave", "--config", path(&cluster.config(leaves))]);
    until_voters(&cluster, stays, serde_json::json!([1, stays]));
    cluster.kill(leaves);
    let serve = ["serve", "--config", path(&cluster.config(leaves))].map(str::to_owned);
    let output = Command::new(OVS).args(serve).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "who has left is never again the member that it was");
    assert_eq!(cluster.client(&[1, stays]).get(b"colour").unwrap().as_deref(), Some(&b"green"[..]));
}

#[test]
fn a_server_is_refused_what_is_not_its_own_and_its_folder_to_a_second_process() {
    let mut cluster = Cluster::new(2);
    let (first, second) = (cluster.config(1), cluster.config(2));
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = Command::new(OVS).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words) && text.lines().count() == 1, "{text}");
    };
    refused(&["serve", "--config", path(&first)], 4, "`ovs kv init` makes that of the first");
    refused(&["kv", "status", "--config", path(&first)], 3, "no server runs on");
    refused(&["kv", "init", "--config", path(&first), "--with", "2"], 2, "server 1 is not among them");
    refused(&["kv", "init", "--config", path(&first), "--with", "1,9"], 2, "where server 9 is must stand");
    ovs(&["kv", "init", "--config", path(&first)]);
    refused(&["kv", "init", "--config", path(&first)], 4, "holds the data of a server already");
    cluster.start(1);
    let elsewhere = free_addresses(1);
    refused(&["serve", "--config", path(&first)], 5, "is in use");
    refused(&["serve", "--config", path(&first), "--listen", &elsewhere[0]], 5, "another ovs runs on it");
    let data = cluster.folder.path().join("server-1/data");
    refused(&["serve", "--config", path(&second), "--data", path(&data)], 4, "holds the data of server-1");
    let theirs = cluster.folder.path().join("server-1/certificates");
    let with_another = ["serve", "--config", path(&second), "--certificates", path(&theirs)];
    refused(&with_another, 4, "is that of server-1 of cluster");
    assert_eq!(cluster.status(1)["role"], "alone");
}

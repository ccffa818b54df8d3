//! A network of namespaces: one for each server, and one in the middle for clients, where this program runs.
//!
//! A server's packets to another are cut off by a route that leads nowhere, so each direction can be cut by itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Servers are numbered from 1.
pub(crate) const SERVERS: u16 = 3;

/// The namespaces.
pub(crate) struct Network {
    /// What their names begin with, so that several networks can be there.
    name: String,
    /// Whether they go with this value.
    is_owner: bool,
}

impl Network {
    /// Makes the namespaces. `name` is short and nobody else's.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let network = Network { name: name.into(), is_owner: true };
        network.remove();
        let middle = network.middle();
        ip(&["netns", "add", &middle])?;
        inside(&middle, &["link", "set", "lo", "up"])?;
        inside(&middle, &["link", "add", "bridge", "type", "bridge"])?;
        inside(&middle, &["addr", "add", "10.77.0.254/24", "dev", "bridge"])?;
        inside(&middle, &["link", "set", "bridge", "up"])?;
        (1..=SERVERS).try_for_each(|server| network.add(server))?;
        Ok(network)
    }

    /// A network that somebody else has made, and removes.
    pub(crate) fn named(name: &str) -> Self {
        Network { name: name.into(), is_owner: false }
    }

    fn add(&self, server: u16) -> Result<()> {
        let (middle, own, port) = (self.middle(), self.of(server), format!("port{server}"));
        ip(&["netns", "add", &own])?;
        inside(&middle, &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &own])?;
        inside(&middle, &["link", "set", &port, "master", "bridge", "up"])?;
        inside(&own, &["addr", "add", &format!("{}/24", address(server)), "dev", "eth0"])?;
        inside(&own, &["link", "set", "eth0", "up"])?;
        inside(&own, &["link", "set", "lo", "up"])
    }

    /// Where this program runs.
    pub(crate) fn middle(&self) -> String {
        format!("{}m", self.name)
    }

    /// Where a server runs.
    pub(crate) fn of(&self, server: u16) -> String {
        format!("{}{server}", self.name)
    }

    /// Packets of one server to another are lost from now on.
    pub(crate) fn cut(&self, from: u16, to: u16) -> Result<()> {
        inside(&self.of(from), &["route", "add", "blackhole", &format!("{}/32", address(to))])
    }

    /// Packets arrive again.
    pub(crate) fn mend(&self, from: u16, to: u16) -> Result<()> {
        inside(&self.of(from), &["route", "del", "blackhole", &format!("{}/32", address(to))])
    }

    /// Neither of two groups of servers reaches the other.
    pub(crate) fn split(&self, one: &[u16], other: &[u16]) -> Result<()> {
        pairs(one, other).try_for_each(|(a, b)| self.cut(a, b).and_then(|()| self.cut(b, a)))
    }

    /// Ends a split.
    pub(crate) fn heal(&self, one: &[u16], other: &[u16]) -> Result<()> {
        pairs(one, other).try_for_each(|(a, b)| self.mend(a, b).and_then(|()| self.mend(b, a)))
    }

    fn remove(&self) {
        for name in (1..=SERVERS).map(|server| self.of(server)).chain([self.middle()]) {
            // What isn't there needs no removing.
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.is_owner {
            self.remove();
        }
    }
}

/// The address of a server.
pub(crate) fn address(server: u16) -> String {
    format!("10.77.0.{server}")
}

fn pairs<'a>(one: &'a [u16], other: &'a [u16]) -> impl Iterator<Item = (u16, u16)> + 'a {
    one.iter().flat_map(move |a| other.iter().map(move |b| (*a, *b)))
}

fn inside(namespace: &str, arguments: &[&str]) -> Result<()> {
    ip(&[&["-n", namespace], arguments].concat())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let line = arguments.join(" ");
    let output = Command::new("ip").args(arguments).output().context("ip (package iproute2)")?;
    ensure!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

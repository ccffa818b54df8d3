//! Servers whose programs are replaced one by one: levels, and what is refused.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::group::{init, of_client, of_server, start, wait_for, wait_for_voters};
use crate::bed::{Bed, free_port};
use crate::server::Server;

/// Holds a server at the level before the first, or at its program's.
fn hold(config: &Path, is_held: bool) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let (free, held) = ("# level = 1\n", "level = 0\n");
    let (from, to) = if is_held { (free, held) } else { (held, free) };
    ensure!(text.contains(from), "{text}");
    Ok(std::fs::write(config, text.replace(from, to))?)
}

fn levels(bed: &Bed, server: u16, is_good: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_for(|| of_server(bed, server, "status --json"), is_good)
}

/// Somebody writes and reads all the while; every request must succeed.
fn write_and_read(bed: &Bed, is_over: &AtomicBool) -> Result<u32> {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        count += 1;
        of_client(bed, "user", &format!("set count {count} --timeout 60")).run()?;
        let read = of_client(bed, "user", "get count --timeout 60").run()?;
        ensure!(read == format!("{count}\n"), "{count} was written, and {read} is read");
    }
    Ok(count)
}

/// The group goes up with the last of its members, which nobody who writes notices; then there is no way back, and who is older
/// is not taken in.
pub(crate) fn three_servers_are_upgraded_one_by_one(bed: &Bed) -> Result<()> {
    let ports = init(bed)?;
    let config = |server: u16| bed.path(&format!("c/server-{server}/ovs.toml"));
    (1..=3).try_for_each(|server| hold(&config(server), true))?;
    let mut servers = start(bed, ports)?;
    let is_over = AtomicBool::new(false);
    let count = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_and_read(bed, &is_over));
        let upgraded = upgrade(bed, &mut servers, &config);
        is_over.store(true, Ordering::Relaxed);
        let count = writer.join().expect("no panic")?;
        upgraded.map(|()| count)
    })?;
    ensure!(count > 5, "{count} writes");
    older_ones_are_refused(bed, &mut servers, &config)
}

fn upgrade(bed: &Bed, servers: &mut [Server], config: &dyn Fn(u16) -> std::path::PathBuf) -> Result<()> {
    for (server, process) in (1..=3).zip(servers) {
        let before = levels(bed, server, |said| said["leader"].is_u64())?;
        ensure!((&before["level"], &before["group_level"]) == (&json!(0), &json!(0)), "{before}");
        process.stop()?;
        hold(&config(server), false)?;
        process.start_again(&[])?;
        let older: Vec<u16> = (server + 1..=3).collect();
        let is_told = |said: &Value| said["level"] == 1 && said["older_members"] == json!(older);
        let said = levels(bed, server, is_told)?;
        ensure!(server == 3 || said["group_level"] == 0, "{said}");
    }
    (1..=3).try_for_each(|server| levels(bed, server, |said| said["group_level"] == 1).map(drop))
}

fn older_ones_are_refused(
    bed: &Bed,
    servers: &mut [Server],
    config: &dyn Fn(u16) -> std::path::PathBuf,
) -> Result<()> {
    let second = servers.get_mut(1).context("three servers")?;
    second.stop()?;
    let serve = || bed.ovs("serve --config").arg(config(2));
    let why = serve().words("--kv-level 9").refused_with(2)?;
    ensure!(why.contains("this program knows levels up to 1"), "{why}");
    let why = serve().words("--kv-level 0").refused()?;
    ensure!(why.contains("has level 1, and this server is held at level 0"), "{why}");
    second.start_again(&[])?;

    let port = free_port()?;
    bed.ovs("cluster add-server").arg(bed.path("c")).words(&format!("--address 127.0.0.1:{port}")).run()?;
    hold(&config(4), true)?;
    of_server(bed, 4, "join").run()?;
    let log = bed.path("server-4.log");
    let mut fourth = Server::start_serve(bed.ovs_binary(), &config(4), port, &log)?;
    let admin = bed.path("c/clients/admin/certificates");
    let line = format!("stats --json --certificates {}", admin.display());
    let was_asked = |said: &Value| said["unknown"].as_u64().is_some_and(|unknown| unknown > 0);
    wait_for(|| of_server(bed, 4, &line), was_asked)?;
    wait_for_voters(bed, 3)?;
    fourth.stop()?;
    hold(&config(4), false)?;
    fourth.start_again(&[])?;
    wait_for_voters(bed, 4)?;
    Ok(())
}

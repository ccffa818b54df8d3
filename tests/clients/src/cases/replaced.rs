//! All servers that keep the KV are replaced by others, one by one, while guests go on whose server began with the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::group::of_client;
use super::servers::LIMIT;
use crate::bed::{Bed, VDISK, free_port};
use crate::cluster::Cluster;
use crate::process::Program;
use crate::server::Server;

/// The first servers with a KV; the one of the guests is behind them.
const FIRST: u16 = 3;

/// The first of those that come for them.
const NEW: u16 = 5;

/// What the guest writes at once, in pieces of a SCO's size.
const REGIONS: u32 = 5;

/// Whoever asks the KV asks it every 3 s who its members are.
const LEARNED_AFTER: Duration = Duration::from_secs(5);

/// The server of the guests runs no KV and is never started again. In the end none of the servers runs that it was told of.
pub(crate) fn guests_go_on_while_all_servers_of_the_kv_are_replaced(bed: &Bed) -> Result<()> {
    let mut cluster = Cluster::new(bed, &["kv", "kv", "kv", "asd,volume-driver,edge"], "1GiB")?;
    let ports = [free_port()?, free_port()?, free_port()?];
    for port in ports {
        let words = format!("--address 127.0.0.1:{port} --roles kv");
        bed.ovs("cluster add-server").arg(bed.path("c")).words(&words).run()?;
    }
    // A client reaches the servers whose addresses it has.
    bed.ovs("cluster add-client").arg(bed.path("c")).arg("user").run()?;
    let (mut guests, mut servers) = cluster.start_all()?;
    cluster.ports.extend(ports);
    of_client(bed, "user", "set colour green --timeout 60").run()?;
    go_on(&cluster, &guests, &mut servers)?;
    let said = of_client(bed, "user", "get colour --timeout 60").run()?;
    ensure!(said == "green\n", "{said:?}");
    guests.stop()?;
    servers.iter_mut().try_for_each(Server::stop)
}

fn go_on(cluster: &Cluster<'_>, guests: &Server, servers: &mut Vec<Server>) -> Result<()> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let guest = scope.spawn(|| write_and_read(guests, &is_over));
        let replaced = (1..=FIRST).try_for_each(|old| replace(cluster, servers, old));
        is_over.store(true, Ordering::Relaxed);
        guest.join().map_err(|_| anyhow!("the thread of the guest panicked"))?.and(replaced)
    })?;
    // More than is at rest before the KV is told of it.
    write_and_read(guests, &is_over)?;
    cluster.verb("vdisk sync").run()?;
    let status = cluster.verb("status").run()?;
    ensure!(status.starts_with("healthy") && status.contains("KV            3 copies"), "{status}");
    let voters = voters(cluster, NEW)?;
    ensure!(voters == [5, 6, 7], "{voters:?}");
    Ok(())
}

/// A guest writes all of its regions again and again until it is over, and each time reads back what it wrote.
fn write_and_read(guests: &Server, is_over: &AtomicBool) -> Result<()> {
    for round in 1..=250 {
        let io = |verb: &str| -> Vec<String> {
            (0..REGIONS).map(|region| format!("{verb} -P {} {}M 4M", round + region, 4 * region)).collect()
        };
        let commands = [io("write"), vec!["flush".to_owned()], io("read")].concat();
        let program = Program::new("qemu-io").words("-f raw");
        let program = commands.iter().fold(program, |program, command| program.arg("-c").arg(command));
        let said = program.arg(guests.uri(VDISK)).run()?;
        ensure!(!said.contains("verification failed") && !said.contains("failed:"), "{said}");
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// A new server joins, an old one leaves and ends.
fn replace(cluster: &Cluster<'_>, servers: &mut Vec<Server>, old: u16) -> Result<()> {
    let new = NEW + old - 1;
    cluster.kv(new, "join").run()?;
    servers.push(cluster.start(new)?);
    wait_for_voters(cluster, new, |voters| voters.contains(&u64::from(new)))?;
    cluster.kv(old, "leave").run()?;
    wait_for_voters(cluster, new, |voters| !voters.contains(&u64::from(old)))?;
    let mut ended = servers.remove(0);
    ended.stop()?;
    std::thread::sleep(LEARNED_AFTER);
    Ok(())
}

fn voters(cluster: &Cluster<'_>, asked: u16) -> Result<Vec<u64>> {
    let status: Value = serde_json::from_str(&cluster.kv(asked, "status --json").run()?)?;
    let voters = status["voters"].as_array().with_context(|| format!("no voters: {status}"))?;
    Ok(voters.iter().filter_map(Value::as_u64).collect())
}

fn wait_for_voters(cluster: &Cluster<'_>, asked: u16, is_so: impl Fn(&[u64]) -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let voters = voters(cluster, asked)?;
        if is_so(&voters) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "these go on voting: {voters:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

//! All servers that keep the KV are replaced by others, one by one, while guests and a client go on that began with the first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use super::fio::{Job, fio, forget};
use super::group::of_client;
use super::servers::{Cluster, LIMIT, written_under};
use crate::bed::{Bed, free_port};
use crate::server::Server;

/// The first servers with a KV; the one of the guests is behind them.
const FIRST: u16 = 3;

/// The first of those that come for them.
const NEW: u16 = 5;

/// Whoever asks the KV asks it every 3 s who its members are.
const LEARNED_AFTER: Duration = Duration::from_secs(5);

/// The server of the guests runs no KV and is never started again. In the end none of the servers runs that it was told of.
pub(crate) fn guests_go_on_while_all_servers_of_the_kv_are_replaced(bed: &Bed) -> Result<()> {
    let mut cluster = Cluster::new(bed, &["kv", "kv", "kv", "asd,volume-driver,edge"])?;
    let ports = [free_port()?, free_port()?, free_port()?];
    for port in ports {
        let words = format!("--address 127.0.0.1:{port} --roles kv");
        bed.ovs("cluster add-server").arg(bed.path("c")).words(&words).run()?;
    }
    // A client reaches the servers whose addresses it has.
    bed.ovs("cluster add-client").arg(bed.path("c")).arg("user").run()?;
    let (mut guests, mut servers) = cluster.start_all()?;
    cluster.ports.extend(ports);
    std::thread::scope(|scope| {
        let watch = of_client(bed, "user", "watch end --limit 1 --timeout 600").limit_seconds(600);
        let watcher = scope.spawn(|| watch.run());
        go_on(bed, &cluster, &guests, &mut servers)?;
        of_client(bed, "user", "set end yes --timeout 60").run()?;
        let heard = watcher.join().map_err(|_| anyhow!("the thread of the client panicked"))??;
        ensure!(heard == "end\tyes\n", "{heard:?}");
        anyhow::Ok(())
    })?;
    guests.stop()?;
    servers.iter_mut().try_for_each(Server::stop)
}

fn go_on(bed: &Bed, cluster: &Cluster<'_>, guests: &Server, servers: &mut Vec<Server>) -> Result<()> {
    let mut left = 1..=FIRST;
    written_under(bed, guests, || match left.next() {
        Some(old) => replace(cluster, servers, old),
        None => {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        }
    })?;
    left.try_for_each(|old| replace(cluster, servers, old))?;
    forget(guests)?;
    fio(bed, guests, Job::Write, 3)?;
    cluster.verb("vdisk sync").run()?;
    fio(bed, guests, Job::Verify, 3)?;
    let status = cluster.verb("status").run()?;
    ensure!(status.starts_with("healthy") && status.contains("KV            3 copies"), "{status}");
    let voters = voters(cluster, NEW)?;
    ensure!(voters == [5, 6, 7], "{voters:?}");
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

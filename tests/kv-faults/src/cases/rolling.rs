//! Every server restarts, or gets a newer program, one after another, and no request fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::clients::during;
use crate::cluster::{Cluster, connect};
use crate::network::SERVERS;

/// How often each server restarts, and how long all are left alone between.
const ROUNDS: u16 = 2;
const BETWEEN: Duration = Duration::from_millis(500);

/// Clients that write and read back while servers restart.
const CLIENTS: u8 = 3;

/// Answers that make a history worth judging.
const LEAST: usize = 300;

pub(crate) fn rolling_restart(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    while_clients_work(bed, || {
        (0..ROUNDS).flat_map(|_| 1..=SERVERS).try_for_each(|server| {
            sleep(BETWEEN);
            restart(&cluster, server)
        })
    })
}

/// From an older level to the newest, one server after another, the first of them twice there and back; the group follows
/// with the last. What clients saw all the while is what one KV does.
pub(crate) fn rolling_upgrade(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster_of_level(0)?;
    let newest = cluster.level(1, |status| &status["level"])? + 1;
    while_clients_work(bed, || {
        let record = during(&bed.client(), || {
            for (server, level) in [(1, None), (1, Some(0)), (1, None), (2, None), (3, None)] {
                sleep(BETWEEN);
                ensure!(
                    cluster.level(2, |status| &status["group_level"])? == 0,
                    "nobody is told what he can't know"
                );
                cluster.hold(server, level)?;
                restart(&cluster, server)?;
            }
            cluster.wait_for_level(newest)
        })?;
        record.judge(LEAST)
    })
}

fn restart(cluster: &Cluster, server: u16) -> Result<()> {
    cluster.stop(server)?;
    cluster.start_dead()?;
    cluster.wait_until_whole()
}

/// Clients of which no request may fail.
fn while_clients_work(bed: &Bed, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let (is_over, config) = (AtomicBool::new(false), bed.client());
    std::thread::scope(|scope| {
        let run = |number| {
            let (is_over, config) = (&is_over, &config);
            scope.spawn(move || write_and_read(number, config, is_over))
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        let acted = act();
        is_over.store(true, Ordering::Relaxed);
        let mut requests = 0;
        for thread in threads {
            requests += thread.join().expect("no panic")?;
        }
        println!("{requests} requests, none failed");
        ensure!(requests > 100, "only {requests} requests were made");
        acted
    })
}

fn write_and_read(number: u8, config: &std::path::Path, is_over: &AtomicBool) -> Result<u64> {
    let mut client = connect(config)?;
    let mut requests = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        client.set(&[number], &requests.to_le_bytes()).context("a write failed")?;
        let value = client.get(&[number]).context("a read failed")?;
        ensure!(value.as_deref() == Some(&requests.to_le_bytes()), "a read misses the write before it");
        requests += 1;
    }
    Ok(2 * requests)
}

//! Every server restarts, one after another, and no request fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::cluster::connect;
use crate::network::SERVERS;

/// How often each server restarts, and how long all are left alone between.
const ROUNDS: u16 = 2;
const BETWEEN: Duration = Duration::from_millis(500);

/// Clients that write and read back while servers restart.
const CLIENTS: u8 = 3;

pub(crate) fn rolling_restart(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    let (is_over, config) = (AtomicBool::new(false), bed.client());
    std::thread::scope(|scope| {
        let run = |number| {
            let (is_over, config) = (&is_over, &config);
            scope.spawn(move || write_and_read(number, config, is_over))
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        let restarted = (0..ROUNDS).flat_map(|_| 1..=SERVERS).try_for_each(|server| {
            sleep(BETWEEN);
            cluster.stop(server)?;
            cluster.start_dead()?;
            cluster.wait_until_whole()
        });
        is_over.store(true, Ordering::Relaxed);
        let mut requests = 0;
        for thread in threads {
            requests += thread.join().expect("no panic")?;
        }
        println!("{requests} requests, none failed");
        ensure!(requests > 100, "only {requests} requests were made");
        restarted
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

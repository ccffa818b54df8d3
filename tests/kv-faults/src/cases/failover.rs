//! How long nothing can be written when a leader dies.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::cluster::connect;

/// How many leaders die.
const TIMES: usize = 20;

/// Prints the times. It asserts none: they are this machine's.
pub(crate) fn failover_times(bed: &Bed) -> Result<()> {
    let cluster = bed.cluster()?;
    let mut client = connect(&bed.client())?;
    let mut times = Vec::new();
    for number in 0..TIMES {
        client.set(b"k", &(number as u64).to_le_bytes())?;
        let leader = cluster.leader()?;
        cluster.kill(leader)?;
        let dead = Instant::now();
        client.set(b"k", b"again")?;
        times.push(dead.elapsed());
        ensure!(client.get(b"k")?.as_deref() == Some(b"again"), "what was written is read");
        cluster.start_dead()?;
        cluster.wait_until_whole()?;
    }
    tell(&format!("fail-over, leader killed {TIMES} times"), times);
    Ok(())
}

/// Prints how times are distributed.
pub(crate) fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    // The nearest rank: of twenty, the 99th in a hundred is the longest.
    let at = |part: usize| times[(times.len() * part).div_ceil(100) - 1].as_millis();
    println!("{what}: p50 {} ms, p90 {} ms, p99 {} ms, longest {} ms", at(50), at(90), at(99), at(100));
}

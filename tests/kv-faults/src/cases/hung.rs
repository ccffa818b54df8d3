//! A disk that hangs: nothing that is written there ever ends, and nothing fails.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bed::Bed;
use crate::clients::during;
use crate::cluster::connect;

/// How long clients go on beside it.
const WHILE: Duration = Duration::from_secs(3);

/// Answers that make a history worth judging.
const LEAST: usize = 300;

/// The others go on.
pub(crate) fn hung_follower(bed: &Bed) -> Result<()> {
    let cluster = bed.freezable_cluster()?;
    let record = during(&bed.client(), || {
        sleep(WHILE);
        let hung = cluster.follower()?;
        cluster.freeze(hung)?;
        sleep(WHILE);
        writes(bed).context("beside a follower whose disk hangs")?;
        cluster.thaw(hung)
    })?;
    cluster.wait_until_whole()?;
    cluster.verify()?;
    record.judge(LEAST)
}

/// It gives way, and the others go on.
pub(crate) fn hung_leader(bed: &Bed) -> Result<()> {
    let cluster = bed.freezable_cluster()?;
    let record = during(&bed.client(), || {
        sleep(WHILE);
        let hung = cluster.leader()?;
        cluster.freeze(hung)?;
        let begun = Instant::now();
        cluster.leader_beside(hung).context("the leader's disk hangs")?;
        println!("a leader whose disk hangs gave way after {} ms", begun.elapsed().as_millis());
        sleep(WHILE);
        writes(bed).context("beside a former leader whose disk hangs")?;
        cluster.thaw(hung)
    })?;
    cluster.wait_until_whole()?;
    cluster.verify()?;
    record.judge(LEAST)
}

fn writes(bed: &Bed) -> Result<()> {
    let mut client = connect(&bed.client())?;
    client.set(b"beside", b"it")?;
    anyhow::ensure!(client.get(b"beside")?.as_deref() == Some(b"it"), "what was written is read");
    Ok(())
}

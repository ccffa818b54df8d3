//! A disk that is full: writes stop with a reason, reads go on, and all comes back by itself, once somebody makes room.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::cluster::connect;

pub(crate) fn full_disk(bed: &Bed) -> Result<()> {
    let cluster = bed.small_cluster()?;
    let mut client = connect(&bed.client())?;
    client.set(b"first", b"there")?;
    (1..=crate::network::SERVERS).try_for_each(|server| cluster.fill_disk(server))?;
    client.wait_for(Duration::from_secs(3));
    let value = vec![7; 64 << 10];
    let mut written = 0_u32;
    let refused = loop {
        match client.set(format!("fill/{written}").as_bytes(), &value) {
            Ok(()) => written += 1,
            Err(error) => break error.to_string(),
        }
        ensure!(written < 10_000, "the disk never got full");
    };
    println!("after {written} values: {refused}");
    ensure!(refused.contains("full"), "the reason is not named: {refused}");
    ensure!(client.get(b"first")?.as_deref() == Some(b"there"), "reads go on");
    (1..=crate::network::SERVERS).try_for_each(|server| cluster.free_disk(server))?;
    client.wait_for(Duration::from_secs(30));
    client.set(b"last", b"there")?;
    for number in 0..written {
        let kept = client.get(format!("fill/{number}").as_bytes())?;
        ensure!(kept.as_deref() == Some(value.as_slice()), "value {number} was acknowledged and is gone");
    }
    Ok(())
}

/// Nobody but the KV writes to the disks: what makes room is to delete, and servers that are full can be started.
pub(crate) fn disks_full_of_keys(bed: &Bed) -> Result<()> {
    let cluster = bed.small_cluster()?;
    let mut client = connect(&bed.client())?;
    client.wait_for(Duration::from_secs(3));
    let value = vec![7; 1_000_000];
    let fill = |client: &mut kv_client::Client, from: u32| {
        (from..from + 100).find(|number| client.set(format!("fill/{number}").as_bytes(), &value).is_err())
    };
    for number in 0..3 {
        client.set(format!("kept/{number}").as_bytes(), &value)?;
    }
    let Some(written) = fill(&mut client, 0) else { anyhow::bail!("the disk never got full") };
    ensure!(written > 10, "full after {written} values of a disk of 64 MiB");
    // At once: one checkpoint is to give back what many would bit by bit.
    client.delete_prefix(b"fill/")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.set(b"again", &value).is_err() {
        ensure!(Instant::now() < deadline, "everything was deleted, and there is no room");
    }
    let Some(again) = fill(&mut client, written) else { anyhow::bail!("the disk never got full again") };
    println!("full after {written} values, and after {} more", again - written);
    ensure!(again - written > written / 2, "room was lost: {written} values, then {}", again - written);
    for server in 1..=crate::network::SERVERS {
        cluster.kill(server)?;
        cluster.start_dead()?;
    }
    client.wait_for(Duration::from_secs(30));
    let kept = (0..3).map(|number| format!("kept/{number}"));
    for key in kept.chain((written..again).map(|number| format!("fill/{number}"))) {
        let found = client.get(key.as_bytes())?;
        ensure!(found.as_deref() == Some(value.as_slice()), "{key} was acknowledged and is gone");
    }
    Ok(())
}

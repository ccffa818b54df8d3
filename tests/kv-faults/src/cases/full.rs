//! A disk that is full: writes stop with a reason, reads go on, and all comes back by itself.

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::cluster::connect;

pub(crate) fn full_disk(bed: &Bed) -> Result<()> {
    let cluster = bed.small_cluster()?;
    let mut client = connect(&bed.client())?;
    client.set(b"first", b"there")?;
    (1..=crate::network::SERVERS).try_for_each(|server| cluster.fill_disk(server))?;
    client.wait_for(std::time::Duration::from_secs(3));
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
    client.wait_for(std::time::Duration::from_secs(30));
    client.set(b"last", b"there")?;
    for number in 0..written {
        let kept = client.get(format!("fill/{number}").as_bytes())?;
        ensure!(kept.as_deref() == Some(value.as_slice()), "value {number} was acknowledged and is gone");
    }
    Ok(())
}

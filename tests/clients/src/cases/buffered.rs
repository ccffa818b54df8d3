//! What is acknowledged and not on the disks yet: status tells how much, and a sync brings it to nothing.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};

use super::lost::io;

/// The exit code for what takes longer than its timeout.
const TIMED_OUT: i32 = 8;

/// By status, by the vDisk, by the write buffer: what waits for more to come, and what waits for disks.
pub(crate) fn status_tells_what_is_not_safe_yet(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    check_told(bed, 0)?;
    // Half a SCO stays in the write buffer until somebody asks, or more comes.
    io(&server, &["write -P 1 0 2M", "flush"])?;
    check_told(bed, 2 << 20)?;
    let list = bed.ovs("vdisk list").run()?;
    ensure!(list.contains("NOT SAFE YET") && list.contains("2 MiB"), "and the list tells people: {list}");
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    check_told(bed, 0)?;
    // Five disks are fewer than an upload has to reach.
    bed.osds("stop", &[1, 2, 3])?;
    io(&server, &["write -P 2 16M 8M", "flush"])?;
    check_told(bed, 8 << 20)?;
    bed.ovs(&format!("vdisk sync {VDISK} --timeout 2")).refused_with(TIMED_OUT)?;
    check_told(bed, 8 << 20)?;
    bed.osds("start", &[1, 2, 3])?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    check_told(bed, 0)?;
    server.kill()?;
    server.start_again(&[])?;
    check_told(bed, 0)?;
    io(&server, &["read -P 1 0 2M", "read -P 2 16M 8M"])
}

/// The cluster, its vDisk and its write buffer tell this number of bytes.
fn check_told(bed: &Bed, bytes: u64) -> Result<()> {
    let told = told(bed)?;
    ensure!(told == [bytes; 3], "status tells of {told:?} bytes that are not safe yet, and it is {bytes}");
    Ok(())
}

/// Bytes that are not safe yet, as the cluster, its vDisk and its write buffer tell.
fn told(bed: &Bed) -> Result<[u64; 3]> {
    let status: Value = serde_json::from_str(&bed.ovs("status --json").run()?)?;
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number of bytes in {status}"));
    let vdisk = &status["vdisks"][0];
    ensure!(vdisk["name"] == VDISK, "the vDisk is listed: {status}");
    Ok([
        number(&status["health"]["unsafe_bytes"])?,
        number(&vdisk["unsafe_bytes"])?,
        number(&status["write_buffer"]["used_bytes"])?,
    ])
}

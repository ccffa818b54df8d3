//! A disk is away while a vDisk is deleted: the deletion doesn't wait for it, and its room comes back when it does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::process::Program;
use crate::server::Server;

/// The disk that is away.
const AWAY: u32 = 3;

/// How long its room may take to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Once the cluster goes on, and once it restarts before the disk is back.
pub(crate) fn a_deleted_vdisk_leaves_nothing_on_a_disk_that_was_away(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let away = &bed.asd(AWAY);
    for restarts in [false, true] {
        // The second time its name is free again.
        fill(bed, &server)?;
        let before = keys(bed, away)?;
        ensure!(before > 0, "the disk holds something of the vDisk");
        bed.osds("stop", &[AWAY])?;
        bed.ovs("vdisk delete passing --yes").run()?;
        // The disks that are there are clean before it is back.
        wait_for_room(bed, &bed.asd(2))?;
        if restarts {
            server.stop()?;
            server.start_again(&[])?;
        } else {
            bed.osds("start", &[AWAY])?;
            ensure!(keys(bed, away)? == before, "it has missed the deletion");
        }
        wait_for_room(bed, away)?;
        let osds = bed.ovs("osd list").run()?;
        ensure!(osds.contains(away), "it serves: {osds}");
    }
    Ok(())
}

/// Makes a vDisk and fills it; all of it is on the disks.
fn fill(bed: &Bed, server: &Server) -> Result<()> {
    bed.ovs("vdisk create passing --size 64MiB").run()?;
    let io = Program::new("qemu-io").words("-f raw -c").arg("write -P 7 0 64M").arg("-c").arg("flush");
    io.arg(server.uri("passing")).run()?;
    bed.ovs("vdisk sync passing").run()?;
    Ok(())
}

fn wait_for_room(bed: &Bed, osd: &str) -> Result<()> {
    let begin = Instant::now();
    while keys(bed, osd)? > 0 {
        ensure!(begin.elapsed() < PATIENCE, "{} keys are left on {osd}", keys(bed, osd)?);
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// How many keys a disk holds, as the metrics tell.
fn keys(bed: &Bed, osd: &str) -> Result<u64> {
    let metrics = bed.ovs("metrics").run()?;
    let mut samples = metrics.lines().filter(|line| line.starts_with("ovs_osd_keys{"));
    let sample = samples.find(|line| line.contains(&format!("\"{osd}\""))).context("a sample of the disk")?;
    Ok(sample.rsplit_once(' ').context("a value")?.1.parse()?)
}

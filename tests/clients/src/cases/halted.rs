//! A vDisk whose log is damaged halts: errors and no harm, the evidence kept, and it serves again once it is mended.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::server::Server;

/// Where the first entry behind the header of a log is, in bytes from its start: synced, and others follow it.
const WITHIN_SYNCED: usize = 4096 + 60;

/// One bit of a log that was synced rots while the cluster is stopped. Its vDisk halts and says why, to the NBD client
/// too; its neighbour serves; no file of it is touched. The operator may go on without what is lost; with the bit as it was
/// it serves every byte.
pub(crate) fn damaged_log_halts_its_vdisk_alone(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    bed.ovs("vdisk create neighbour --size 64MiB").run()?;
    io(&server, VDISK, &["write -P 7 0 8M", "flush"])?;
    io(&server, "neighbour", &["write -P 9 0 1M", "flush"])?;
    server.kill()?;
    let log = the_log(bed)?;
    let sound = fs::read(&log)?;
    let mut rotten = sound.clone();
    *rotten.get_mut(WITHIN_SYNCED).context("the log has entries")? ^= 1;
    fs::write(&log, &rotten)?;

    server.start_again(&[])?;
    let info: Value = serde_json::from_str(&bed.ovs(&format!("vdisk info {VDISK} --json")).run()?)?;
    let why = info["halted"].as_str().with_context(|| format!("it is halted: {info}"))?;
    ensure!(why.contains("log") && why.contains("damaged"), "why is told: {why}");
    ensure!(bed.ovs("status").run()?.contains(why), "status tells it as well");
    let uri = server.uri(VDISK);
    let said = Program::new("qemu-io").words("-f raw -c").arg("read 0 4k").arg(&uri).refused()?;
    ensure!(said.contains("damaged"), "the client hears why: {said}");
    io(&server, "neighbour", &["read -P 9 0 1M", "write -P 8 1M 1M", "flush"])?;
    server.stop()?;
    ensure!(fs::read(&log)? == rotten, "the evidence is as it was");
    let kept = bed.path("kept");
    Program::new("cp").arg("-a").arg(bed.data()).arg(&kept).run()?;

    // The operator goes on without what is lost: before the damage there was nothing. The word is needed once.
    server.start_again(&["--accept-write-buffer-loss"])?;
    io(&server, VDISK, &["read -P 0 0 8M", "write -P 5 0 1M", "flush"])?;
    server.kill()?;
    server.start_again(&[])?;
    io(&server, VDISK, &["read -P 5 0 1M", "read -P 0 1M 7M"])?;
    io(&server, "neighbour", &["read -P 9 0 1M", "read -P 8 1M 1M"])?;
    server.stop()?;

    // Or the disk is restored as it was.
    fs::remove_dir_all(bed.data())?;
    fs::rename(&kept, bed.data())?;
    fs::write(&log, &sound)?;
    server.start_again(&[])?;
    io(&server, VDISK, &["read -P 7 0 8M", "write -P 6 8M 1M", "flush", "read -P 6 8M 1M"])?;
    io(&server, "neighbour", &["read -P 9 0 1M", "read -P 8 1M 1M"])
}

/// The one log of the first vDisk in the write buffer.
fn the_log(bed: &Bed) -> Result<PathBuf> {
    let is_log = |path: &Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("d1.tlog-"))
    };
    let files = fs::read_dir(bed.data().join("write-buffer"))?;
    let mut logs: Vec<PathBuf> =
        files.filter_map(|file| Some(file.ok()?.path())).filter(|path| is_log(path)).collect();
    ensure!(logs.len() == 1, "one log is not stored yet: {logs:?}");
    logs.pop().context("one")
}

fn io(server: &Server, vdisk: &str, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    io.arg(server.uri(vdisk)).run()?;
    Ok(())
}

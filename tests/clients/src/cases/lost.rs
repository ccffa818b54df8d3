//! What is lost for good: said before a start goes on without it, and named afterwards.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::process::Program;
use crate::server::Server;

/// Seconds within which the status names what disks that are gone cost.
const SECONDS_TO_NAME: u32 = 40;

/// The exit code of a refusal.
const REFUSED: i32 = 4;

/// A write buffer that is gone or another's: refused, naming what may be lost, until the operator says so; never after
/// a sync of everything (PROTOCOLS O5).
pub(crate) fn lost_write_buffer_needs_a_word(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    io(&server, &["write -P 1 0 32M", "flush"])?;
    bed.ovs("vdisk sync").run()?;
    io(&server, &["write -P 2 64M 8M", "flush"])?;
    server.kill()?;
    let buffer = bed.data().join("write-buffer");
    let aside = bed.path("aside");
    fs::rename(&buffer, &aside)?;
    let up = || bed.ovs("up --nbd 127.0.0.1:0").limit_seconds(60);
    let said = up().refused_with(REFUSED)?;
    ensure!(
        ["missing", VDISK, "may be lost", "--accept-write-buffer-loss"]
            .iter()
            .all(|word| said.contains(word)),
        "what may be lost, and the word, are told: {said}"
    );
    // One of somebody else's.
    fs::create_dir(&buffer)?;
    fs::write(buffer.join("letter"), "dear")?;
    let said = up().refused_with(REFUSED)?;
    ensure!(said.contains("--accept-write-buffer-loss"), "a foreign one is refused: {said}");
    ensure!(fs::read(buffer.join("letter"))? == b"dear", "and stays as it is");
    fs::remove_dir_all(&buffer)?;
    // The right one is back: nothing was lost.
    fs::rename(&aside, &buffer)?;
    server.start_again(&[])?;
    io(&server, &["read -P 1 0 32M", "read -P 2 64M 8M"])?;
    io(&server, &["write -P 3 64M 8M", "flush"])?;
    server.kill()?;
    fs::remove_dir_all(&buffer)?;
    server.start_again(&["--accept-write-buffer-loss"])?;
    // What a sync covered is there; the word is needed once.
    io(&server, &["read -P 1 0 32M", "write -P 4 64M 8M", "flush"])?;
    bed.ovs("vdisk sync").run()?;
    let status: Value = serde_json::from_str(&bed.ovs("status --json").run()?)?;
    ensure!(status["health"]["unsafe_bytes"] == 0, "after a sync all is safe: {status}");
    server.stop()?;
    fs::remove_dir_all(&buffer)?;
    server.start_again(&[])?;
    io(&server, &["read -P 1 0 32M", "read -P 4 64M 8M"])
}

/// More disks lost what they held than the policy bears: EIO for what is lost, the rest works, and status names the ranges.
pub(crate) fn lost_ranges_are_named(bed: &Bed) -> Result<()> {
    let mut server = bed.up("1GiB")?;
    fill_beyond_the_write_buffer(bed, &server)?;
    server.stop()?;
    for disk in 0..5 {
        let files = bed.data().join(bed.asd(disk)).read_dir()?;
        for file in
            files.filter_map(|file| Some(file.ok()?.path())).filter(|file| !file.ends_with("identity"))
        {
            fs::remove_file(file)?;
        }
    }
    server.start_again(&[])?;
    status_comes_to_name_what_is_lost(bed)?;
    let read = Program::new("qemu-io").words("-f raw -c").arg("read -P 5 32M 64M").arg(server.uri(VDISK));
    let said = read.refused_saying()?;
    ensure!(said.contains("Input/output error"), "EIO, and no wrong byte: {said}");
    io(&server, &["read -P 0 0 16M", "read -P 0 900M 64M"])
}

/// Writes 5s from 32 MiB to 96 MiB, and so much behind it that only the disks have it: the write buffer keeps what it can
/// as a cache.
pub(super) fn fill_beyond_the_write_buffer(bed: &Bed, server: &Server) -> Result<()> {
    io(server, &["write -P 5 32M 64M", "flush"])?;
    for at in ["128M", "448M"] {
        io(server, &[&format!("write -P 6 {at} 256M"), "flush"])?;
        bed.ovs("vdisk sync").run()?;
    }
    Ok(())
}

/// The volume driver asks from time to time which disks are gone: what that costs is named before anybody has read it.
pub(super) fn status_comes_to_name_what_is_lost(bed: &Bed) -> Result<()> {
    for _ in 0..SECONDS_TO_NAME {
        if status_names_only_what_is_lost(bed).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    status_names_only_what_is_lost(bed)
}

/// Ranges are named, and none that wasn't written.
fn status_names_only_what_is_lost(bed: &Bed) -> Result<()> {
    let said = bed.ovs("status").run()?;
    ensure!(said.starts_with("data lost: disk1 can't be read at "), "the ranges are named: {said}");
    let info: Value = serde_json::from_str(&bed.ovs("vdisk info disk1 --json").run()?)?;
    let lost = info["lost"].as_array().context("ranges are listed")?;
    let within = |range: &Value| {
        let offset = range["offset_bytes"].as_u64().unwrap_or(0);
        let end = offset + range["length_bytes"].as_u64().unwrap_or(u64::MAX / 2);
        offset >= 32 << 20 && end <= 704 << 20
    };
    ensure!(!lost.is_empty() && lost.iter().all(within), "only what is lost is named: {info}");
    Ok(())
}

pub(super) fn io(server: &Server, commands: &[&str]) -> Result<()> {
    let mut io = Program::new("qemu-io").words("-f raw");
    for command in commands {
        io = io.arg("-c").arg(command);
    }
    io.arg(server.uri(VDISK)).run()?;
    Ok(())
}

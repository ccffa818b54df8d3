//! Load by fio's NBD engine, and by its plain one on files.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Bytes of the disk that is measured.
pub(crate) const DISK: u64 = 1 << 30;

/// A load.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    rw: &'static str,
    block: &'static str,
    depth: u32,
    jobs: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Mean latency in microseconds.
    pub(crate) mean_us: f64,
}

const fn workload(
    name: &'static str,
    rw: &'static str,
    block: &'static str,
    depth: u32,
    jobs: u32,
) -> Workload {
    Workload { name, rw, block, depth, jobs }
}

/// Loads on data that was written a moment ago.
pub(crate) const HOT: [Workload; 8] = [
    workload("randread 4k QD1", "randread", "4k", 1, 1),
    workload("randread 4k QD32", "randread", "4k", 32, 1),
    workload("randread 4k 4xQD8", "randread", "4k", 8, 4),
    workload("read 1m QD8", "read", "1m", 8, 1),
    workload("randwrite 4k QD1", "randwrite", "4k", 1, 1),
    workload("randwrite 4k QD32", "randwrite", "4k", 32, 1),
    workload("randwrite 4k 4xQD8", "randwrite", "4k", 8, 4),
    workload("write 1m QD8", "write", "1m", 8, 1),
];

/// Loads on data that is on disks alone.
pub(crate) const COLD: [Workload; 2] = [
    workload("cold randread 4k QD1", "randread", "4k", 1, 1),
    workload("cold randread 4k QD32", "randread", "4k", 32, 1),
];

/// Writes the whole disk once, in bytes per second.
pub(crate) fn fill(uri: &str) -> Result<f64> {
    let arguments =
        ["--ioengine=nbd", &format!("--uri={uri}"), "--rw=write", "--bs=1m", "--iodepth=8", "--end_fsync=1"];
    bandwidth(&run_fio(&arguments)?)
}

/// What a file beside those of the servers takes, written in sequence past the page cache, in bytes per second.
pub(crate) fn raw_disk(file: &Path) -> Result<f64> {
    let name = format!("--filename={}", file.display());
    let arguments =
        ["--ioengine=libaio", &name, "--rw=write", "--bs=1m", "--iodepth=8", "--direct=1", "--end_fsync=1"];
    let measured = bandwidth(&run_fio(&arguments)?);
    std::fs::remove_file(file)?;
    measured
}

fn bandwidth(answer: &Value) -> Result<f64> {
    answer["jobs"][0]["write"]["bw_bytes"].as_f64().context("fio's output has changed")
}

/// Measures a load, after half a second of warming up.
pub(crate) fn run(uri: &str, workload: &Workload, seconds: u64) -> Result<Measured> {
    let answer = run_fio(&[
        "--ioengine=nbd",
        &format!("--uri={uri}"),
        &format!("--rw={}", workload.rw),
        &format!("--bs={}", workload.block),
        &format!("--iodepth={}", workload.depth),
        &format!("--numjobs={}", workload.jobs),
        &format!("--runtime={seconds}"),
        "--ramp_time=500ms",
        "--time_based",
        "--group_reporting",
    ])?;
    let side = if workload.rw.contains("write") { "write" } else { "read" };
    let job = &answer["jobs"][0][side];
    let number = |value: &Value| value.as_f64().context("fio's output has changed");
    Ok(Measured { per_second: number(&job["iops"])?, mean_us: number(&job["lat_ns"]["mean"])? / 1000.0 })
}

/// What every run of fio is told beside its load.
pub(crate) fn common() -> [String; 5] {
    [
        "--name=bench".into(),
        format!("--size={DISK}"),
        "--output-format=json".into(),
        "--randrepeat=0".into(),
        "--thread".into(),
    ]
}

fn run_fio(arguments: &[&str]) -> Result<Value> {
    let output = Command::new("fio")
        .args(common())
        .args(arguments)
        .output()
        .context("fio does not run: apt-get install fio")?;
    if !output.status.success() {
        bail!(
            "fio failed: {}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text.find('{').context("fio wrote no JSON")?;
    Ok(serde_json::from_str(&text[start..])?)
}

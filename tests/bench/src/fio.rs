//! Load by fio's NBD engine.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Bytes of the disk that is measured.
pub(crate) const DISK: &str = "1g";

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

/// The loads of the design's table.
pub(crate) fn all() -> Vec<Workload> {
    let workload = |name, rw, block, depth, jobs| Workload { name, rw, block, depth, jobs };
    vec![
        workload("randread 4k QD1", "randread", "4k", 1, 1),
        workload("randread 4k QD32", "randread", "4k", 32, 1),
        workload("randread 4k 4xQD8", "randread", "4k", 8, 4),
        workload("randwrite 4k QD1", "randwrite", "4k", 1, 1),
        workload("randwrite 4k QD32", "randwrite", "4k", 32, 1),
        workload("randwrite 4k 4xQD8", "randwrite", "4k", 8, 4),
        workload("write 1m QD8", "write", "1m", 8, 1),
        workload("read 1m QD8", "read", "1m", 8, 1),
    ]
}

/// Writes the whole disk once, so that nothing is measured on what was never written.
pub(crate) fn fill(uri: &str) -> Result<()> {
    run_fio(uri, &["--rw=write", "--bs=1m", "--iodepth=8", "--numjobs=1", "--end_fsync=1"]).map(|_| ())
}

/// Measures a load.
pub(crate) fn run(uri: &str, workload: &Workload, seconds: u64) -> Result<Measured> {
    let answer = run_fio(
        uri,
        &[
            &format!("--rw={}", workload.rw),
            &format!("--bs={}", workload.block),
            &format!("--iodepth={}", workload.depth),
            &format!("--numjobs={}", workload.jobs),
            &format!("--runtime={seconds}"),
            "--time_based",
            "--group_reporting",
        ],
    )?;
    let side = if workload.rw.contains("write") { "write" } else { "read" };
    let job = &answer["jobs"][0][side];
    let number = |value: &Value| value.as_f64().context("fio's output has changed");
    Ok(Measured { per_second: number(&job["iops"])?, mean_us: number(&job["clat_ns"]["mean"])? / 1000.0 })
}

fn run_fio(uri: &str, arguments: &[&str]) -> Result<Value> {
    let output = Command::new("fio")
        .args(["--name=bench", "--ioengine=nbd", &format!("--uri={uri}"), &format!("--size={DISK}")])
        .args(["--output-format=json", "--randrepeat=1", "--thread"])
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

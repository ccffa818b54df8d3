//! What processes and folders take.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Bytes of a process that are in memory (its resident set).
pub fn memory_of(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a running process")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

/// Bytes that a folder takes on its disk.
pub fn disk_of(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { disk_of(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}

//! How the cluster is: for people in five seconds, for programs in JSON, for Prometheus in numbers.

use std::fmt::Write;
use std::path::Path;

use api::Client;
use api::model::{ClusterStatus, Verdict};
use glossary::{ByteCount, ServerId};

use super::ask::{QUICK, ask, pretty};
use crate::cli::Asking;
use crate::failure::Failure;

/// Reasons that are shown; more don't help.
const REASONS_SHOWN: usize = 10;

pub(crate) fn run(asking: &Asking, directory: &Path) -> Result<String, Failure> {
    let status = ask(asking, directory, QUICK, Client::status)?;
    Ok(if asking.json { pretty(&status) } else { render(&status) })
}

pub(crate) fn metrics(asking: &Asking, directory: &Path) -> Result<String, Failure> {
    let metrics = ask(asking, directory, QUICK, Client::metrics)?;
    Ok(if asking.json { pretty(&metrics) } else { metrics.render() })
}

/// The verdict and its reasons, then a line for each question that an operator has.
fn render(status: &ClusterStatus) -> String {
    let mut text = verdict(status);
    let lines = [
        ("disks", disks(status)),
        ("room", room(status)),
        ("vDisks", vdisks(status)),
        ("not safe yet", not_safe(status)),
        ("KV", kv(status)),
        ("policy", policy(status)),
        ("memory", format!("requests under way take at most {}", status.facts.memory_limit)),
    ];
    for (label, value) in lines {
        writeln!(text, "  {label:<13} {value}").expect("strings take what is written");
    }
    text
}

fn verdict(status: &ClusterStatus) -> String {
    let word = match status.health.verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::DataLost => "data lost",
    };
    let reasons = &status.health.reasons;
    let Some((first, others)) = reasons.split_first() else { return format!("{word}\n") };
    let mut text = format!("{word}: {first}\n");
    for reason in others.iter().take(REASONS_SHOWN) {
        writeln!(text, "  also          {reason}").expect("strings take what is written");
    }
    if let Some(hidden) = others.len().checked_sub(REASONS_SHOWN + 1) {
        writeln!(text, "  also          {} more: see --json", hidden + 1)
            .expect("strings take what is written");
    }
    text
}

fn disks(status: &ClusterStatus) -> String {
    let osds = &status.facts.osds;
    let serving = osds.iter().filter(|osd| osd.state.serves()).count();
    format!("{serving} of {} serve, {} more may fail", osds.len(), status.health.disks_may_fail)
}

fn room(status: &ClusterStatus) -> String {
    let serving = || status.facts.osds.iter().filter(|osd| osd.state.serves());
    let used = ByteCount(serving().map(|osd| osd.used.0).sum());
    let capacity = ByteCount(serving().map(|osd| osd.capacity.0).sum());
    let dead = ByteCount(serving().map(|osd| osd.dead.0).sum());
    let fullest = serving().max_by_key(|osd| percent(osd.used, osd.capacity));
    let fullest = fullest
        .map(|osd| format!("; fullest {} with {}%", osd.name, percent(osd.used, osd.capacity)))
        .unwrap_or_default();
    format!("{used} of {capacity} used, {dead} of it dead{fullest}")
}

fn percent(part: ByteCount, whole: ByteCount) -> u64 {
    u64::try_from(u128::from(part.0) * 100 / u128::from(whole.0.max(1))).unwrap_or(u64::MAX)
}

fn vdisks(status: &ClusterStatus) -> String {
    let vdisks = &status.facts.vdisks;
    let stored = ByteCount(vdisks.iter().map(|vdisk| vdisk.stored.0).sum());
    let size = ByteCount(vdisks.iter().map(|vdisk| vdisk.size.0).sum());
    format!("{} with {stored} stored, of {size}", vdisks.len())
}

fn not_safe(status: &ClusterStatus) -> String {
    let buffer = status.facts.write_buffer;
    let bytes = ByteCount(status.health.unsafe_bytes);
    format!(
        "{bytes}; write buffer {} of {} ({}%), cache included",
        buffer.used,
        buffer.limit,
        percent(buffer.used, buffer.limit)
    )
}

fn kv(status: &ClusterStatus) -> String {
    match status.facts.kv.copies {
        1 => "a single copy: without its folder the cluster is lost".to_owned(),
        copies => format!("{copies} copies"),
    }
}

fn policy(status: &ClusterStatus) -> String {
    let policies: Vec<String> = status.facts.policies.iter().map(ToString::to_string).collect();
    let is_of_servers = status.facts.osds.iter().any(|osd| osd.osd.server() != ServerId(0));
    let node = if is_of_servers {
        "each server counts as one storage node"
    } else {
        "each disk counts as a storage node of its own"
    };
    format!("{}; {node}", policies.join(", then "))
}

#[cfg(test)]
mod tests;

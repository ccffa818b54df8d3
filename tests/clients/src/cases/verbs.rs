//! The command line while a client is at work.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, VDISK};
use crate::nbd::{Connection, Verb};
use crate::process::Program;

/// Every verb that shows something shows it as JSON too.
pub(crate) fn verbs_speak_json(bed: &Bed) -> Result<()> {
    let _server = bed.up("256MiB")?;
    for verb in [
        "status --json",
        "vdisk list --json",
        "vdisk info disk1 --json",
        "osd list --json",
        "disk list --json",
    ] {
        let said = bed.ovs(verb).run()?;
        let value: Result<Value, _> = serde_json::from_str(&said);
        ensure!(value.is_ok(), "`{verb}` does not print JSON:\n{said}");
    }
    let metrics = bed.ovs("metrics").run()?;
    let is_sample =
        |line: &str| line.split_whitespace().last().is_some_and(|value| value.parse::<f64>().is_ok());
    let samples: Vec<&str> =
        metrics.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    ensure!(
        !samples.is_empty() && samples.iter().all(|line| is_sample(line)),
        "metrics are Prometheus text:\n{metrics}"
    );
    Ok(())
}

/// The document of every metric, written from what a server said: a name, how it moves, what it means.
const METRICS: &str = include_str!("../../../../docs/metrics.md");

/// The metrics are Prometheus text, and docs/metrics.md has each of them and no other.
pub(crate) fn metrics_are_documented(bed: &Bed) -> Result<()> {
    let _server = bed.up("256MiB")?;
    let said = bed.ovs("metrics").run()?;
    let mut rows = Vec::new();
    let mut lines = said.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, meaning) = help
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .with_context(|| format!("help comes first: {help}"))?;
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        let kind = kind.filter(|kind| ["counter", "gauge"].contains(kind));
        let kind = kind.with_context(|| format!("{name} says how it moves"))?;
        ensure!((kind == "counter") == name.ends_with("_total"), "counters, and no others, end so: {name}");
        rows.push(format!("| `{name}` | {kind} | {meaning} |"));
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            check_sample(name, sample).with_context(|| sample.to_owned())?;
        }
    }
    rows.sort();
    let documented: Vec<&str> = METRICS.lines().filter(|line| line.starts_with("| `")).collect();
    ensure!(rows == documented, "docs/metrics.md has drifted; its rows are\n{}", rows.join("\n"));
    Ok(())
}

/// `NAME VALUE` or `NAME{LABEL="…"} VALUE`.
fn check_sample(name: &str, sample: &str) -> Result<()> {
    let (of, value) = sample.rsplit_once(' ').context("a value")?;
    value.parse::<u64>().context("a number")?;
    let labels = of.strip_prefix(name).context("the name of its family")?;
    let label = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix("\"}"));
    let is_label = label.and_then(|label| label.split_once("=\"")).is_some_and(|(label, value)| {
        label.bytes().all(|byte| byte.is_ascii_lowercase()) && !value.contains(['"', '\\'])
    });
    ensure!(labels.is_empty() || is_label, "labels in braces and quotes");
    Ok(())
}

/// A vDisk is made, filled, grown, seen larger on reconnect, and deleted.
pub(crate) fn vdisk_grows_and_goes(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    bed.ovs("vdisk create second --size 512MiB").run()?;
    bed.ovs("vdisk create second --size 512MiB").refused()?;
    let uri = server.uri("second");
    Program::new("qemu-io")
        .words("-f raw -c")
        .arg("write -P 1 508M 4M")
        .arg("-c")
        .arg("flush")
        .arg(&uri)
        .run()?;
    bed.ovs("vdisk resize second --size 1GiB").run()?;
    let size = Program::new("nbdinfo").arg("--size").arg(&uri).run()?;
    ensure!(size.trim() == (1_u64 << 30).to_string(), "a new connection sees the new size: {size}");
    let state = ["read -P 1 508M 4M", "read -P 0 512M 512M"];
    Program::new("qemu-io").words("-f raw -c").arg(state[0]).arg("-c").arg(state[1]).arg(&uri).run()?;
    server.kill()?;
    server.start_again(&[])?;
    Program::new("qemu-io").words("-f raw -c").arg(state[0]).arg("-c").arg(state[1]).arg(&uri).run()?;
    // Without the word and without a terminal to ask at, nothing is deleted.
    bed.ovs("vdisk delete second").refused()?;
    bed.ovs("vdisk delete second --yes").run()?;
    Program::new("nbdinfo").arg(&uri).refused()?;
    let list = bed.ovs("vdisk list").run()?;
    ensure!(list.contains(VDISK) && !list.contains("second"), "the list names what is there: {list}");
    // One that is still being taken over is waited for.
    for _ in 0..5 {
        bed.ovs("vdisk create brief --size 64MiB").run()?;
        bed.ovs("vdisk delete brief --yes").run()?;
    }
    Ok(())
}

/// Disks are taken out of the running cluster and put back, and the client notices nothing.
pub(crate) fn osd_stops_and_starts(bed: &Bed) -> Result<()> {
    let mut server = bed.up("256MiB")?;
    let uri = server.uri(VDISK);
    let io = |commands: &[&str]| {
        let mut io = Program::new("qemu-io").words("-f raw");
        for command in commands {
            io = io.arg("-c").arg(command);
        }
        io.arg(&uri).run()
    };
    io(&["write -P 1 0 64M", "flush"])?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    bed.osds("stop", &[3, 6])?;
    ensure!(bed.ovs("status").run()?.contains("degraded"), "two disks are missing, and status says so");
    io(&["read -P 1 0 64M", "write -P 2 64M 64M", "flush", "read -P 2 64M 64M"])?;
    bed.osds("start", &[3, 6])?;
    bed.ovs(&format!("vdisk sync {VDISK}")).run()?;
    io(&["read -P 1 0 64M", "read -P 2 64M 64M"])?;
    server.stop()?;
    server.start_again(&[])?;
    io(&["read -P 1 0 64M", "read -P 2 64M 64M"])?;
    Ok(())
}

/// Connections of the overload, and the requests of 32 MiB that each sends before it reads a reply: 2 GiB in all.
const CONNECTIONS: usize = 32;
const REQUESTS: u64 = 2;
const LENGTH: u32 = 32 << 20;

/// What the server may use at its highest: far below what the clients send, with room for its write buffer of 256 MiB.
const MEMORY_MAX_KIB: u64 = 1 << 20;

/// Clients that send faster than anything can be stored are slowed down; memory stays bounded.
pub(crate) fn overload_stays_bounded(bed: &Bed) -> Result<()> {
    let server = bed.up("1GiB")?;
    let port = server.port();
    let payload = vec![7_u8; usize::try_from(LENGTH)?];
    let flood = |payload: &[u8]| -> Result<()> {
        let mut connection = Connection::open(port, VDISK)?;
        for request in 0..REQUESTS {
            connection.send(Verb::Write, request, request * u64::from(LENGTH), LENGTH, payload)?;
        }
        for _ in 0..REQUESTS {
            connection.receive()?;
        }
        Ok(())
    };
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| flood(&payload))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client's thread does not panic")).collect()
    });
    for outcome in outcomes {
        outcome?;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()?.as_raw_nonzero()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(peak_kib < MEMORY_MAX_KIB, "the server used {} MiB", peak_kib >> 10);
    Ok(())
}

//! The document.

use std::fmt::Write;
use std::process::Command;

use crate::coding::Coded;
use crate::fio::Measured;
use crate::goals::{Bound, Goal};
use crate::ovs::NAME;
use crate::servers::{NULL, RAW};
use crate::stepping::Cost;

/// One measurement.
pub(crate) struct Cell {
    pub(crate) server: String,
    pub(crate) workload: &'static str,
    pub(crate) measured: Measured,
}

/// Everything measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) cells: Vec<Cell>,
    /// Commands that servers were started with.
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) coded: Vec<Coded>,
    /// Why ISA-L is missing.
    pub(crate) no_isal: Option<String>,
    pub(crate) step: Option<Cost>,
    /// Seconds to `ready`: of the first start, and of one on what was there.
    pub(crate) ready: Option<(f64, f64)>,
    /// Per cent of a core.
    pub(crate) idle: Option<f64>,
    /// Of a write in sequence up to the ASDs: bytes that erasure coding writes per second over what the disk takes.
    pub(crate) sequential: Option<f64>,
    pub(crate) how: How,
}

/// How it was measured.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) seconds: u64,
    pub(crate) rounds: u32,
    pub(crate) took: std::time::Duration,
    /// The machine's load average before the run.
    pub(crate) load: String,
}

/// The middle of some numbers.
pub(crate) fn median(numbers: &[f64]) -> Option<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    let (low, high) = (numbers.get(numbers.len().wrapping_sub(1) / 2)?, numbers[numbers.len() / 2]);
    Some((low + high) / 2.0)
}

impl Report {
    /// The document's text.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("strings take everything");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "# How fast\n\nWritten by `cargo xtask bench`; `tests/bench/README.md` says how it measures."
        )?;
        writeln!(text, "Ratios are of one run on one machine; differences below 0.2 mean little.\n")?;
        writeln!(text, "- Date: {}", said_by("date", &["-u", "+%Y-%m-%d"]))?;
        writeln!(text, "- Machine: {}", machine())?;
        let How { seconds, rounds, took, load } = &self.how;
        writeln!(text, "- {rounds} rounds of {seconds} s, servers in turns; {} s in all", took.as_secs())?;
        writeln!(
            text,
            "- Load average before: {load}; above 0.5 other programs disturbed what was measured"
        )?;
        writeln!(text, "- {}, {}\n", said_by("fio", &["--version"]), said_by("nbdkit", &["--version"]))?;
        writeln!(text, "## Goals\n\n| what | goal | measured | |\n|---|---|---|---|")?;
        self.goals().iter().try_for_each(|goal| writeln!(text, "{}", goal.row()))?;
        writeln!(text, "\nNot measured here: Ceph RBD on the same disks.\n")?;
        self.write_loads(text)?;
        self.write_coding(text)?;
        self.write_core(text)?;
        writeln!(text, "## Commands\n\n```text")?;
        self.lines.iter().try_for_each(|(name, line)| writeln!(text, "{name}: {line}"))?;
        writeln!(
            text,
            "fio {} --ioengine=nbd --uri=\u{2026} --rw=\u{2026} --bs=\u{2026} --iodepth=\u{2026} --numjobs=\u{2026} \\",
            crate::fio::common().join(" ")
        )?;
        writeln!(text, "    --runtime={seconds} --ramp_time=500ms --time_based --group_reporting\n```")
    }

    fn write_loads(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## Loads\n")?;
        writeln!(
            text,
            "Requests per second over those of `{NULL}`: the median, the rounds in brackets; then the mean latency.\n"
        )?;
        let servers = unique(self.cells.iter().map(|cell| cell.server.as_str()));
        writeln!(text, "| load | {} |\n|---|{}", servers.join(" | "), "---|".repeat(servers.len()))?;
        for workload in unique(self.cells.iter().map(|cell| cell.workload)) {
            let cells: Vec<String> = servers.iter().map(|server| self.cell(server, workload)).collect();
            writeln!(text, "| {workload} | {} |", cells.join(" | "))?;
        }
        writeln!(text)
    }

    fn write_coding(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## Erasure coding\n")?;
        writeln!(
            text,
            "One core, GB/s of data read, fragments of 4 MiB in strips of 64 KiB; the parity bytes are compared.\n"
        )?;
        if let Some(why) = &self.no_isal {
            writeln!(text, "ISA-L is not available: {}\n", why.replace('\n', " "))?;
        }
        writeln!(
            text,
            "| shape | encode | ISA-L | ratio | rebuild one | ISA-L | ratio |\n|---|---|---|---|---|---|---|"
        )?;
        for Coded { k, m, ours, isal } in &self.coded {
            let pair = |own: f64, peer: Option<f64>| match peer {
                Some(peer) => format!("{own:.1} | {peer:.1} | {:.2}", own / peer),
                None => format!("{own:.1} | \u{2013} | \u{2013}"),
            };
            let encode = pair(ours.encode, isal.map(|isal| isal.encode));
            let rebuild = pair(ours.rebuild, isal.map(|isal| isal.rebuild));
            writeln!(text, "| {k}+{m} | {encode} | {rebuild} |")?;
        }
        writeln!(text)
    }

    fn write_core(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## The pure core\n")?;
        if let Some(Cost { batched, alone, driver, instructions }) = &self.step {
            writeln!(
                text,
                "Edge and volume driver together, a 4 KiB write at random: {batched:.0} ns with 32 writes to a turn"
            )?;
            writeln!(
                text,
                "(of these {driver:.0} ns in the volume driver), {alone:.0} ns with one write to a turn."
            )?;
            match instructions {
                Some(count) => writeln!(text, "Instructions a write, 32 to a turn: {count:.0}.\n")?,
                None => writeln!(text, "Instructions were not counted: valgrind does not run here.\n")?,
            }
        }
        let Some((first, again)) = self.ready else { return Ok(()) };
        writeln!(
            text,
            "## Start\n\nTo `ready`: {first:.2} s for the first start, {again:.2} s on 1 GiB of data.\n"
        )
    }

    fn goals(&self) -> Vec<Goal> {
        let goal = |what: &str, measured, bound, unit| Goal { what: what.into(), measured, bound, unit };
        let null = |load: &str| self.ratio(NAME, NULL, load, |measured| measured.per_second);
        let slower = |load: &str| self.ratio(NAME, NULL, load, |measured| measured.mean_us);
        let raw = self.ratio(NAME, RAW, "randwrite 4k QD32", |measured| measured.per_second);
        let (times, latency) = ("\u{d7} null", "\u{d7} null's mean latency");
        let mut goals = vec![
            goal("4 KiB random read, QD 32", null("randread 4k QD32"), Bound::AtLeast(1.2), times),
            goal("4 KiB random read, 4 jobs \u{d7} 8", null("randread 4k 4xQD8"), Bound::AtLeast(1.5), times),
            goal("4 KiB random write, QD 32", null("randwrite 4k QD32"), Bound::AtLeast(0.9), times),
            goal(
                "4 KiB random write, QD 32",
                raw,
                Bound::AtLeast(1.5),
                "\u{d7} qemu-nbd on a raw file, cache=none",
            ),
            goal("4 KiB read, QD 1", slower("randread 4k QD1"), Bound::AtMost(1.3), latency),
            goal("4 KiB write, QD 1", slower("randwrite 4k QD1"), Bound::AtMost(1.3), latency),
            goal(
                "sequential write up to the ASDs, 4+2",
                self.sequential,
                Bound::AtLeast(0.8),
                "\u{d7} what the disk takes",
            ),
            goal("CPU when idle", self.idle, Bound::AtMost(1.0), "% of a core"),
            goal(
                "step of the pure core, per write",
                self.step.as_ref().map(|cost| cost.batched / 1e3),
                Bound::AtMost(1.0),
                "\u{b5}s",
            ),
        ];
        for Coded { k, m, ours, isal } in &self.coded {
            let of = |what: &str, ratio| {
                goal(&format!("{what} {k}+{m}, one core"), ratio, Bound::AtLeast(1.0), "\u{d7} ISA-L")
            };
            goals.push(of("encode", isal.map(|isal| ours.encode / isal.encode)));
            goals.push(of("rebuild", isal.map(|isal| ours.rebuild / isal.rebuild)));
        }
        goals
    }

    fn cell(&self, server: &str, workload: &str) -> String {
        let ratios = self.ratios(server, NULL, workload, |measured| measured.per_second);
        let latencies: Vec<f64> = self.of(server, workload).map(|own| own.mean_us).collect();
        let (Some(middle), Some(latency)) = (median(&ratios), median(&latencies)) else {
            return "\u{2013}".into();
        };
        let rounds: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        format!("**{middle:.2}** ({}) {latency:.0} \u{b5}s", rounds.join(" "))
    }

    fn of(&self, server: &str, workload: &str) -> impl Iterator<Item = Measured> {
        let cells = self.cells.iter().filter(move |cell| cell.server == server && cell.workload == workload);
        cells.map(|cell| cell.measured)
    }

    /// Round by round.
    fn ratios(&self, server: &str, peer: &str, workload: &str, pick: fn(Measured) -> f64) -> Vec<f64> {
        let rounds = self.of(server, workload).zip(self.of(peer, workload));
        rounds.map(|(own, peer)| pick(own) / pick(peer)).collect()
    }

    fn ratio(&self, server: &str, peer: &str, workload: &str, pick: fn(Measured) -> f64) -> Option<f64> {
        median(&self.ratios(server, peer, workload, pick))
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    names.for_each(|name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
    });
    seen
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{} \u{d7} {}, Linux {}", cores, model.unwrap_or("unknown processor"), said_by("uname", &["-r"]))
}

/// How busy the machine was in the last minute.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }
}

//! The table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use crate::fio::Measured;

/// The server that the others are measured by.
const NULL: &str = "nbdkit memory";

/// One measurement.
pub(crate) struct Cell {
    pub(crate) server: String,
    pub(crate) workload: String,
    pub(crate) measured: Measured,
}

/// Everything measured.
#[derive(Default)]
pub(crate) struct Report {
    cells: Vec<Cell>,
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// The document.
    pub(crate) fn render(&self, seconds: u64, rounds: u32) -> String {
        let mut text = String::new();
        self.write(&mut text, seconds, rounds).expect("strings take everything");
        text
    }

    fn write(&self, text: &mut String, seconds: u64, rounds: u32) -> std::fmt::Result {
        writeln!(text, "# How fast\n")?;
        writeln!(
            text,
            "Written by `cargo xtask bench`. Ratios within one run; differences below 0.2 mean little.\n"
        )?;
        writeln!(text, "- Date: {}", said_by("date", &["-u", "+%Y-%m-%d"]))?;
        writeln!(text, "- Machine: {}", machine())?;
        writeln!(
            text,
            "- fio 4 KiB and 1 MiB, NBD over loopback, 1 GiB disk, filled first; {seconds} s, {rounds} rounds"
        )?;
        writeln!(
            text,
            "- Ratio: requests per second over those of `{NULL}`; in brackets the rounds; then mean latency\n"
        )?;
        let servers = unique(self.cells.iter().map(|cell| cell.server.as_str()));
        let workloads = unique(self.cells.iter().map(|cell| cell.workload.as_str()));
        writeln!(text, "| load | {} |", servers.join(" | "))?;
        writeln!(text, "|---|{}", "---|".repeat(servers.len()))?;
        for workload in workloads {
            let cells: Vec<String> = servers.iter().map(|server| self.cell(server, workload)).collect();
            writeln!(text, "| {workload} | {} |", cells.join(" | "))?;
        }
        writeln!(text)?;
        self.notes.iter().try_for_each(|note| writeln!(text, "- {note}"))
    }

    fn cell(&self, server: &str, workload: &str) -> String {
        let of = |server: &str| -> Vec<Measured> {
            let cells = self.cells.iter().filter(|cell| cell.server == server && cell.workload == workload);
            cells.map(|cell| cell.measured).collect()
        };
        let (own, null) = (of(server), of(NULL));
        let ratios: Vec<f64> =
            own.iter().zip(&null).map(|(own, null)| own.per_second / null.per_second).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
        let latency = own.iter().map(|own| own.mean_us).sum::<f64>() / own.len().max(1) as f64;
        let rounds: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        format!("{mean:.2} ({}) {latency:.0} us", rounds.join("/"))
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeMap::new();
    for (index, name) in names.enumerate() {
        seen.entry(name).or_insert(index);
    }
    let mut names: Vec<&str> = seen.keys().copied().collect();
    names.sort_by_key(|name| seen[name]);
    names
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{} x {}, Linux {}", cores, model.unwrap_or("unknown processor"), said_by("uname", &["-r"]))
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default()
}

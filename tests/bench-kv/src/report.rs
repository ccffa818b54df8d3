//! The report: ratios beside the goals, and what they were made of.

use std::fmt::Write;
use std::time::Duration;

use crate::alone::Alone;
use crate::idle::Idle;
use crate::load::{KEYS, Load, Measured, Work};
use crate::store::{Consistency, Footprint};

/// One load on both stores, round by round.
pub struct Row {
    pub load: Load,
    pub ours: Vec<Measured>,
    pub etcd: Vec<Measured>,
}

/// How long a follower took that had missed so many keys.
#[derive(Clone, Copy)]
pub struct CatchUp {
    pub keys: usize,
    pub time: Duration,
}

/// Everything that was measured.
pub struct Report {
    pub etcd: String,
    pub rows: Vec<Row>,
    pub alone: Vec<Alone>,
    pub growth: Option<((Footprint, CatchUp), (Footprint, CatchUp))>,
    pub idle: Option<Idle>,
    pub rounds: usize,
    pub seconds: u64,
}

/// At least so many times what etcd does.
const GOAL: f64 = 2.0;

/// A write alone takes at most so many times a round trip and a sync.
const GOAL_ALONE: f64 = 1.3;

impl Row {
    /// Ours over etcd's, round by round.
    fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.etcd).map(|(ours, etcd)| ours.rate / etcd.rate).collect()
    }

    fn has_goal(&self) -> bool {
        matches!(self.load.work, Work::Set | Work::Get(Consistency::Linearizable))
    }
}

impl Report {
    pub fn text(&self) -> String {
        let mut text = format!(
            "# The KV beside etcd\n\nWritten by `tests/bench-kv`, {}. {}. Three servers each on one machine ({}), clients \
             on it too; {} rounds of {} s in turns; each client is a thread with a connection of its own and waits for \
             each answer. etcd speaks without TLS, `ovs serve` with mTLS (it has no other way). Values have 100 bytes.\n\n",
            today(),
            self.etcd,
            machine(),
            self.rounds,
            self.seconds
        );
        self.goals(&mut text);
        self.alone(&mut text);
        self.loads(&mut text);
        self.growth(&mut text);
        self.idle(&mut text);
        text
    }

    fn goals(&self, text: &mut String) {
        text.push_str("## Goals\n\n| what | goal | measured | |\n|---|---|---|---|\n");
        for row in self.rows.iter().filter(|row| row.has_goal()) {
            let ratio = median(&row.ratios());
            let verdict = verdict(ratio / GOAL);
            writeln!(
                text,
                "| {} | \u{2265} {GOAL} \u{d7} etcd | {ratio:.2} \u{d7} | {verdict} |",
                row.load.name()
            )
            .expect("a string");
        }
        for alone in &self.alone {
            let (trip, disk, ratio) = (micros(alone.floor.alone), disk(alone), alone.ratio());
            let verdict = verdict(GOAL_ALONE / ratio);
            writeln!(
                text,
                "| a set alone, {disk} | \u{2264} {GOAL_ALONE} \u{d7} (round trip + sync, {trip:.0} \u{b5}s) | \
                 {ratio:.2} \u{d7} | {verdict} |"
            )
            .expect("a string");
        }
    }

    fn alone(&self, text: &mut String) {
        text.push_str(
            "\n## A set alone\n\nMedians, and how many times a round trip on loopback and then a write and a sync of one page that \
             is. The threads are a client, a leader and two followers with plain sockets and files, which write and sync a page \
             each and compute nothing. A slow disk is a loop device with ext4 on a file that FUSE serves, one for each server.\n\n\
             | disk | round trip + sync | threads | ovs | etcd |\n|---|---|---|---|---|\n",
        );
        for alone in &self.alone {
            let cell =
                |latency| format!("{:.0} \u{b5}s, {:.2} \u{d7}", micros(latency), alone.times(latency));
            let (threads, ours, etcd) = (cell(alone.floor.replicated), cell(alone.ours), cell(alone.etcd));
            let (disk, trip) = (disk(alone), micros(alone.floor.alone));
            writeln!(text, "| {disk} | {trip:.0} \u{b5}s | {threads} | **{ours}** | {etcd} |")
                .expect("a string");
        }
    }

    fn loads(&self, text: &mut String) {
        text.push_str(
            "\n## Loads\n\nOperations per second over etcd's: the median, the rounds in brackets.\n\n",
        );
        text.push_str("| load | ratio | ovs /s | p50 | p99 | etcd /s | p50 | p99 |\n|---|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let ratios = row.ratios();
            let all: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            writeln!(
                text,
                "| {} | **{:.2}** ({}) | {} | {} |",
                row.load.name(),
                median(&ratios),
                all.join(" "),
                cells(&row.ours),
                cells(&row.etcd)
            )
            .expect("a string");
        }
    }

    fn growth(&self, text: &mut String) {
        let Some(((ours, ours_up), (etcd, etcd_up))) = &self.growth else { return };
        let keys = KEYS + ours_up.keys;
        let per_million = |bytes: u64| bytes as f64 / keys as f64 * 1e6 / f64::from(1 << 20);
        writeln!(
            text,
            "\n## Size and catching up\n\nWith {keys} keys of 16 bytes and 100 bytes of value, all three servers \
             together; a follower that was killed, and missed {} keys.\n\n| | ovs | etcd |\n|---|---|---|\n\
             | memory, MiB per million keys | {:.0} | {:.0} |\n| disk, MiB per million keys | {:.0} | {:.0} |\n\
             | start and catch up, s | {:.1} | {:.1} |",
            ours_up.keys,
            per_million(ours.memory),
            per_million(etcd.memory),
            per_million(ours.disk),
            per_million(etcd.disk),
            ours_up.time.as_secs_f64(),
            etcd_up.time.as_secs_f64()
        )
        .expect("a string");
    }

    fn idle(&self, text: &mut String) {
        let Some(Idle { groups, alone, with_groups }) = &self.idle else { return };
        writeln!(
            text,
            "\n## Groups that are idle\n\nProcessor time of each server in half a minute without any request, over TLS.\n\n\
             | | server 1 | server 2 | server 3 |\n|---|---|---|---|\n\
             | the root group alone, of a core | {} |\n| with {groups} groups, of a core | {} |\n\n\
             No disk is asked for anything, and nobody says anything in a group that sleeps \
             (`three_hundred_groups_that_are_idle_cost_what_one_does`): what is left are the root group's heartbeats, and \
             that servers say that they live.",
            parts(alone),
            parts(with_groups)
        )
        .expect("a string");
    }
}

fn disk(alone: &Alone) -> String {
    alone.delay.map_or("this machine's disk".into(), |delay| format!("a sync takes {delay:?} more"))
}

fn parts(of_a_core: &[f64]) -> String {
    of_a_core.iter().map(|part| format!("{:.2} %", part * 100.0)).collect::<Vec<_>>().join(" | ")
}

fn cells(measured: &[Measured]) -> String {
    let rate = median(&measured.iter().map(|measured| measured.rate).collect::<Vec<_>>());
    let at =
        |part| median(&measured.iter().map(|measured| micros(measured.percentile(part))).collect::<Vec<_>>());
    format!("{rate:.0} | {:.0} \u{b5}s | {:.0} \u{b5}s", at(0.5), at(0.99))
}

fn verdict(reached: f64) -> String {
    if reached >= 1.0 { "reached".into() } else { format!("**short by a factor of {:.2}**", 1.0 / reached) }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn today() -> String {
    run("date", &["-u", "+%Y-%m-%d"])
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        model.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores of {}", model.unwrap_or_else(|| "an unknown processor".into()))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output();
    output
        .map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

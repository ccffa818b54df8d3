//! What can be counted, and its Prometheus text (exposition format 0.0.4).

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::health::Verdict;
use super::status::ClusterStatus;

/// What every name begins with.
const PREFIX: &str = "ovs";

/// Everything that can be counted, by family, in the order in which it was added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics {
    /// The families. No two have the same name.
    pub families: Vec<Family>,
}

/// Samples of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// The name.
    pub name: String,
    /// What it means.
    pub help: String,
    /// How it moves.
    #[serde(rename = "type")]
    pub kind: Type,
    /// The values.
    pub samples: Vec<Sample>,
}

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Only up.
    Counter,
    /// Up and down.
    Gauge,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What it is of: names and values.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: u64,
}

impl Metrics {
    /// What a status says in numbers.
    pub fn of(status: &ClusterStatus) -> Self {
        let (health, facts) = (&status.health, &status.facts);
        let mut metrics = Metrics::default();
        let healthy = u64::from(health.verdict == Verdict::Healthy);
        metrics.gauge("healthy", "1 when all is well", &[], healthy);
        let may_fail = u64::from(health.disks_may_fail);
        metrics.gauge("disks_may_fail", "Disks that may still fail before data can't be read", &[], may_fail);
        metrics.gauge(
            "unsafe_bytes",
            "Bytes that the disks don't hold yet with redundancy",
            &[],
            health.unsafe_bytes,
        );
        let buffer = facts.write_buffer;
        metrics.gauge(
            "write_buffer_used_bytes",
            "Bytes that the write buffer holds and the disks lack",
            &[],
            buffer.used.0,
        );
        metrics.gauge(
            "write_buffer_limit_bytes",
            "Bytes that files of the write buffer may take",
            &[],
            buffer.limit.0,
        );
        metrics.gauge(
            "memory_limit_bytes",
            "Memory that requests under way take at most",
            &[],
            facts.memory_limit.0,
        );
        metrics.gauge("kv_keys", "Keys of the KV", &[], facts.kv.keys);
        metrics.add_osds(status);
        metrics.add_vdisks(status);
        metrics
    }

    /// Adds the counters of a role: `ovs_ROLE_NAME_total{node="NODE"}`. What has a name and no value, or the
    /// reverse, is left out.
    pub fn add_counters(
        &mut self,
        role: &str,
        node: &str,
        described: &[(&'static str, &'static str)],
        values: &[u64],
    ) {
        for ((name, help), value) in described.iter().zip(values) {
            self.add(Type::Counter, &format!("{role}_{name}_total"), help, &[("node", node)], *value);
        }
    }

    /// Adds a gauge: `ovs_NAME{…}`.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.add(Type::Gauge, name, help, labels, value);
    }

    fn add(&mut self, kind: Type, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let name = format!("{PREFIX}_{name}");
        let labels = labels.iter().map(|&(label, of)| (label.to_owned(), of.to_owned())).collect();
        let sample = Sample { labels, value };
        match self.families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => self.families.push(Family { name, help: help.to_owned(), kind, samples: vec![sample] }),
        }
    }

    fn add_osds(&mut self, status: &ClusterStatus) {
        for osd in &status.facts.osds {
            let labels = [("osd", osd.name.as_str())];
            self.gauge("osd_up", "1 when the disk serves", &labels, u64::from(osd.state.serves()));
            self.gauge("osd_used_bytes", "Bytes that the disk's log takes", &labels, osd.used.0);
            self.gauge("osd_capacity_bytes", "Bytes that the disk's log may take", &labels, osd.capacity.0);
            self.gauge("osd_dead_bytes", "Bytes of the log that nothing needs", &labels, osd.dead.0);
            self.gauge("osd_keys", "Keys that the disk holds", &labels, osd.keys);
        }
    }

    fn add_vdisks(&mut self, status: &ClusterStatus) {
        for vdisk in &status.facts.vdisks {
            let labels = [("vdisk", vdisk.name.as_str())];
            self.gauge("vdisk_size_bytes", "Size of the vDisk", &labels, vdisk.size.0);
            self.gauge("vdisk_stored_bytes", "Bytes of clusters that hold data", &labels, vdisk.stored.0);
            self.gauge("vdisk_unsafe_bytes", "Bytes not yet redundant", &labels, vdisk.unsafe_bytes.0);
            let serves = u64::from(vdisk.halted.is_none());
            self.gauge("vdisk_serves", "1 when guests are served", &labels, serves);
            self.gauge("vdisk_lost_ranges", "Ranges that can't be read", &labels, vdisk.lost.len() as u64);
        }
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            text.push_str(&family.render());
        }
        text
    }
}

impl Family {
    fn render(&self) -> String {
        let kind = match self.kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        let help = self.help.replace('\\', "\\\\").replace('\n', "\\n");
        let mut text = format!("# HELP {0} {help}\n# TYPE {0} {kind}\n", self.name);
        for sample in &self.samples {
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(text, "{}{labels} {}", self.name, sample.value).expect("strings take what is written");
        }
        text
    }
}

/// A label's value, as the text format wants it between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_keep_their_samples_together() {
        let mut metrics = Metrics::default();
        let described = [("reads", "Reads answered"), ("writes", "Writes answered")];
        metrics.add_counters("asd", "asd-0", &described, &[3, 0]);
        metrics.add_counters("asd", "asd-1", &described, &[5, 7]);
        metrics.gauge("healthy", "1 when all is well", &[], 1);
        let expected = "\
# HELP ovs_asd_reads_total Reads answered
# TYPE ovs_asd_reads_total counter
ovs_asd_reads_total{node=\"asd-0\"} 3
ovs_asd_reads_total{node=\"asd-1\"} 5
# HELP ovs_asd_writes_total Writes answered
# TYPE ovs_asd_writes_total counter
ovs_asd_writes_total{node=\"asd-0\"} 0
ovs_asd_writes_total{node=\"asd-1\"} 7
# HELP ovs_healthy 1 when all is well
# TYPE ovs_healthy gauge
ovs_healthy 1
";
        assert_eq!(metrics.render(), expected);
    }

    #[test]
    fn labels_and_help_cannot_break_the_text() {
        let mut metrics = Metrics::default();
        metrics.gauge("odd", "a\\b\nc", &[("of", "q\"\\\n")], 1);
        assert_eq!(
            metrics.render(),
            "# HELP ovs_odd a\\\\b\\nc\n# TYPE ovs_odd gauge\novs_odd{of=\"q\\\"\\\\\\n\"} 1\n"
        );
    }
}

//! Measuring the KV as its clients meet it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kv_client::{Client, Error, KvQuery, Steps};
use serde_json::json;

use super::print::is_json;
use super::{client, failure};
use crate::cli::BenchKv;
use crate::failure::Failure;
use crate::verbs::table::table;

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    Set,
    Get,
}

/// How long requests took.
struct Measured {
    name: String,
    all: Duration,
    /// Each, in order.
    each: Vec<Duration>,
}

pub(crate) fn run(bench: &BenchKv, directory: &Path) -> Result<String, Failure> {
    let mut client = client(&bench.place, directory)?;
    let prefix = format!("bench/{:016x}/", crate::storage::entropy()?.next_u64());
    let mut measured = Vec::new();
    let ended = (|| {
        for (width, words) in [(1, "one by one"), (bench.concurrency as usize, "at once")] {
            for (kind, name) in [(Kind::Set, "set"), (Kind::Get, "get")] {
                let many = if width == 1 { words.to_owned() } else { format!("{width} {words}") };
                let (all, each) = measure(&mut client, bench, &prefix, kind, width)?;
                measured.push(Measured { name: format!("{name}, {many}"), all, each });
            }
        }
        Ok(())
    })();
    let deleted = client.delete_prefix(prefix.as_bytes());
    ended.and(deleted.map(drop)).map_err(failure)?;
    Ok(if is_json(&bench.place) { json_lines(&measured) } else { shown(&measured) })
}

fn measure(
    client: &mut Client,
    bench: &BenchKv,
    prefix: &str,
    kind: Kind,
    width: usize,
) -> Result<(Duration, Vec<Duration>), Error> {
    let value = vec![b'v'; bench.value_size as usize];
    let (begin, mut each) = (Instant::now(), Vec::with_capacity(bench.count as usize));
    let (mut begun, mut left) = (BTreeMap::new(), 0..bench.count);
    loop {
        while client.outstanding() < width
            && begun.len() < width
            && let Some(number) = left.next()
        {
            let key = format!("{prefix}{number:08}");
            let start = Instant::now();
            let request = match kind {
                Kind::Set => client.submit(Steps::new().set(key, value.clone()).command())?,
                Kind::Get => {
                    // The key as the client would make it of a user's.
                    client.submit_query(KvQuery::Get { key: key.into_bytes() })?
                }
            };
            begun.insert(request, start);
        }
        if begun.is_empty() {
            break;
        }
        let outcome = client.next_outcome()?;
        outcome.answer?;
        each.extend(begun.remove(&outcome.request).map(|start| start.elapsed()));
    }
    each.sort_unstable();
    Ok((begin.elapsed(), each))
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.all.as_secs_f64().max(f64::EPSILON)
    }

    /// So many of a hundred took no longer, in microseconds.
    fn percentile(&self, of_hundred: usize) -> u128 {
        let place = (self.each.len() * of_hundred).div_ceil(100).saturating_sub(1);
        self.each.get(place).map_or(0, Duration::as_micros)
    }
}

fn shown(measured: &[Measured]) -> String {
    let row = |one: &Measured| {
        vec![
            one.name.clone(),
            format!("{:.0}", one.per_second()),
            format!("{} us", one.percentile(50)),
            format!("{} us", one.percentile(99)),
        ]
    };
    table(&["WHAT", "PER SECOND", "P50", "P99"], &measured.iter().map(row).collect::<Vec<_>>())
}

fn json_lines(measured: &[Measured]) -> String {
    let line = |one: &Measured| {
        let value = json!({
            "what": one.name, "per_second": one.per_second().round(),
            "p50_microseconds": one.percentile(50) as u64, "p99_microseconds": one.percentile(99) as u64,
        });
        format!("{value}\n")
    };
    measured.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_measured() {
        let each = (1..=200).map(Duration::from_micros).collect();
        let measured = Measured { name: "set".into(), all: Duration::from_secs(2), each };
        assert_eq!(
            (measured.percentile(50), measured.percentile(99), measured.percentile(100)),
            (100, 198, 200)
        );
        assert_eq!(measured.per_second().round(), 100.0);
        assert!(shown(&[measured]).contains("198 us"));
    }
}

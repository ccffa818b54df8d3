//! P5: every cell behaves as one register: no value from the past after a newer one, none from the future,
//! and no two reads that see two changes in opposite orders.
//!
//! A value with its write and all its reads spans a zone: from the first end to the last start among them.
//! Before the zone's first end the value was there; at its last start it still was, or was yet to come. Two
//! values of which each must have come before the other can't both be right (Gibbons and Korach, "Testing
//! shared memories", 1997: for a register with distinct values this test is exact). Zeros are not distinct:
//! each read of zeros must fit at least one discard, or the beginning.
//!
//! After a loss (see `facts`) what went before counts only by what is seen of it.

use core::ops::Range;

use crate::Moment;
use crate::workload::pattern::Value;

use super::facts::{Facts, Sight};
use super::violation::{Promise, Violation};

/// Finds a violation for each cell that has one.
pub(crate) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let ends = facts.losses.iter().map(|loss| loss.at);
    let starts = [Moment::BEGIN].into_iter().chain(ends.clone());
    let eras: Vec<Range<Moment>> = starts.zip(ends.chain([Moment::NEVER])).map(|(a, b)| a..b).collect();
    let cells = 0..facts.cells.count();
    cells.filter_map(|cell| eras.iter().find_map(|era| check_cell(facts, cell, era))).collect()
}

/// A value, its write and its reads.
#[derive(Clone, Copy, Debug)]
struct Zone {
    change: u64,
    first_end: Moment,
    last_start: Moment,
    /// The read that started last, if any did after the write.
    reader: Option<u64>,
}

impl Zone {
    fn take_in(&mut self, sight: &Sight) {
        self.first_end = self.first_end.min(sight.ended);
        if sight.sent >= self.last_start {
            (self.last_start, self.reader) = (sight.sent, Some(sight.read));
        }
    }

    /// Whether this must have come before the other: something of it ended before something of that began.
    fn precedes(&self, other: &Zone) -> bool {
        self.first_end < other.last_start
    }

    fn contradicts(&self, other: &Zone) -> bool {
        self.precedes(other) && other.precedes(self)
    }
}

fn check_cell(facts: &Facts<'_>, cell: usize, era: &Range<Moment>) -> Option<Violation> {
    let sights = facts.sights[cell].iter().filter(|sight| era.contains(&sight.sent) && sight.ended < era.end);
    let sights: Vec<&Sight> = sights.collect();
    let zones = zones(facts, cell, era, &sights);
    for (index, zone) in zones.iter().enumerate() {
        let is_against = |other: &&Zone| {
            zone.contradicts(other) && !has_vanished(facts, zone, other) && !has_vanished(facts, other, zone)
        };
        if let Some(other) = zones[..index].iter().find(is_against) {
            return Some(contradiction(facts, cell, zone, other));
        }
    }
    let zeros = sights.iter().filter(|sight| sight.value == Value::Zeros);
    zeros.filter_map(|sight| check_zeros(facts, cell, era, &zones, sight)).next()
}

/// Whether a change may have been seen and be gone all the same: it was never acknowledged, its Edge died or answered
/// with an error, and what speaks against it was seen after that. No promise covers it (P1), and its guest knows that
/// it is in doubt.
fn has_vanished(facts: &Facts<'_>, zone: &Zone, other: &Zone) -> bool {
    let given_up = facts.edge_died(zone.change).min(facts.failed(zone.change));
    let is_in_doubt = !facts.is_acknowledged(zone.change) && given_up < Moment::NEVER;
    is_in_doubt && zone.last_start < given_up && other.last_start > given_up
}

fn zones(facts: &Facts<'_>, cell: usize, era: &Range<Moment>, sights: &[&Sight]) -> Vec<Zone> {
    let mut zones = Vec::new();
    for &change in &facts.changes[cell] {
        if facts.sent(change) >= era.end {
            continue;
        }
        let is_carried = facts.effective(change) <= era.start;
        let last_start = if is_carried { Moment::BEGIN } else { facts.sent(change) };
        let mut zone =
            Zone { change, first_end: facts.effective(change).max(era.start), last_start, reader: None };
        let reads = sights.iter().filter(|sight| sight.value == Value::Of(change));
        reads.for_each(|sight| zone.take_in(sight));
        // What is not known to have happened counts when it is seen.
        if zone.reader.is_some() || !is_carried && facts.is_acknowledged(change) {
            zones.push(zone);
        }
    }
    zones
}

/// Zeros are what a discard left, or what was there before anything.
fn check_zeros(
    facts: &Facts<'_>,
    cell: usize,
    era: &Range<Moment>,
    zones: &[Zone],
    sight: &Sight,
) -> Option<Violation> {
    let is_source = |&change: &u64| {
        let in_era = facts.sent(change) < era.end && facts.effective(change) > era.start;
        !facts.is_write(change) && in_era && facts.sent(change) <= sight.ended
    };
    let discards = facts.changes[cell].iter().copied().filter(is_source).map(|change| Zone {
        change,
        first_end: facts.effective(change),
        last_start: facts.sent(change),
        reader: None,
    });
    let beginning = Zone { change: 0, first_end: era.start, last_start: Moment::BEGIN, reader: None };
    let mut ruled_out = Vec::new();
    for source in discards.chain([beginning]) {
        let mut zone = source;
        zone.take_in(sight);
        // A discard that was seen and that nobody stands for may be gone as a write may.
        let is_gone = |other: &Zone| source.change != 0 && has_vanished(facts, &zone, other);
        let is_against = |other: &&Zone| {
            let is_other = other.change != source.change && other.contradicts(&zone);
            is_other && !has_vanished(facts, other, &zone) && !is_gone(other)
        };
        match zones.iter().find(is_against) {
            Some(other) => ruled_out.push((source.change, *other)),
            None => return None,
        }
    }
    let (_, other) = *ruled_out.last()?;
    let why = ruled_out.iter().rev().take(3).map(|(source, other)| match source {
        0 => format!("against {}", tell(facts, other)),
        _ => format!("not from {} against {}", facts.tell(*source), tell(facts, other)),
    });
    let why: Vec<String> = why.collect();
    let what = format!("{} saw zeros, {}", facts.tell(sight.read), why.join(", "));
    Some(violation(facts, cell, &other, sight.sent, what))
}

fn contradiction(facts: &Facts<'_>, cell: usize, one: &Zone, other: &Zone) -> Violation {
    let (stale, newer) = if one.last_start > other.last_start { (one, other) } else { (other, one) };
    let what = format!("{}, against {}", tell(facts, stale), tell(facts, newer));
    violation(facts, cell, newer, stale.last_start, what)
}

/// A change that was acknowledged and is not seen after a crash is lost: that is more than a stale read.
fn violation(facts: &Facts<'_>, cell: usize, newer: &Zone, seen: Moment, what: String) -> Violation {
    let is_flushed = newer.change != 0 && facts.stable(newer.change) < seen;
    let is_acknowledged = newer.change != 0 && facts.is_acknowledged(newer.change);
    let crashes = &facts.history.crashes;
    let crashed = crashes.iter().any(|&crash| newer.first_end <= crash && crash <= seen);
    let promise = match (crashed, is_flushed, is_acknowledged) {
        (true, true, _) => Promise::P2,
        (true, false, true) => Promise::P1,
        _ => Promise::P5,
    };
    Violation { promise, at: seen, range: facts.cells.bytes(cell), what }
}

fn tell(facts: &Facts<'_>, zone: &Zone) -> String {
    let seen = zone.reader.map(|read| format!(", seen by {}", facts.tell(read))).unwrap_or_default();
    format!("{}{seen}", facts.tell(zone.change))
}

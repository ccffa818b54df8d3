//! P3: after a loss the vDisk equals the state after some prefix of the one order of its changes; and at rest
//! it equals the state after all of them, in one order for every cell.
//!
//! The order is not known, only that it keeps to time: what was answered before another was asked comes first.
//! The smallest possible prefix holds what is certain (acknowledged, and not lost by rights), what is seen,
//! and whatever comes before any of these. A larger prefix only adds changes that would have to hide behind
//! what is seen, so if this one doesn't fit, none does. It fits when in every cell the change that is seen can
//! come last, all at once.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use crate::Moment;
use crate::workload::pattern::Value;

use super::facts::{Facts, Loss};
use super::violation::{Promise, Violation};

/// Finds a violation for each loss, and for the end, that has one.
pub(crate) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut before = Moment::BEGIN;
    let ends = facts.losses.iter().skip(1).map(|loss| loss.at).chain([Moment::NEVER]);
    for (loss, end) in facts.losses.iter().zip(ends) {
        let question = Question { facts, before, loss: Some(loss), at: loss.at };
        violations.extend(question.answer(seen_after_loss(facts, loss.at..end)));
        before = loss.at;
    }
    let question = Question { facts, before, loss: None, at: Moment::NEVER };
    violations.extend(question.answer(seen_at_rest(facts)));
    violations
}

/// For each cell that was looked at, what was there and who saw it.
type Seen = BTreeMap<usize, (Value, u64)>;

/// What an era's reads show of the time before.
fn seen_after_loss(facts: &Facts<'_>, era: Range<Moment>) -> Seen {
    let is_from_before = |number: u64| {
        facts.sent(number) < era.start && facts.effective(number).min(facts.edge_died(number)) <= era.start
    };
    let mut seen = Seen::new();
    for (cell, sights) in facts.sights.iter().enumerate() {
        let changes = &facts.changes[cell];
        let in_era = sights.iter().filter(|sight| era.contains(&sight.sent) && sight.ended < era.end);
        let old = in_era.filter(|sight| match sight.value {
            Value::Of(number) => is_from_before(number),
            // Zeros are old when no discard can have brought them since.
            Value::Zeros => !changes.iter().any(|&change| {
                !facts.is_write(change)
                    && facts.effective(change) > era.start
                    && facts.sent(change) < sight.ended
            }),
            Value::Nobody => false,
        });
        if let Some(sight) = old.min_by_key(|sight| sight.sent) {
            seen.insert(cell, (sight.value, sight.read));
        }
    }
    seen
}

/// What reads show that came after everything else.
fn seen_at_rest(facts: &Facts<'_>) -> Seen {
    let numbers = 1..=facts.history.operations.len() as u64;
    let changes = numbers.filter(|&number| facts.request(number).is_change());
    // A change that failed may show at any time; it need not.
    let settled =
        changes.map(|number| facts.effective(number)).filter(|&effective| effective < Moment::NEVER);
    let rest = settled.max().unwrap_or(Moment::BEGIN);
    let mut seen = Seen::new();
    for (cell, sights) in facts.sights.iter().enumerate() {
        if let Some(sight) = sights.iter().find(|sight| sight.sent > rest && sight.value != Value::Nobody) {
            seen.insert(cell, (sight.value, sight.read));
        }
    }
    seen
}

struct Question<'a> {
    facts: &'a Facts<'a>,
    /// Changes from before the previous loss are not asked about.
    before: Moment,
    loss: Option<&'a Loss>,
    at: Moment,
}

impl Question<'_> {
    fn answer(&self, seen: Seen) -> Vec<Violation> {
        let prefix = self.smallest_prefix(&seen);
        let mut after: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (&cell, &(value, read)) in &seen {
            for &change in self.facts.changes[cell].iter().filter(|change| prefix.whole.contains(change)) {
                match self.fits(cell, change, value) {
                    Fit::Lost => return vec![self.lost(cell, change, value, read, &prefix)],
                    Fit::Before(last) => {
                        after.entry(change).or_default().insert(last);
                    }
                    Fit::Free => {}
                }
            }
        }
        self.one_order(&prefix.members, &after).into_iter().collect()
    }

    /// Whether a change came after the previous loss. One of an Edge that died before may have come late, but
    /// then nothing is known of its place.
    fn is_asked_about(&self, number: u64) -> bool {
        let facts = self.facts;
        let came = facts.effective(number).min(facts.edge_died(number));
        facts.request(number).is_change() && came > self.before && facts.sent(number) < self.at
    }

    /// Changes that have no excuse to be missing.
    fn is_certain(&self, number: u64) -> bool {
        let facts = self.facts;
        facts.is_acknowledged(number)
            && facts.effective(number) <= self.at
            && !self.loss.is_some_and(|loss| facts.may_be_lost(number, loss))
    }

    fn smallest_prefix(&self, seen: &Seen) -> Prefix {
        let facts = self.facts;
        let all = 1..=facts.history.operations.len() as u64;
        let asked_about: Vec<u64> = all.filter(|&number| self.is_asked_about(number)).collect();
        let values: BTreeSet<Value> = seen.values().map(|(value, _)| *value).collect();
        let is_rooted = |number: u64| self.is_certain(number) || values.contains(&Value::Of(number));
        let mut members: BTreeSet<u64> = asked_about.iter().copied().filter(|&n| is_rooted(n)).collect();
        let latest = members.iter().map(|&number| facts.sent(number)).max().unwrap_or(Moment::BEGIN);
        let precedes = |number: u64| facts.is_acknowledged(number) && facts.effective(number) < latest;
        let whole = asked_about.into_iter().filter(|&number| self.is_certain(number) || precedes(number));
        let whole: BTreeSet<u64> = whole.collect();
        members.extend(&whole);
        Prefix { members, whole }
    }

    /// Whether a change of the prefix can hide behind what is seen.
    fn fits(&self, cell: usize, change: u64, value: Value) -> Fit {
        let facts = self.facts;
        let can_follow = |later: u64| facts.effective(later) >= facts.sent(change);
        match value {
            Value::Of(last) if last == change => Fit::Free,
            Value::Of(last) if !can_follow(last) => Fit::Lost,
            Value::Of(last) if !self.is_asked_about(last) => Fit::Free,
            Value::Of(last) => Fit::Before(last),
            Value::Zeros => {
                let hides = |&other: &u64| {
                    !facts.is_write(other)
                        && self.is_asked_about(other)
                        && (other == change || can_follow(other))
                };
                if facts.changes[cell].iter().any(hides) { Fit::Free } else { Fit::Lost }
            }
            Value::Nobody => Fit::Free,
        }
    }

    fn lost(&self, cell: usize, change: u64, value: Value, read: u64, prefix: &Prefix) -> Violation {
        let facts = self.facts;
        let shown = match value {
            Value::Of(number) => facts.tell(number),
            _ => "zeros".into(),
        };
        let is_flushed = facts.stable(change) <= self.at.min(facts.sent(read));
        let (promise, why) = if self.is_certain(change) && is_flushed {
            (Promise::P2, "it was stable".into())
        } else if self.is_certain(change) {
            (Promise::P1, "nothing that happened could excuse its loss".into())
        } else {
            let later =
                prefix.members.iter().copied().max_by_key(|&member| facts.sent(member)).unwrap_or(change);
            (Promise::P3, format!("a later change is there: {}", facts.tell(later)))
        };
        let what =
            format!("{} is missing, though {why}; {} saw {shown}", facts.tell(change), facts.tell(read));
        Violation { promise, at: facts.sent(read), range: facts.cells.bytes(cell), what }
    }

    /// Takes the members away in an order that keeps to time and to what is seen; whatever can't be taken away
    /// has no order.
    fn one_order(&self, members: &BTreeSet<u64>, after: &BTreeMap<u64, BTreeSet<u64>>) -> Option<Violation> {
        let facts = self.facts;
        let mut waits: BTreeMap<u64, usize> = members.iter().map(|&member| (member, 0)).collect();
        for later in after.values().flatten() {
            *waits.entry(*later).or_default() += 1;
        }
        let mut left: BTreeSet<(Moment, u64)> = waits.keys().map(|&n| (facts.effective(n), n)).collect();
        let free = waits.iter().filter(|(_, waits)| **waits == 0);
        let mut free: BTreeSet<(Moment, u64)> = free.map(|(&n, _)| (facts.sent(n), n)).collect();
        while let Some(&(first_end, _)) = left.first() {
            let next = free.pop_first().filter(|(sent, _)| *sent <= first_end);
            let Some((_, number)) = next else { return Some(self.two_orders(&left, after)) };
            left.remove(&(facts.effective(number), number));
            for &later in after.get(&number).into_iter().flatten() {
                let waits = waits.get_mut(&later).expect("every one that follows was counted");
                *waits -= 1;
                if *waits == 0 {
                    free.insert((facts.sent(later), later));
                }
            }
        }
        None
    }

    fn two_orders(&self, left: &BTreeSet<(Moment, u64)>, after: &BTreeMap<u64, BTreeSet<u64>>) -> Violation {
        let facts = self.facts;
        let left: BTreeSet<u64> = left.iter().map(|(_, number)| *number).collect();
        let tangled = left.iter().filter(|number| {
            after.get(number).is_some_and(|later| later.iter().any(|later| left.contains(later)))
        });
        let told: Vec<String> = tangled.take(3).map(|&number| facts.tell(number)).collect();
        let what = format!("no one order explains what is seen of {}", told.join(" and "));
        let range = left.first().map(|&number| facts.request(number).range()).unwrap_or_default();
        let last = facts.history.operations.iter().map(|operation| operation.sent).max();
        Violation { promise: Promise::P3, at: self.at.min(last.unwrap_or_default()), range, what }
    }
}

/// The smallest prefix that may be.
struct Prefix {
    members: BTreeSet<u64>,
    /// Those that something forces to be there: they are certain, or come before another. A member that is only
    /// seen may be the last one, cut in its middle: of it some clusters may be there and others not (L2).
    whole: BTreeSet<u64>,
}

enum Fit {
    /// It may have come before what is seen, or is what is seen.
    Free,
    /// It must have come before this one.
    Before(u64),
    /// It can't have come before what is seen, so it is missing.
    Lost,
}

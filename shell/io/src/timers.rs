//! The timers of a shard, ordered by when they run out.

use std::collections::BTreeMap;
use step::{TimerId, Timestamp};

use crate::shard::Seat;

/// All timers of the nodes of one shard. Bounded by what nodes name: a timer set again is moved, not added.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// When, and a number that keeps the order of setting among equals.
    due: BTreeMap<(Timestamp, u64), (Seat, TimerId)>,
    set: BTreeMap<(Seat, TimerId), (Timestamp, u64)>,
    next: u64,
}

impl Timers {
    /// Sets a timer, or moves it.
    pub(crate) fn set(&mut self, seat: Seat, timer: TimerId, at: Timestamp) {
        self.next += 1;
        let key = (at, self.next);
        if let Some(earlier) = self.set.insert((seat, timer), key) {
            self.due.remove(&earlier);
        }
        self.due.insert(key, (seat, timer));
    }

    /// Clears a timer; one that isn't set stays so.
    pub(crate) fn clear(&mut self, seat: Seat, timer: TimerId) {
        if let Some(key) = self.set.remove(&(seat, timer)) {
            self.due.remove(&key);
        }
    }

    /// Clears all timers of a node that is no more.
    pub(crate) fn clear_all(&mut self, seat: Seat) {
        let first = (seat, TimerId(0))..=(seat, TimerId(u64::MAX));
        let gone: Vec<TimerId> = self.set.range(first).map(|((_, timer), _)| *timer).collect();
        gone.into_iter().for_each(|timer| self.clear(seat, timer));
    }

    /// What [`Timers::pop`] compares with, so that timers set while timers run out wait for the next turn.
    pub(crate) fn horizon(&self) -> u64 {
        self.next
    }

    /// The next timer that has run out by now and was set before the horizon; it is cleared.
    pub(crate) fn pop(&mut self, now: Timestamp, horizon: u64) -> Option<(Seat, TimerId)> {
        let is_due = |&(at, number): &(Timestamp, u64)| at <= now && number <= horizon;
        let entry = self.due.first_entry().filter(|entry| is_due(entry.key()))?;
        let who = entry.remove();
        self.set.remove(&who);
        Some(who)
    }

    /// When the next timer runs out.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Seat = Seat(1);
    const B: Seat = Seat(2);

    fn drain(timers: &mut Timers, now: u64) -> Vec<(Seat, u64)> {
        let horizon = timers.horizon();
        std::iter::from_fn(|| timers.pop(Timestamp(now), horizon))
            .map(|(seat, timer)| (seat, timer.0))
            .collect()
    }

    #[test]
    fn timers_run_out_in_order_and_equal_ones_as_they_were_set() {
        let mut timers = Timers::default();
        for (seat, timer, at) in [(A, 1, 30), (B, 1, 10), (A, 2, 10), (B, 2, 20)] {
            timers.set(seat, TimerId(timer), Timestamp(at));
        }
        assert_eq!(timers.next_due(), Some(Timestamp(10)));
        assert_eq!(drain(&mut timers, 9), []);
        assert_eq!(drain(&mut timers, 20), [(B, 1), (A, 2), (B, 2)]);
        assert_eq!(drain(&mut timers, 30), [(A, 1)]);
        assert_eq!(timers.next_due(), None);
    }

    #[test]
    fn setting_again_moves_and_clearing_takes_away() {
        let mut timers = Timers::default();
        timers.set(A, TimerId(1), Timestamp(10));
        timers.set(A, TimerId(1), Timestamp(40));
        timers.set(A, TimerId(2), Timestamp(20));
        timers.set(B, TimerId(1), Timestamp(30));
        timers.clear(A, TimerId(2));
        timers.clear(A, TimerId(7));
        assert_eq!(drain(&mut timers, 100), [(B, 1), (A, 1)]);
        timers.set(A, TimerId(1), Timestamp(10));
        timers.set(B, TimerId(1), Timestamp(10));
        timers.clear_all(A);
        assert_eq!(drain(&mut timers, 100), [(B, 1)]);
        assert!(timers.set.is_empty() && timers.due.is_empty());
    }

    #[test]
    fn a_timer_set_behind_the_horizon_waits() {
        let mut timers = Timers::default();
        timers.set(A, TimerId(1), Timestamp(10));
        let horizon = timers.horizon();
        timers.set(A, TimerId(2), Timestamp(5));
        assert_eq!(timers.pop(Timestamp(10), horizon), None, "it would be first, and comes first next turn");
        assert_eq!(drain(&mut timers, 10), [(A, 2), (A, 1)]);
    }
}

//! A network that loses, doubles, delays and reorders, and falls apart in any direction.

use std::collections::BTreeSet;

use consensus::Member;

use super::rng::Rng;

/// How messages travel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) loss_percent: u64,
    pub(crate) double_percent: u64,
    /// Of messages that are late, so that others overtake them.
    pub(crate) late_percent: u64,
    blocked: BTreeSet<(Member, Member)>,
}

impl Network {
    /// The delays of the copies that arrive, in milliseconds.
    pub(crate) fn delays(&self, rng: &mut Rng, from: Member, to: Member) -> Vec<u64> {
        let copies = 1 + u64::from(rng.percent(self.double_percent));
        let mut delays = Vec::new();
        for _ in 0..copies {
            let is_late = rng.percent(self.late_percent);
            let delay = if is_late { rng.between(20, 400) } else { rng.between(1, 8) };
            if !rng.percent(self.loss_percent) {
                delays.push(delay);
            }
        }
        if self.blocked.contains(&(from, to)) {
            delays.clear();
        }
        delays
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
    }

    /// Cuts the members in two groups, or some links in one direction.
    pub(crate) fn cut(&mut self, rng: &mut Rng, members: &[Member]) {
        let is_partial = rng.percent(40);
        let sides: Vec<bool> = members.iter().map(|_| rng.percent(50)).collect();
        for (from, from_side) in members.iter().zip(&sides) {
            for (to, to_side) in members.iter().zip(&sides) {
                let is_cut = if is_partial { rng.percent(30) } else { from_side != to_side };
                if is_cut {
                    self.blocked.insert((*from, *to));
                }
            }
        }
    }

    /// Cuts one member off, or only what it sends, or only what it hears.
    pub(crate) fn isolate(&mut self, rng: &mut Rng, member: Member, members: &[Member]) {
        let ways = rng.below(3);
        for other in members.iter().filter(|other| **other != member) {
            if ways != 1 {
                self.blocked.insert((member, *other));
            }
            if ways != 2 {
                self.blocked.insert((*other, member));
            }
        }
    }
}

//! How long a follower waits before it stands for election.
//!
//! The library would draw this from the operating system's randomness; we set it before every tick, so that draw is
//! never used and a run can be repeated. Draws depend on member, term and attempt: two members that once drew the
//! same and split the votes draw anew, each for itself, and so don't split them for ever.

use crate::{Config, Member, Term};

/// The wait of one member.
pub(super) struct Patience {
    seed: u64,
    me: Member,
    shortest: u32,
    term: Term,
    attempt: u64,
}

impl Patience {
    pub(super) fn new(config: &Config, term: Term) -> Patience {
        Patience { seed: config.seed, me: config.me, shortest: config.election_ticks, term, attempt: 0 }
    }

    /// Ticks without a leader: from `election_ticks` to less than twice as many.
    pub(super) fn ticks(&self) -> usize {
        let drawn = [self.me.0, self.term.0, self.attempt]
            .into_iter()
            .fold(mix(self.seed), |state, part| mix(state ^ part));
        (u64::from(self.shortest) + drawn % u64::from(self.shortest)) as usize
    }

    /// A new term draws anew.
    pub(super) fn on_term(&mut self, term: Term) {
        if term != self.term {
            (self.term, self.attempt) = (term, 0);
        }
    }

    /// An election was begun; if it fails, the next wait is another.
    pub(super) fn on_attempt(&mut self) {
        self.attempt += 1;
    }
}

/// The finalizer of SplitMix64: every bit of the input moves about half of the output's.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

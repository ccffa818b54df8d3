//! Kinds of guests.

use core::fmt;
use core::str::FromStr;

use glossary::CLUSTER_BYTES;

use crate::Random;

/// What a guest likes to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A bit of everything.
    Mixed,
    /// One address after another, in large pieces.
    Sequential,
    /// Nearly always the same few clusters.
    HotSpot,
    /// Hardly ever whole clusters.
    Unaligned,
    /// Lets go of much of what it wrote.
    Discards,
    /// Flushes all the time, as databases do.
    Flushes,
}

/// What a guest does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads a range.
    Read,
    /// Writes a range.
    Write,
    /// Lets go of a range.
    Discard,
    /// Makes everything stable.
    Flush,
    /// Asks where data is.
    Extents,
}

const ACTIONS: [Action; 5] = [Action::Read, Action::Write, Action::Discard, Action::Flush, Action::Extents];

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 6] = [
        Profile::Mixed,
        Profile::Sequential,
        Profile::HotSpot,
        Profile::Unaligned,
        Profile::Discards,
        Profile::Flushes,
    ];

    /// The next action.
    pub fn action(self, random: &mut Random) -> Action {
        let weights = match self {
            Profile::Mixed => [35, 50, 6, 6, 3],
            Profile::Sequential => [30, 60, 3, 5, 2],
            Profile::HotSpot => [45, 45, 4, 4, 2],
            Profile::Unaligned => [40, 48, 6, 4, 2],
            Profile::Discards => [35, 35, 20, 5, 5],
            Profile::Flushes => [25, 45, 4, 25, 1],
        };
        ACTIONS[random.weighted(&weights)]
    }

    /// Whether a change asks to be stable at once.
    pub fn is_fua(self, random: &mut Random) -> bool {
        random.chance(if self == Profile::Flushes { 1_500 } else { 300 })
    }

    /// The next range, in bytes, within a vDisk; `at` is where the last one ended.
    pub fn range(self, random: &mut Random, size: u64, at: &mut u64) -> (u64, u64) {
        let clusters = match self {
            Profile::Sequential => random.between(4, 48),
            Profile::HotSpot => random.between(1, 3),
            _ => *random.pick(&[1, 1, 1, 2, 3, 4, 8, 16, 40]),
        };
        let mut length = clusters * CLUSTER_BYTES;
        let mut offset = match self {
            Profile::Sequential if random.chance(9_000) => *at,
            Profile::HotSpot if random.chance(9_000) => random.below(24) * CLUSTER_BYTES,
            _ => random.below(size / CLUSTER_BYTES) * CLUSTER_BYTES,
        };
        let grain = self.grain(random);
        if grain < CLUSTER_BYTES {
            offset += random.below(CLUSTER_BYTES / grain) * grain;
            length = (random.below(length / grain) + 1) * grain;
        }
        offset %= size;
        length = length.min(size - offset);
        *at = (offset + length) % size;
        (offset, length)
    }

    /// What addresses are a multiple of.
    fn grain(self, random: &mut Random) -> u64 {
        let weights = if self == Profile::Unaligned { [1, 5, 3] } else { [16, 3, 1] };
        [CLUSTER_BYTES, 512, 1][random.weighted(&weights)]
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Profile::ALL.map(|profile| profile.to_string());
        let found = Profile::ALL.into_iter().find(|profile| profile.to_string() == text);
        found.ok_or_else(|| format!("profiles are {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_within_the_disk() {
        let mut random = Random::stream(1, "profile");
        for profile in Profile::ALL {
            let mut at = 0;
            for _ in 0..1000 {
                let (offset, length) = profile.range(&mut random, 1 << 20, &mut at);
                assert!(length > 0 && offset + length <= 1 << 20, "{profile}: {offset}+{length}");
            }
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
    }
}

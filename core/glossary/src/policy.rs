//! Policies: how many fragments, how many must be safe, and how they spread.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// `(k, m, c, x)`: k data and m parity fragments per chunk, success at c of them, at most x on one node.
/// `k = 1` is replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// Data fragments.
    pub k: u8,
    /// Parity fragments.
    pub m: u8,
    /// Fragments that must be on stable storage before an upload counts.
    pub c: u8,
    /// Fragments that one node may hold of one chunk.
    pub x: u8,
}

/// Why four numbers are no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Not four numbers with commas between.
    Shape,
    /// k is 0.
    NoData,
    /// k + m is above 32.
    TooMany,
    /// c is below k or above k + m.
    Acknowledge,
    /// x is 0.
    NoSpread,
}

impl Policy {
    /// The largest k + m.
    pub const MAX_FRAGMENTS: u8 = 32;

    /// A policy, when the numbers can be one.
    pub fn new(k: u8, m: u8, c: u8, x: u8) -> Result<Self, PolicyError> {
        if k == 0 {
            return Err(PolicyError::NoData);
        }
        if u16::from(k) + u16::from(m) > u16::from(Self::MAX_FRAGMENTS) {
            return Err(PolicyError::TooMany);
        }
        if c < k || c > k + m {
            return Err(PolicyError::Acknowledge);
        }
        if x == 0 {
            return Err(PolicyError::NoSpread);
        }
        Ok(Policy { k, m, c, x })
    }

    /// All fragments of a chunk: k + m.
    pub fn fragments(&self) -> u8 {
        self.k + self.m
    }

    /// How many fragments of a chunk can be placed when each of the nodes has so many usable OSDs:
    /// the sum of min(x, usable), at most k + m.
    pub fn placeable(&self, usable_per_node: impl Iterator<Item = usize>) -> u8 {
        let sum: usize = usable_per_node.map(|usable| usable.min(usize::from(self.x))).sum();
        sum.min(usize::from(self.fragments())) as u8
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut numbers = text.split(',').map(|part| part.trim().parse::<u8>());
        let mut next = || numbers.next().and_then(Result::ok).ok_or(PolicyError::Shape);
        let (k, m, c, x) = (next()?, next()?, next()?, next()?);
        if numbers.next().is_some() {
            return Err(PolicyError::Shape);
        }
        Policy::new(k, m, c, x)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.k, self.m, self.c, self.x)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyError::Shape => "a policy is four numbers k,m,c,x, for example 4,2,6,1",
            PolicyError::NoData => "k, the number of data fragments, must be at least 1",
            PolicyError::TooMany => "k + m must not exceed 32 fragments",
            PolicyError::Acknowledge => "c, the fragments to wait for, must be between k and k + m",
            PolicyError::NoSpread => "x, the fragments allowed on one node, must be at least 1",
        })
    }
}

impl core::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_and_back() {
        let policy: Policy = "4,2,6,1".parse().expect("a policy");
        assert_eq!(policy, Policy { k: 4, m: 2, c: 6, x: 1 });
        assert_eq!(policy.to_string(), "4,2,6,1");
    }

    #[test]
    fn impossible_policies_are_refused() {
        for (text, error) in [
            ("4,2,6", PolicyError::Shape),
            ("4,2,6,1,1", PolicyError::Shape),
            ("a,2,6,1", PolicyError::Shape),
            ("0,2,2,1", PolicyError::NoData),
            ("30,3,33,1", PolicyError::TooMany),
            ("255,255,6,1", PolicyError::TooMany),
            ("4,2,3,1", PolicyError::Acknowledge),
            ("4,2,7,1", PolicyError::Acknowledge),
            ("4,2,6,0", PolicyError::NoSpread),
        ] {
            assert_eq!(text.parse::<Policy>(), Err(error), "{text}");
        }
    }

    #[test]
    fn placeable_counts_at_most_x_per_node() {
        let policy = Policy { k: 5, m: 4, c: 8, x: 3 };
        assert_eq!(policy.placeable([4, 4].into_iter()), 6);
        assert_eq!(policy.placeable([4, 4, 4].into_iter()), 9);
        assert_eq!(policy.placeable([4, 2, 1].into_iter()), 6);
    }
}

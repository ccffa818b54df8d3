//! Checksums of clusters that follow one another.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

/// A CRC-32C for each cluster. A clone shares them; a single one, which is what most writes have, takes no memory of
/// its own.
#[derive(Clone, Debug)]
pub enum Crcs {
    /// That of one cluster.
    One([u32; 1]),
    /// Those of several, or none.
    Many(Arc<[u32]>),
}

impl Default for Crcs {
    fn default() -> Self {
        Crcs::Many(Arc::from([]))
    }
}

impl Deref for Crcs {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Crcs::One(one) => one,
            Crcs::Many(many) => many,
        }
    }
}

impl From<u32> for Crcs {
    fn from(one: u32) -> Self {
        Crcs::One([one])
    }
}

impl From<&[u32]> for Crcs {
    fn from(crcs: &[u32]) -> Self {
        if let [one] = crcs { Crcs::from(*one) } else { Crcs::Many(crcs.into()) }
    }
}

impl From<Vec<u32>> for Crcs {
    fn from(crcs: Vec<u32>) -> Self {
        if let [one] = crcs[..] { Crcs::from(one) } else { Crcs::Many(crcs.into()) }
    }
}

impl FromIterator<u32> for Crcs {
    fn from_iter<I: IntoIterator<Item = u32>>(crcs: I) -> Self {
        let mut crcs = crcs.into_iter();
        match (crcs.next(), crcs.next()) {
            (Some(one), None) => Crcs::from(one),
            (first, second) => Crcs::Many(first.into_iter().chain(second).chain(crcs).collect()),
        }
    }
}

impl PartialEq for Crcs {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Crcs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_same_however_they_came() {
        for count in 0..4_u32 {
            let crcs: Vec<u32> = (0..count).collect();
            let all = [Crcs::from(&crcs[..]), Crcs::from(crcs.clone()), crcs.iter().copied().collect()];
            for one in all {
                assert_eq!(*one, crcs[..]);
                assert_eq!(one, Crcs::from(&crcs[..]));
            }
        }
    }
}

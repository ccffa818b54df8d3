//! Addresses: where a cluster is on a vDisk, and where it rests in the log.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The index of a cluster on a vDisk, counted in clusters of 4 KiB from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterAddress(pub u64);

/// The number of a Storage Container Object: 48 bits, unique within a clone family, never used again
/// (PROTOCOLS L5). Number 0 is no SCO: it stands for "never written".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScoId(pub u64);

impl ScoId {
    /// The largest number that fits a location.
    pub const MAX: ScoId = ScoId((1 << 48) - 1);
}

impl fmt::Display for ScoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// The index of a cluster within a SCO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScoOffset(pub u16);

/// Where a cluster rests: offset and SCO in 8 bytes (PROTOCOLS L5). All zeros means never written or
/// discarded, and reads as zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location(u64);

impl Location {
    /// Never written, or discarded: reads as zeros.
    pub const NONE: Location = Location(0);

    /// A place in a SCO. `sco` is neither 0 nor above [`ScoId::MAX`].
    pub fn new(sco: ScoId, offset: ScoOffset) -> Self {
        assert!(sco.0 != 0 && sco <= ScoId::MAX, "a location needs a real SCO");
        Location(sco.0 << 16 | u64::from(offset.0))
    }

    /// The location that these 8 bytes stand for; any value but an offset into SCO 0 is one.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits == 0 || bits >> 16 != 0).then_some(Location(bits))
    }

    /// The 8 bytes as a number: offset in the low 16 bits, SCO in the high 48.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The SCO; number 0 where never written.
    pub fn sco(self) -> ScoId {
        ScoId(self.0 >> 16)
    }

    /// The place in the SCO.
    pub fn offset(self) -> ScoOffset {
        ScoOffset((self.0 & 0xffff) as u16)
    }

    /// Whether nothing is stored for the cluster.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The location `clusters` further on in the same SCO; nothing stays nothing.
    pub fn advanced(self, clusters: u64) -> Self {
        if self.is_none() {
            return self;
        }
        let offset = u64::from(self.offset().0) + clusters;
        assert!(offset <= 0xffff, "a run of clusters stays within its SCO");
        Location(self.0 + clusters)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() { f.write_str("none") } else { write!(f, "{:x}:{}", self.sco().0, self.offset().0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_offset_and_sco_in_eight_bytes() {
        let location = Location::new(ScoId(0x1234_5678_9abc), ScoOffset(0xdef0));
        assert_eq!(location.bits(), 0x1234_5678_9abc_def0);
        assert_eq!(Location::from_bits(location.bits()), Some(location));
        assert_eq!(location.sco(), ScoId(0x1234_5678_9abc));
        assert_eq!(location.offset(), ScoOffset(0xdef0));
    }

    #[test]
    fn nothing_is_all_zeros_and_no_place_in_sco_zero_exists() {
        assert_eq!(Location::from_bits(0), Some(Location::NONE));
        assert_eq!(Location::from_bits(7), None);
        assert_eq!(Location::NONE.advanced(9), Location::NONE);
    }
}

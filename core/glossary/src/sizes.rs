//! Sizes: bytes and clusters.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use serde::{Deserialize, Serialize};

/// Bytes in a cluster, the unit of address mapping and of end-to-end checksums.
pub const CLUSTER_BYTES: u64 = 4096;

/// The largest vDisk: 64 TiB.
pub const MAX_VDISK_BYTES: u64 = 64 << 40;

/// How many SCO numbers an owner takes from the registry at once (PROTOCOLS L5).
pub const SCO_BLOCK: u64 = 4096;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteCount(pub u64);

/// A number of clusters of 4 KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterCount(pub u64);

impl ClusterCount {
    /// The bytes that these clusters hold.
    pub fn bytes(self) -> ByteCount {
        ByteCount(self.0 * CLUSTER_BYTES)
    }
}

impl ByteCount {
    /// The clusters that hold these bytes, the last perhaps in part.
    pub fn clusters_covering(self) -> ClusterCount {
        ClusterCount(self.0.div_ceil(CLUSTER_BYTES))
    }
}

macro_rules! arithmetic {
    ($($name:ident),*) => {$(
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
    )*};
}
arithmetic!(ByteCount, ClusterCount);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_bytes(self.0, f)
    }
}

/// Writes `bytes` as people read it: the largest binary unit that leaves at least 1, one decimal where
/// it isn't whole.
pub fn format_bytes(bytes: u64, f: &mut dyn fmt::Write) -> fmt::Result {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = if bytes == 0 { 0 } else { ((bytes.ilog2() / 10) as usize).min(UNITS.len() - 1) };
    let scale = 1_u64 << (10 * unit);
    let (whole, rest) = (bytes / scale, bytes % scale);
    if rest == 0 {
        write!(f, "{whole} {}", UNITS[unit])
    } else {
        write!(f, "{whole}.{} {}", (u128::from(rest) * 10 / u128::from(scale)) as u64, UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn bytes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (4096, "4 KiB"),
            (1536, "1.5 KiB"),
            (10 << 30, "10 GiB"),
            (64 << 40, "64 TiB"),
        ] {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_part_of_a_cluster_needs_a_cluster() {
        assert_eq!(ByteCount(4097).clusters_covering(), ClusterCount(2));
        assert_eq!(ByteCount(4096).clusters_covering(), ClusterCount(1));
        assert_eq!(ByteCount(0).clusters_covering(), ClusterCount(0));
    }
}

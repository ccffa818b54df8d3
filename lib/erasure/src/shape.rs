//! How many strips a code has.

use crate::Error;

/// The number of data and parity strips of a code: always one that can be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    data: u8,
    parity: u8,
}

impl Shape {
    /// The most strips that a code may have, data and parity together. GF(2^8) would allow 255; nobody spreads one
    /// chunk over more than this many disks, and the bound keeps every table and every error message small.
    pub const STRIPS_MAX: usize = 32;

    /// `data` strips of data (at least one) and `parity` of parity (may be none).
    ///
    /// # Errors
    /// [`Error::ImpossibleShape`].
    pub fn new(data: usize, parity: usize) -> Result<Self, Error> {
        let impossible = Error::ImpossibleShape { data, parity };
        let strips = data.checked_add(parity).ok_or(impossible)?;
        if data == 0 || strips > Self::STRIPS_MAX {
            return Err(impossible);
        }
        let narrow = |count| u8::try_from(count).map_err(|_| impossible);
        Ok(Self { data: narrow(data)?, parity: narrow(parity)? })
    }

    /// Strips of data, `k`.
    pub fn data(self) -> usize {
        usize::from(self.data)
    }

    /// Strips of parity, `m`: how many strips may be lost.
    pub fn parity(self) -> usize {
        usize::from(self.parity)
    }

    /// All strips, `k + m`.
    pub fn strips(self) -> usize {
        self.data() + self.parity()
    }
}

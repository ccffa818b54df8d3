//! Erasure coding: `k` strips of data become `k + m` strips, of which any `k` give back all the others.
//!
//! The code is systematic (the first `k` strips are the data as it is) and works byte by byte: byte `i` of a
//! parity strip depends on byte `i` of each data strip alone. So any range of the strips is a code word of its
//! own, and one lost block is rebuilt from `k` blocks without touching the rest of the strips.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
mod reed_solomon;
mod shape;

pub use error::Error;
pub use reed_solomon::ReedSolomon;
pub use shape::Shape;

/// A systematic erasure code.
///
/// Strips are numbered `0..k` (data) and `k..k + m` (parity). All strips of one call have one length, any length;
/// they may be the same range of longer strips.
pub trait Codec {
    /// How many strips of data and of parity there are.
    fn shape(&self) -> Shape;

    /// Computes all parity strips from all data strips. What `parity` held before is overwritten.
    ///
    /// # Errors
    /// [`Error::StripCount`] and [`Error::UnequalLengths`]; then nothing was written.
    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), Error>;

    /// Computes the strips numbered `wanted` into `out`, from any `k` strips or more of `present`, in any order.
    /// Wanted strips that are present are copied.
    ///
    /// # Errors
    /// [`Error::TooFewStrips`], [`Error::UnknownStrip`], [`Error::DuplicateStrip`], [`Error::StripCount`] and
    /// [`Error::UnequalLengths`]; then nothing was written.
    fn reconstruct(
        &self,
        present: &[(usize, &[u8])],
        wanted: &[usize],
        out: &mut [&mut [u8]],
    ) -> Result<(), Error>;
}

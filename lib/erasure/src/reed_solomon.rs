//! Reed-Solomon over GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, with ISA-L's matrices and therefore its bytes.

use alloc::vec::Vec;

use rusty_erasure::kernel::Kernels;
use rusty_erasure::{Coder, Matrix};

use crate::{Codec, Error, Shape};

/// Bytes of all strips that are worked on together: what a core's own cache holds beside other things.
const HOT_BYTES: usize = 256 << 10;

/// Ranges are multiples of this: a page, which the prefetcher doesn't cross either.
const RANGE_UNIT: usize = 4096;

/// The codec for data that must survive the loss of up to `m` strips.
///
/// With one strip of data the parity strips are copies of it (ISA-L's `gf_gen_rs_matrix`, whose coefficients are
/// then all 1). Otherwise the matrix is ISA-L's `gf_gen_cauchy1_matrix`: strip `i` has the coefficient
/// `1 / (i xor j)` for data strip `j`. Every square part of a Cauchy matrix can be inverted, so any `k` strips
/// are enough in every shape, which ISA-L's other matrix does not promise for all of them.
#[derive(Clone, Debug)]
pub struct ReedSolomon {
    shape: Shape,
    /// None without parity: then there is nothing to compute.
    coder: Option<Coder>,
}

impl ReedSolomon {
    /// The codec of `shape`, with the fastest instructions that the CPU has (or scalar code: on bare metal, and
    /// with the feature `portable`). The bytes are the same.
    pub fn new(shape: Shape) -> Self {
        let scalar = cfg!(any(target_os = "none", feature = "portable"));
        Self::with_kernels(shape, if scalar { Kernels::scalar() } else { rusty_erasure::best_kernels() })
    }

    /// The codec of `shape` in scalar code on every target: the twin to hold [`ReedSolomon::new`] to.
    pub fn portable(shape: Shape) -> Self {
        Self::with_kernels(shape, Kernels::scalar())
    }

    fn with_kernels(shape: Shape, kernels: Kernels) -> Self {
        let coder = (shape.parity() > 0).then(|| {
            let generate = if shape.data() == 1 { Matrix::reed_solomon } else { Matrix::cauchy };
            generate(shape.data(), shape.parity())
                .and_then(|matrix| Coder::with_kernels(matrix, kernels))
                .expect("a shape has at least one strip of data, and far fewer strips than the field has elements")
        });
        Self { shape, coder }
    }

    /// Computes the strips `missing`, none of which is in `present`, into `out`. The lists have been checked.
    fn compute(&self, present: &[Option<&[u8]>], missing: &[usize], out: &mut [&mut [u8]]) {
        let coder =
            self.coder.as_ref().expect("a missing strip beside k present ones means that there is parity");
        coder
            .recover(present, missing, out)
            .expect("k strips of one length are present, and any k rows of the matrix can be inverted");
    }
}

impl Codec for ReedSolomon {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), Error> {
        check_count(self.shape.data(), data.len())?;
        check_count(self.shape.parity(), parity.len())?;
        let lengths = data.iter().map(|strip| strip.len()).chain(parity.iter().map(|strip| strip.len()));
        check_lengths(lengths.enumerate())?;
        if let Some(coder) = &self.coder {
            encode_by_ranges(coder, data, parity);
        }
        Ok(())
    }

    fn reconstruct(
        &self,
        present: &[(usize, &[u8])],
        wanted: &[usize],
        out: &mut [&mut [u8]],
    ) -> Result<(), Error> {
        check_numbers(self.shape, present.iter().map(|(index, _)| *index))?;
        check_numbers(self.shape, wanted.iter().copied())?;
        check_count(wanted.len(), out.len())?;
        if present.len() < self.shape.data() {
            return Err(Error::TooFewStrips { needed: self.shape.data(), got: present.len() });
        }
        let there = present.iter().map(|(index, strip)| (*index, strip.len()));
        let asked = wanted.iter().zip(out.iter()).map(|(index, strip)| (*index, strip.len()));
        check_lengths(there.chain(asked))?;

        let mut strips = [None; Shape::STRIPS_MAX];
        for (index, strip) in present {
            strips[*index] = Some(*strip);
        }
        let mut missing = Vec::new();
        let mut missing_out = Vec::new();
        for (index, target) in wanted.iter().zip(out.iter_mut()) {
            match strips[*index] {
                Some(strip) => target.copy_from_slice(strip),
                None => {
                    missing.push(*index);
                    missing_out.push(&mut **target);
                }
            }
        }
        if !missing.is_empty() {
            self.compute(&strips[..self.shape.strips()], &missing, &mut missing_out);
        }
        Ok(())
    }
}

/// Encodes a range of all strips at a time: the coder makes a few strips of parity at once and reads the data for
/// each few again, which then comes from the cache.
fn encode_by_ranges(coder: &Coder, data: &[&[u8]], parity: &mut [&mut [u8]]) {
    let range_bytes = (HOT_BYTES / (data.len() + parity.len())).next_multiple_of(RANGE_UNIT);
    let length = data.first().map_or(0, |strip| strip.len());
    for start in (0..length.max(1)).step_by(range_bytes) {
        let range = start..(start + range_bytes).min(length);
        let from: Vec<&[u8]> = data.iter().map(|strip| &strip[range.clone()]).collect();
        let mut into: Vec<&mut [u8]> = parity.iter_mut().map(|strip| &mut strip[range.clone()]).collect();
        coder.encode(&from, &mut into).expect("the counts and lengths of the strips have been checked");
    }
}

fn check_count(expected: usize, got: usize) -> Result<(), Error> {
    if expected == got { Ok(()) } else { Err(Error::StripCount { expected, got }) }
}

/// Takes the number and the length in bytes of each strip; all must be as long as the first.
fn check_lengths(mut lengths: impl Iterator<Item = (usize, usize)>) -> Result<(), Error> {
    let Some((_, expected)) = lengths.next() else { return Ok(()) };
    match lengths.find(|(_, got)| *got != expected) {
        Some((index, got)) => Err(Error::UnequalLengths { index, expected, got }),
        None => Ok(()),
    }
}

fn check_numbers(shape: Shape, indexes: impl Iterator<Item = usize>) -> Result<(), Error> {
    let mut seen = [false; Shape::STRIPS_MAX];
    for index in indexes {
        if index >= shape.strips() {
            return Err(Error::UnknownStrip { index, strips: shape.strips() });
        }
        if seen[index] {
            return Err(Error::DuplicateStrip { index });
        }
        seen[index] = true;
    }
    Ok(())
}

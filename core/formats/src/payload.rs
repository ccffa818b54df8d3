//! Data on its way, with the checksums it got where it entered (PROTOCOLS F1).

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;
use glossary::CLUSTER_BYTES;

use crate::crcs::Crcs;
use crate::whole::whole_checksum;

const PIECE: usize = CLUSTER_BYTES as usize;

/// CRC-32C of 4,096 zeros: what a cluster never written has.
pub const ZERO_CLUSTER_CRC: u32 = 0x98f9_4189;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Bytes and a CRC-32C for every 4 KiB of them, counted from their start; the last may cover less.
///
/// The bytes are pieces that are shared, never copied. Pieces end anywhere.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    pieces: Pieces,
    crcs: Crcs,
}

#[derive(Clone, Debug)]
enum Pieces {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces::One(Bytes::new())
    }
}

impl Payload {
    /// Data that enters here and now: its checksums are computed, once (PROTOCOLS F1).
    pub fn entering(bytes: Bytes) -> Self {
        if bytes.len() <= PIECE && !bytes.is_empty() {
            return Payload { crcs: Crcs::from(crc32c(&bytes)), pieces: Pieces::One(bytes) };
        }
        let crcs = bytes.chunks(PIECE).map(crc32c).collect();
        Payload { pieces: Pieces::One(bytes), crcs }
    }

    /// Data that came with its checksums. They are taken as they are: call [`Payload::verify`].
    /// `None` when their number doesn't fit the bytes.
    pub fn with_crcs(pieces: Vec<Bytes>, crcs: Vec<u32>) -> Option<Self> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if crcs.len() != length.div_ceil(PIECE) {
            return None;
        }
        Some(Payload { pieces: Pieces::from(pieces), crcs: crcs.into() })
    }

    /// `clusters` clusters that were never written.
    pub fn zeros(clusters: u64) -> Self {
        let count = usize::try_from(clusters).expect("a read fits memory");
        Payload {
            pieces: Pieces::from(zero_pieces(count * PIECE)),
            crcs: alloc::vec![ZERO_CLUSTER_CRC; count].into(),
        }
    }

    /// The bytes, piece by piece.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.pieces {
            Pieces::One(piece) => core::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// The checksums, one for each 4 KiB.
    pub fn crcs(&self) -> &[u32] {
        &self.crcs
    }

    /// The same, shared.
    pub fn shared_crcs(&self) -> Crcs {
        self.crcs.clone()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match &self.pieces {
            Pieces::One(piece) => piece.len(),
            Pieces::Many(pieces) => pieces.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces().iter().all(Bytes::is_empty)
    }

    /// How many whole clusters; `None` when the bytes end within one.
    pub fn clusters(&self) -> Option<u64> {
        let length = self.len();
        length.is_multiple_of(PIECE).then_some((length / PIECE) as u64)
    }

    /// Whether every 4 KiB has the checksum it came with.
    pub fn verify(&self) -> bool {
        if let [one] = self.pieces() {
            return one.chunks(PIECE).zip(self.crcs()).all(|(bytes, crc)| crc32c(bytes) == *crc);
        }
        let mut rest = self.crcs().iter();
        let mut open = (checksum::Crc32c::new(), 0_usize);
        for piece in self.pieces() {
            let mut piece = &piece[..];
            while !piece.is_empty() {
                let take = piece.len().min(PIECE - open.1);
                open.0.update(&piece[..take]);
                open.1 += take;
                piece = &piece[take..];
                if open.1 == PIECE {
                    if rest.next() != Some(&open.0.finish()) {
                        return false;
                    }
                    open = (checksum::Crc32c::new(), 0);
                }
            }
        }
        open.1 == 0 || rest.next() == Some(&open.0.finish())
    }

    /// The checksum of the `length` bytes from `start` on. It is made of those of the clusters where they begin
    /// and end with clusters, and so certifies nothing anew; of the bytes otherwise. They lie within.
    pub fn checksum_of(&self, start: usize, length: usize) -> u32 {
        let end = start + length;
        if !start.is_multiple_of(PIECE) || !(end.is_multiple_of(PIECE) || end == self.len()) {
            let mut crc = checksum::Crc32c::new();
            slice_pieces(self.pieces(), start, length).iter().for_each(|piece| crc.update(piece));
            return crc.finish();
        }
        let crcs = &self.crcs()[start / PIECE..end.div_ceil(PIECE)];
        let (whole, rest) = crcs.split_at(length / PIECE);
        let tail = (length % PIECE) as u64;
        rest.iter().fold(whole_checksum(whole), |before, crc| checksum::combine(before, *crc, tail))
    }

    /// A part, cut at cluster borders: `count` clusters from cluster `first` on. Shares the bytes.
    pub fn slice_clusters(&self, first: u64, count: u64) -> Self {
        let (first, count) = (first as usize, count as usize);
        if first == 0 && count * PIECE == self.len() {
            return self.clone();
        }
        let pieces = slice_pieces(self.pieces(), first * PIECE, count * PIECE);
        let crcs = self.crcs()[first..first + count].to_vec();
        Payload::with_crcs(pieces, crcs).expect("a checksum for each cluster")
    }

    /// Appends another payload; this one must end at a cluster border.
    pub fn append(&mut self, other: Payload) {
        if self.is_empty() {
            *self = other;
            return;
        }
        assert!(self.len().is_multiple_of(PIECE), "payloads join at cluster borders");
        let crcs: Vec<u32> = self.crcs().iter().chain(other.crcs()).copied().collect();
        let mut pieces = self.pieces().to_vec();
        pieces.extend_from_slice(other.pieces());
        *self = Payload::with_crcs(pieces, crcs).expect("a checksum for each cluster");
    }

    /// The bytes in one piece: shared when they are one already, copied otherwise.
    pub fn contiguous(&self) -> Bytes {
        match self.pieces() {
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}

/// Equal when the bytes and their checksums are: where pieces end says nothing.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.crcs() == other.crcs() && same_bytes(self.pieces(), other.pieces())
    }
}

impl Eq for Payload {}

impl From<Vec<Bytes>> for Pieces {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        if pieces.len() == 1 { Pieces::One(pieces.swap_remove(0)) } else { Pieces::Many(pieces) }
    }
}

fn same_bytes(left: &[Bytes], right: &[Bytes]) -> bool {
    left.iter().flat_map(|piece| piece.iter()).eq(right.iter().flat_map(|piece| piece.iter()))
}

/// `length` zeros in as few shared pieces as may be.
pub fn zero_pieces(length: usize) -> Vec<Bytes> {
    let mut pieces = alloc::vec![Bytes::from_static(&ZEROS); length / ZEROS.len()];
    if !length.is_multiple_of(ZEROS.len()) {
        pieces.push(Bytes::from_static(&ZEROS[..length % ZEROS.len()]));
    }
    pieces
}

/// `length` bytes of `pieces` from byte `start` on, shared. Both lie within them.
pub fn slice_pieces(pieces: &[Bytes], mut start: usize, mut length: usize) -> Vec<Bytes> {
    let mut slice = Vec::new();
    for piece in pieces {
        if length == 0 {
            break;
        }
        if start >= piece.len() {
            start -= piece.len();
            continue;
        }
        let take = length.min(piece.len() - start);
        slice.push(piece.slice(start..start + take));
        (start, length) = (0, length - take);
    }
    assert!(length == 0, "a slice lies within its pieces");
    slice
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_zero_crc_is_that_of_zeros() {
        assert_eq!(ZERO_CLUSTER_CRC, crc32c(&[0; 4096]));
        assert!(Payload::zeros(40).verify());
        assert_eq!(Payload::zeros(40).clusters(), Some(40));
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let good = Payload::entering(Bytes::from(alloc::vec![7; 10_000]));
        let mut bytes = alloc::vec![7; 10_000];
        bytes[9_999] ^= 1;
        let bad = Payload::with_crcs(alloc::vec![bytes.into()], good.crcs().to_vec()).expect("fits");
        assert!(good.verify() && !bad.verify());
    }

    proptest! {
        #[test]
        fn pieces_end_anywhere(length in 1_usize..20_000, cuts in proptest::collection::vec(1_usize..5_000, 0..9)) {
            let bytes: Bytes = (0..length).map(|i| ((i * 31) >> 3) as u8).collect::<Vec<u8>>().into();
            let whole = Payload::entering(bytes.clone());
            let (mut pieces, mut at) = (Vec::new(), 0);
            for cut in cuts {
                let end = (at + cut).min(length);
                pieces.push(bytes.slice(at..end));
                at = end;
            }
            pieces.push(bytes.slice(at..));
            let cut = Payload::with_crcs(pieces, whole.crcs().to_vec()).expect("fits");
            prop_assert!(cut.verify());
            prop_assert_eq!(&cut, &whole);
            prop_assert_eq!(cut.contiguous(), bytes.clone());
            for start in [0, 1, 4096, 8192, 12_288] {
                for end in [start, 4096, 8192, 8193, length] {
                    if start <= end && end <= length {
                        prop_assert_eq!(cut.checksum_of(start, end - start), crc32c(&bytes[start..end]));
                    }
                }
            }
            if let Some(clusters @ 2..) = cut.clusters() {
                let part = cut.slice_clusters(1, clusters - 1);
                prop_assert!(part.verify());
            }
        }
    }
}

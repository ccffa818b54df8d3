//! Writing batches.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::{Crc32c, crc32c};

use super::{FileHeader, MAX_BODY, Mark, PAGE, Predecessor};
use crate::payload::zero_pieces;

pub(super) const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"BTCH");
pub(super) const BATCH_HEADER: usize = 56;
pub(super) const CHECK_AT: usize = 52;

/// The writing end of a journal file: knows where the next batch goes and what it must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    owner: [u8; 16],
    end: Mark,
    check: u32,
}

impl Writer {
    /// Begins a file: the writer, and the page to write at its start.
    pub fn begin(header: &FileHeader) -> (Self, Bytes) {
        let (page, check) = header.encode();
        let end = Mark { sequence: header.sequence, position: PAGE };
        (Writer { owner: header.owner, end, check }, page)
    }

    /// Where the next batch goes.
    pub fn end(&self) -> Mark {
        self.end
    }

    /// What a file that follows this one names as its predecessor.
    pub fn as_predecessor(&self) -> Predecessor {
        Predecessor { end: self.end, check: self.check }
    }

    /// Frames a body as the next batch: the pieces to write at [`Writer::end`] as it was before the call,
    /// a multiple of 4 KiB in all. `synced` is how far the log is known to be synced. Shares the body.
    pub fn batch(&mut self, synced: Mark, body: Vec<Bytes>) -> Vec<Bytes> {
        let mut check = Crc32c::new();
        body.iter().for_each(|piece| check.update(piece));
        self.batch_with_check(synced, body, check.finish())
    }

    /// As [`Writer::batch`], for who has the CRC-32C of the whole body at hand.
    pub fn batch_with_check(&mut self, synced: Mark, body: Vec<Bytes>, check: u32) -> Vec<Bytes> {
        let length: usize = body.iter().map(Bytes::len).sum();
        assert!(length <= MAX_BODY as usize, "a batch has a bound");
        assert!(synced <= self.end, "nothing is synced before it is written");
        let (header, check) = encode_header(self, synced, length as u32, check);
        let padded = (BATCH_HEADER + length).next_multiple_of(PAGE as usize);
        let mut pieces = Vec::with_capacity(body.len() + 2);
        pieces.push(header);
        pieces.extend(body);
        pieces.extend(zero_pieces(padded - BATCH_HEADER - length));
        self.end.position += padded as u64;
        self.check = check;
        pieces
    }
}

fn encode_header(writer: &Writer, synced: Mark, length: u32, body_check: u32) -> (Bytes, u32) {
    let mut header = Vec::with_capacity(BATCH_HEADER);
    header.extend_from_slice(&BATCH_MAGIC.to_le_bytes());
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(&writer.end.sequence.to_le_bytes());
    header.extend_from_slice(&writer.end.position.to_le_bytes());
    header.extend_from_slice(&synced.sequence.to_le_bytes());
    header.extend_from_slice(&synced.position.to_le_bytes());
    header.extend_from_slice(&writer.check.to_le_bytes());
    header.extend_from_slice(&body_check.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    let check = header_check(&writer.owner, &header);
    header.extend_from_slice(&check.to_le_bytes());
    (header.into(), check)
}

/// The check of a batch: over the owner and the header's bytes before the check.
pub(super) fn header_check(owner: &[u8; 16], header: &[u8]) -> u32 {
    let mut bytes = [0; 16 + CHECK_AT];
    bytes[..16].copy_from_slice(owner);
    bytes[16..].copy_from_slice(&header[..CHECK_AT]);
    crc32c(&bytes)
}

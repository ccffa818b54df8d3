//! A message on a stream: a fixed header, the body, the checksums of the payload, the payload.
//!
//! All numbers are little-endian.
//!
//! ```text
//!   0  magic "OVSF"                  4       28  number of CRCs of the payload      4
//!   4  version                       2       32  length of the payload              4
//!   6  flags: 0, others are refused  2       36  check of the body and the CRCs     4
//!   8  from                          4       40  check of the header before it      4
//!  12  to                            4       44  body: the message, in postcard
//!  16  request                       8           CRCs, 4 bytes for each 4 KiB of the payload
//!  24  length of the body            4           payload
//! ```
//!
//! The header proves itself before any length in it is believed. The payload is covered by the checksums that
//! it got where it entered, and by no new ones: who receives a frame checks them and passes them on (F1, P6).
//! The request's number stands in the header too, so that a trace can be read without decoding bodies, and so that who
//! asks for something that this program doesn't know can be told.

mod decode;
#[cfg(test)]
mod tests;
mod unknown;

pub use decode::{Decoder, FrameError};
pub use unknown::Unknown;
#[cfg(any(test, feature = "samples"))]
pub use unknown::of_newer;

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::{Crc32c, crc32c};
use glossary::NodeId;

use crate::Message;

/// The first bytes of a frame.
pub const MAGIC: [u8; 4] = *b"OVSF";

/// The version that this program writes; it reads this one and refuses newer ones.
pub const VERSION: u16 = 1;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 44;

/// The longest body, in bytes: a command of 16 MiB for the KV fits, with room for what is around it.
pub const MAX_BODY: u32 = 20 << 20;

/// The longest payload, in bytes: the largest SCO is half of it.
pub const MAX_PAYLOAD: u32 = 256 << 20;

/// Where the check of the body stands.
const BODY_CHECK_AT: usize = 36;

/// Where the check of the header stands.
const CHECK_AT: usize = 40;

/// Encodes a message: the pieces to send, in order. Shares the payload.
///
/// # Panics
/// When body or payload are above their bounds: whoever makes a message keeps it below.
pub fn encode(message: &Message, from: NodeId, to: NodeId) -> Vec<Bytes> {
    let mut head = postcard::to_extend(message, alloc::vec![0; HEADER_BYTES]).expect("messages encode");
    let body_length = head.len() - HEADER_BYTES;
    assert!(body_length <= MAX_BODY as usize, "a body of {body_length} bytes is above its bound");
    let (crcs, payload): (&[u32], &[Bytes]) =
        message.payload().map_or((&[], &[]), |payload| (payload.crcs(), payload.pieces()));
    let payload_length: usize = payload.iter().map(Bytes::len).sum();
    assert!(payload_length <= MAX_PAYLOAD as usize, "a payload of {payload_length} bytes is above its bound");
    crcs.iter().for_each(|crc| head.extend_from_slice(&crc.to_le_bytes()));
    let header = Header {
        from,
        to,
        request: message.request(),
        body: body_length as u32,
        crcs: crcs.len() as u32,
        payload: payload_length as u32,
        body_check: crc32c(&head[HEADER_BYTES..]),
    };
    head[..HEADER_BYTES].copy_from_slice(&header.encode());
    let mut pieces = Vec::with_capacity(1 + payload.len());
    pieces.push(Bytes::from(head));
    pieces.extend(payload.iter().filter(|piece| !piece.is_empty()).cloned());
    pieces
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    from: NodeId,
    to: NodeId,
    request: u64,
    body: u32,
    crcs: u32,
    payload: u32,
    body_check: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.from.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.to.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.request.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.crcs.to_le_bytes());
        bytes[32..BODY_CHECK_AT].copy_from_slice(&self.payload.to_le_bytes());
        bytes[BODY_CHECK_AT..CHECK_AT].copy_from_slice(&self.body_check.to_le_bytes());
        let check = crc32c(&bytes[..CHECK_AT]);
        bytes[CHECK_AT..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a header: proven, within all bounds, and with as many CRCs as its payload needs.
    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Foreign);
        }
        let version = u16::from_le_bytes(fixed(bytes, 4));
        if version > VERSION {
            return Err(FrameError::Newer(version));
        }
        if version != VERSION || crc32c(&bytes[..CHECK_AT]) != number(bytes, CHECK_AT) {
            return Err(FrameError::Header);
        }
        let flags = u16::from_le_bytes(fixed(bytes, 6));
        if flags != 0 {
            return Err(FrameError::Flags(flags));
        }
        let header = Header {
            from: NodeId(number(bytes, 8)),
            to: NodeId(number(bytes, 12)),
            request: u64::from_le_bytes(fixed(bytes, 16)),
            body: number(bytes, 24),
            crcs: number(bytes, 28),
            payload: number(bytes, 32),
            body_check: number(bytes, BODY_CHECK_AT),
        };
        if header.body > MAX_BODY || header.payload > MAX_PAYLOAD {
            return Err(FrameError::TooLarge { body: header.body, payload: header.payload });
        }
        if u64::from(header.crcs) != u64::from(header.payload).div_ceil(glossary::CLUSTER_BYTES) {
            return Err(FrameError::Malformed);
        }
        Ok(header)
    }

    /// Bytes of the body and the CRCs.
    fn checked_bytes(&self) -> usize {
        self.body as usize + 4 * self.crcs as usize
    }

    /// Bytes of the whole frame.
    fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.checked_bytes() + self.payload as usize
    }

    fn proves(&self, body_and_crcs: &[Bytes]) -> bool {
        let mut check = Crc32c::new();
        body_and_crcs.iter().for_each(|piece| check.update(piece));
        check.finish() == self.body_check
    }
}

/// `N` bytes of a header at `at`; they lie within.
fn fixed<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

fn number(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(fixed(bytes, at))
}

impl Message {
    /// The asker's number for the request that this is, or answers; 0 for what is neither.
    pub fn request(&self) -> u64 {
        match self {
            Message::Guest(message) => message.request,
            Message::GuestReply(message) => message.request,
            Message::Edge(message) => message.request,
            Message::EdgeReply(message) => message.request,
            Message::Object(message) => message.request,
            Message::ObjectReply(message) => message.request,
            Message::Asd(message) => message.request,
            Message::AsdReply(message) => message.request,
            Message::Kv(message) => message.request,
            Message::KvReply(message) => message.request,
            Message::Admin(message) => message.request,
            Message::AdminReply(message) => message.request,
            Message::KvOf(message) => message.request.request,
            Message::Member(_) | Message::MemberOf(_) => 0,
        }
    }
}

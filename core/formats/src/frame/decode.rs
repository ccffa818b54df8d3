//! Frames out of a stream that was cut anywhere.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use glossary::{CLUSTER_BYTES, NodeId};

use super::unknown::Unknown;
use super::{HEADER_BYTES, Header, VERSION};
use crate::{Message, Payload};

/// Why a stream is no sequence of frames. Final, as nothing that follows on the stream can be trusted; all but
/// [`FrameError::Unknown`], which is about one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a frame at all.
    #[error("the peer doesn't send frames")]
    Foreign,
    /// Written by a newer program.
    #[error("the peer sends frames of version {0}, and this program knows up to {VERSION}")]
    Newer(u16),
    /// Flags that this version doesn't know.
    #[error("the peer sets flags {0:#06x} that this program doesn't know")]
    Flags(u16),
    /// The header's check doesn't hold.
    #[error("the header of a frame is damaged")]
    Header,
    /// A length is above its bound.
    #[error("a frame of {body} bytes and a payload of {payload} bytes is too large")]
    TooLarge {
        /// Bytes of the body.
        body: u32,
        /// Bytes of the payload.
        payload: u32,
    },
    /// The check of body and CRCs doesn't hold.
    #[error("the body of a frame is damaged")]
    Body,
    /// The payload doesn't have the checksums that it came with.
    #[error("the payload of a frame is damaged")]
    Payload,
    /// Whole, but no message of ours, or one whose parts contradict each other.
    #[error("a frame is whole but makes no sense")]
    Malformed,
    /// A frame is whole, and its message is none that this program knows. Those behind it are read as ever.
    #[error("a message is none that this program knows: a newer program sent it")]
    Unknown(Unknown),
}

/// Turns what comes in on a stream into messages. Holds what was fed and not yet taken: at most one frame
/// and what was fed with its end, when [`Decoder::next`] is called until it gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    held: usize,
    /// The header of the frame that is coming; taken out of `pieces` already.
    header: Option<Header>,
    failed: Option<FrameError>,
}

impl Decoder {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came in.
    pub fn feed(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && self.failed.is_none() {
            self.held += bytes.len();
            self.pieces.push_back(bytes);
        }
    }

    /// The next message, when all of it is there: from whom, to whom, what. The payload shares what was fed,
    /// and its checksums were compared.
    ///
    /// # Errors
    /// Why there is none. After [`FrameError::Unknown`] the next call goes on behind that frame; any other error stays.
    #[expect(clippy::should_implement_trait, reason = "an iterator ends, a stream just has no more now")]
    pub fn next(&mut self) -> Result<Option<(NodeId, NodeId, Message)>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.try_next().inspect_err(|error| {
            if !matches!(error, FrameError::Unknown(_)) {
                *self = Decoder { failed: Some(*error), ..Decoder::default() };
            }
        })
    }

    /// How many more bytes the next message needs, as far as is known: the rest of a header, or of a frame.
    pub fn wanted(&self) -> usize {
        let frame = self.header.map_or(HEADER_BYTES, |header| header.frame_bytes() - HEADER_BYTES);
        frame.saturating_sub(self.held)
    }

    /// Bytes that were fed and not taken, but for a header that was read already.
    pub fn held(&self) -> usize {
        self.held
    }

    fn try_next(&mut self) -> Result<Option<(NodeId, NodeId, Message)>, FrameError> {
        let header = match self.header {
            Some(header) => header,
            None if self.held < HEADER_BYTES => return Ok(None),
            None => {
                let bytes = contiguous(self.take(HEADER_BYTES));
                Header::decode(bytes[..].try_into().expect("as many as were asked for"))?
            }
        };
        self.header = Some(header);
        if self.held < header.frame_bytes() - HEADER_BYTES {
            return Ok(None);
        }
        self.header = None;
        let body_and_crcs = self.take(header.checked_bytes());
        let payload = self.take(header.payload as usize);
        if !header.proves(&body_and_crcs) {
            return Err(FrameError::Body);
        }
        let message = decode_message(&header, &contiguous(body_and_crcs), payload)?;
        Ok(Some((header.from, header.to, message)))
    }

    /// The next `count` bytes, which are there; shared.
    fn take(&mut self, count: usize) -> Vec<Bytes> {
        assert!(count <= self.held, "what is taken is there");
        self.held -= count;
        let (mut taken, mut missing) = (Vec::new(), count);
        while missing > 0 {
            let first = self.pieces.front_mut().expect("held bytes are in pieces");
            let piece = first.split_to(missing.min(first.len()));
            missing -= piece.len();
            taken.push(piece);
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken
    }
}

fn decode_message(header: &Header, bytes: &[u8], payload: Vec<Bytes>) -> Result<Message, FrameError> {
    let (body, crcs) = bytes.split_at(header.body as usize);
    let decoded = postcard::take_from_bytes::<Message>(body).ok().filter(|(_, rest)| rest.is_empty());
    let Some((mut message, _)) = decoded else {
        return Err(FrameError::Unknown(Unknown::of(header, body)));
    };
    if message.request() != header.request {
        return Err(FrameError::Malformed);
    }
    if header.payload > 0 {
        let place = message.payload_mut().ok_or(FrameError::Malformed)?;
        let crcs = crcs.chunks_exact(4).map(|crc| u32::from_le_bytes(crc.try_into().expect("4 bytes")));
        let payload = Payload::with_crcs(sensible(payload), crcs.collect()).ok_or(FrameError::Malformed)?;
        if !payload.verify() {
            return Err(FrameError::Payload);
        }
        *place = payload;
    }
    Ok(message)
}

/// Shares pieces as they are, unless a stream came in crumbs: carrying those along costs more than a copy.
fn sensible(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    if pieces.len() > 2 + length / CLUSTER_BYTES as usize {
        return alloc::vec![contiguous(pieces)];
    }
    pieces
}

fn contiguous(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 { pieces.swap_remove(0) } else { pieces.concat().into() }
}

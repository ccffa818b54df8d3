//! Encoding of replies to requests.

use bytes::{BufMut, BytesMut};

use crate::errno::Errno;
use crate::request::Cookie;
use crate::wire::{
    CHUNK_HEADER_BYTES, SIMPLE_REPLY_BYTES, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, base_allocation,
    chunk, for_people,
};

/// Most bytes that a header written by [`Replies::read`], [`Replies::data_chunk`] or
/// [`Replies::hole_chunk`] takes.
pub const READ_HEADER_BYTES_MAX: usize = CHUNK_HEADER_BYTES + 12;

/// Most extents in one reply to a block status request, so that a question about 4 GiB of single
/// blocks costs 64 KiB. A client asks again for the rest.
pub const BLOCK_STATUS_DESCRIPTORS_MAX: usize = 8192;

/// Encodes replies to the requests of one session, behind whatever `out` holds already. Nothing is
/// allocated while `out` has room, and payloads are never copied: they are sent behind their header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replies {
    structured: bool,
}

/// Whether a chunk ends its reply. A chunk that ends it must not be followed by an error, so the data
/// behind its header has to be at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// More chunks of the same reply follow.
    No,
    /// The reply is complete with this chunk.
    Yes,
}

/// A range of an export for block status, from where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// In bytes. May be more than was asked for, or 0.
    pub length: u64,
    /// What is there.
    pub allocation: Allocation,
}

/// The states of `base:allocation` that are of use to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Allocated, content unknown. Always a safe answer.
    Data,
    /// Allocated, reads as zeroes.
    Zeroes,
    /// Not allocated, reads as zeroes.
    Hole,
}

impl Replies {
    pub(crate) const fn new(structured: bool) -> Self {
        Self { structured }
    }

    /// Whether structured replies are negotiated, which [`Replies::data_chunk`],
    /// [`Replies::hole_chunk`] and [`Replies::error_at`] need.
    #[must_use]
    pub const fn structured(self) -> bool {
        self.structured
    }

    /// Success of anything but a read or block status.
    pub fn ok(self, out: &mut BytesMut, cookie: Cookie) {
        //= NBD#structured-reply-chunk-message
        //# MAY use either a simple reply or a structured reply to all other requests
        simple(out, 0, cookie);
    }

    /// Failure of any request. The message, if not empty, is for people, and cut at 4096 bytes; a
    /// client without structured replies does not get it.
    pub fn error(self, out: &mut BytesMut, cookie: Cookie, errno: Errno, message: &str) {
        //= NBD#structured-reply-chunk-message
        //# SHOULD prefer sending errors via a structured reply
        if self.structured {
            error_chunk(out, cookie, errno, message, None);
        } else {
            //= NBD#request-types
            //# MUST NOT send any payload for this request
            simple(out, errno.number(), cookie);
        }
    }

    /// Success of a whole read: the header before `length` bytes of payload, which must be at hand.
    pub fn read(self, out: &mut BytesMut, cookie: Cookie, offset: u64, length: u32) {
        //= NBD#structured-reply-chunk-message
        //# MUST NOT use a simple reply for NBD_CMD_READ
        if self.structured {
            self.data_chunk(out, cookie, offset, length, Last::Yes);
        } else {
            simple(out, 0, cookie);
        }
    }

    /// Part of a read: the header before `length` bytes of payload. Parts may come in any order, must
    /// not overlap, and must cover the request unless an error is among them. A read that says
    /// `dont_fragment` has one part.
    ///
    /// # Panics
    /// Without structured replies, and for a length of 0.
    pub fn data_chunk(self, out: &mut BytesMut, cookie: Cookie, offset: u64, length: u32, last: Last) {
        self.assert_structured();
        //= NBD#request-types
        //# each chunk MUST describe at least one byte
        assert!(length > 0, "a chunk of nothing");
        let payload = length.checked_add(8).expect("reads are at most 32-bit payloads less a header");
        chunk_header(out, chunk::OFFSET_DATA, cookie, payload, last);
        out.put_u64(offset);
    }

    /// Part of a read that is all zeroes. With `dont_fragment` it may only be used for the whole.
    ///
    /// # Panics
    /// Without structured replies, and for a length of 0.
    pub fn hole_chunk(self, out: &mut BytesMut, cookie: Cookie, offset: u64, length: u32, last: Last) {
        self.assert_structured();
        //= NBD#structured-reply-types
        //# hole size (unsigned, MUST be nonzero)
        assert!(length > 0, "a chunk of nothing");
        chunk_header(out, chunk::OFFSET_HOLE, cookie, 12, last);
        out.put_u64(offset);
        out.put_u32(length);
    }

    /// The rest of a read that failed at `offset`, after other parts of it may have been sent. The
    /// reply is complete with it.
    ///
    /// # Panics
    /// Without structured replies.
    pub fn error_at(self, out: &mut BytesMut, cookie: Cookie, errno: Errno, offset: u64, message: &str) {
        self.assert_structured();
        error_chunk(out, cookie, errno, message, Some(offset));
    }

    /// Success of a block status request about `length` bytes. `one` and `length` are those of the
    /// request, `extents` start at its offset. What they say is cut to what was asked, equal
    /// neighbours become one, and at most [`BLOCK_STATUS_DESCRIPTORS_MAX`] are sent. If they say
    /// nothing, the whole range is [`Allocation::Data`].
    ///
    /// # Panics
    /// For a length of 0, and without structured replies: no such request is given out.
    pub fn block_status(
        self,
        out: &mut BytesMut,
        cookie: Cookie,
        length: u32,
        one: bool,
        extents: impl IntoIterator<Item = Extent>,
    ) {
        self.assert_structured();
        assert!(length > 0, "status of nothing");
        //= NBD#command-flags
        //# MUST NOT send metadata on more than one extent in the reply
        let room = if one { 1 } else { BLOCK_STATUS_DESCRIPTORS_MAX };
        let length_at = out.len() + CHUNK_HEADER_BYTES - 4;
        chunk_header(out, chunk::BLOCK_STATUS, cookie, 0, Last::Yes);
        let payload_at = out.len();
        out.put_u32(base_allocation::ID);
        let count = descriptors(out, length, room, extents.into_iter());
        if count == 0 {
            //= NBD#request-types
            //# MAY always safely report a status of 0 for any block
            descriptor(out, length, Allocation::Data);
        }
        let payload = u32::try_from(out.len() - payload_at).expect("64 KiB at most");
        out[length_at..payload_at].copy_from_slice(&payload.to_be_bytes());
    }

    /// Success of a read of no bytes.
    pub(crate) fn read_nothing(self, out: &mut BytesMut, cookie: Cookie) {
        //= NBD#structured-reply-types
        //# NBD_REPLY_TYPE_NONE MUST always be used with the NBD_REPLY_FLAG_DONE bit set
        if self.structured {
            chunk_header(out, chunk::NONE, cookie, 0, Last::Yes);
        } else {
            simple(out, 0, cookie);
        }
    }

    fn assert_structured(self) {
        //= NBD#structured-reply-chunk-message
        //# MUST NOT send this reply type unless the client has successfully negotiated it
        assert!(self.structured, "structured replies are not negotiated");
    }
}

impl Allocation {
    fn bits(self) -> u32 {
        match self {
            Self::Data => 0,
            Self::Zeroes => base_allocation::STATE_ZERO,
            Self::Hole => base_allocation::STATE_HOLE | base_allocation::STATE_ZERO,
        }
    }
}

fn simple(out: &mut BytesMut, error: u32, cookie: Cookie) {
    out.reserve(SIMPLE_REPLY_BYTES);
    out.put_u32(SIMPLE_REPLY_MAGIC);
    out.put_u32(error);
    out.put_u64(cookie.0);
}

fn chunk_header(out: &mut BytesMut, kind: u16, cookie: Cookie, payload: u32, last: Last) {
    out.reserve(READ_HEADER_BYTES_MAX);
    out.put_u32(STRUCTURED_REPLY_MAGIC);
    out.put_u16(if last == Last::Yes { chunk::FLAG_DONE } else { 0 });
    out.put_u16(kind);
    out.put_u64(cookie.0);
    out.put_u32(payload);
}

fn error_chunk(out: &mut BytesMut, cookie: Cookie, errno: Errno, message: &str, offset: Option<u64>) {
    //= NBD#structured-reply-types
    //# message length MUST NOT exceed the 4096 bytes string length limit
    let message = for_people(message);
    let (kind, tail) = if offset.is_some() { (chunk::ERROR_OFFSET, 8) } else { (chunk::ERROR, 0) };
    let message_length = u16::try_from(message.len()).expect("4096 at most");
    chunk_header(out, kind, cookie, 6 + u32::from(message_length) + tail, Last::Yes);
    out.put_u32(errno.number());
    out.put_u16(message_length);
    out.put_slice(message.as_bytes());
    if let Some(offset) = offset {
        out.put_u64(offset);
    }
}

/// Writes at most `room` descriptors that cover at most `length` bytes; returns how many.
fn descriptors(out: &mut BytesMut, length: u32, room: usize, extents: impl Iterator<Item = Extent>) -> usize {
    let mut left = length;
    let mut count = 0;
    let mut pending: Option<(u32, Allocation)> = None;
    for extent in extents {
        //= NBD#structured-reply-types
        //# length of the extent (unsigned, MUST be nonzero)
        //= NBD#structured-reply-types
        //# that descriptor MUST NOT exceed the length of the original request
        let here = u32::try_from(extent.length).unwrap_or(u32::MAX).min(left);
        if here == 0 {
            continue;
        }
        //= NBD#request-types
        //# SHOULD use different status values between consecutive descriptors where feasible
        pending = match pending {
            Some((before, allocation)) if allocation == extent.allocation => {
                Some((before + here, allocation))
            }
            Some((before, allocation)) => {
                descriptor(out, before, allocation);
                count += 1;
                if count == room {
                    return count;
                }
                Some((here, extent.allocation))
            }
            None => Some((here, extent.allocation)),
        };
        left -= here;
        if left == 0 {
            break;
        }
    }
    if let Some((before, allocation)) = pending {
        descriptor(out, before, allocation);
        count += 1;
    }
    count
}

fn descriptor(out: &mut BytesMut, length: u32, allocation: Allocation) {
    out.put_u32(length);
    out.put_u32(allocation.bits());
}

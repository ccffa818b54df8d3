//! Bytes on their way out of a connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::AsFd;

use bytes::{Buf, Bytes, BytesMut};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

/// Pieces that go out in one call. The kernel takes 1,024; this many already make the call cheap.
const PIECES: usize = 512;

/// Room made for heads at once.
const HEAD_ROOM: usize = 16 * 1024;

/// What is to be sent, in order. Small bytes are copied together, pieces are shared.
///
/// Bounded by its owner, who knows how much it queued ([`Outbox::len`]) and stops taking requests.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Bytes>,
    /// Bytes in `pieces`.
    queued: usize,
    head: BytesMut,
}

impl Outbox {
    /// Where small bytes go.
    pub(crate) fn head(&mut self) -> &mut BytesMut {
        if self.head.capacity() - self.head.len() < 512 {
            self.head.reserve(HEAD_ROOM);
        }
        &mut self.head
    }

    /// Appends a piece, uncopied.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.cut();
        if !piece.is_empty() {
            self.queued += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Bytes not sent yet.
    pub(crate) fn len(&self) -> usize {
        self.queued + self.head.len()
    }

    /// Sends as much as the socket takes; whether that was everything.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> rustix::io::Result<bool> {
        self.cut();
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let mut control = SendAncillaryBuffer::default();
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match retry_on_intr(|| sendmsg(&socket, &slices[..count], &mut control, flags)) {
                Ok(sent) => self.advance(sent),
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Makes a piece of the head.
    fn cut(&mut self) {
        if !self.head.is_empty() {
            self.queued += self.head.len();
            self.pieces.push_back(self.head.split().freeze());
        }
    }

    fn advance(&mut self, mut sent: usize) {
        self.queued -= sent;
        while sent > 0 {
            let first = self.pieces.front_mut().expect("no more is sent than was there");
            if first.len() > sent {
                first.advance(sent);
                return;
            }
            sent -= first.len();
            self.pieces.pop_front();
        }
    }
}

//! A stream to another process: hellos, then frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ::io::{Readiness, Received};
use bytes::{Buf, Bytes, BytesMut};
use formats::Message;
use formats::frame::{self, Decoder, FrameError, Unknown};
use formats::hello::{Hello, HelloError};
use glossary::NodeId;
use rustls::pki_types::CertificateDer;

use crate::stream::Stream;

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipeError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("TLS fails: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A stream, ours or the peer's to begin.
pub(crate) struct Pipe {
    stream: Stream,
    /// What came in before the peer's hello was whole.
    greeting: BytesMut,
    greeted: bool,
    decoder: Decoder,
}

/// A frame that came in.
pub(crate) struct Frame {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// What it says, where this program knows that.
    pub(crate) message: Result<Message, Unknown>,
    /// Its length.
    pub(crate) bytes: usize,
}

impl Pipe {
    pub(crate) fn new(stream: Stream) -> Self {
        Pipe { stream, greeting: BytesMut::new(), greeted: false, decoder: Decoder::new() }
    }

    pub(crate) fn on_ready(&mut self, readiness: Readiness) {
        self.stream.on_ready(readiness);
    }

    /// Receives once what is there.
    pub(crate) fn receive(&mut self) -> Result<Received, PipeError> {
        let (received, bytes) = self.stream.receive()?;
        self.take_in(bytes);
        Ok(received)
    }

    fn take_in(&mut self, bytes: Bytes) {
        if self.greeted {
            self.decoder.feed(bytes);
        } else {
            self.greeting.extend_from_slice(&bytes);
        }
    }

    /// The peer's hello, once it is whole. Frames follow.
    pub(crate) fn hello(&mut self) -> Result<Option<Hello>, PipeError> {
        let Some((hello, length)) = Hello::decode(&self.greeting)? else { return Ok(None) };
        let mut rest = std::mem::take(&mut self.greeting);
        rest.advance(length);
        self.greeted = true;
        self.decoder.feed(rest.freeze());
        Ok(Some(hello))
    }

    /// The next frame that is whole.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, PipeError> {
        let before = self.decoder.held();
        let (from, to, message) = match self.decoder.next() {
            Ok(None) => return Ok(None),
            Ok(Some((from, to, message))) => (from, to, Ok(message)),
            Err(FrameError::Unknown(unknown)) => (unknown.from, unknown.to, Err(unknown)),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Frame { from, to, message, bytes: before - self.decoder.held() }))
    }

    /// Bytes that the next frame lacks, as far as is known.
    pub(crate) fn wanted(&self) -> usize {
        self.decoder.wanted()
    }

    /// Says hello.
    pub(crate) fn greet(&mut self, hello: &Hello) -> Result<(), PipeError> {
        self.stream.push(hello.encode().into())
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, message: &Message) -> Result<(), PipeError> {
        frame::encode(message, from, to).into_iter().try_for_each(|piece| self.push(piece))
    }

    /// Queues a piece of a frame.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), PipeError> {
        self.stream.push(piece)
    }

    /// What the peer showed; empty within this machine.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.stream.chain()
    }

    /// Whether anything came behind the hello.
    pub(crate) fn holds_input(&self) -> bool {
        self.decoder.held() > 0
    }

    /// Bytes on their way.
    pub(crate) fn unsent(&self) -> usize {
        self.stream.unsent()
    }

    /// Sends what the socket takes; whether that was all.
    pub(crate) fn flush(&mut self) -> Result<bool, PipeError> {
        self.stream.flush()
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

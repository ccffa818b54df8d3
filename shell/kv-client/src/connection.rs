//! One stream to a member: hello, then frames.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use formats::Message;
use formats::frame::{self, Decoder};
use formats::hello::{self, Hello, Offers};
use formats::message::admin::{AdminAnswer, AdminRequest};
use formats::message::kv::KvReply;
use glossary::{ClusterIdentity, NodeId, ServerId};

use crate::dial::Stream;

/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;

/// The shortest wait that operating systems know.
const SHORTEST: Duration = Duration::from_millis(1);

/// A stream whose ends know each other.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    server: ServerId,
    cluster: ClusterIdentity,
    buffer: Vec<u8>,
}

impl Connection {
    /// Says hello, and hears who is there.
    ///
    /// # Errors
    /// What the stream says; [`ErrorKind::InvalidData`] where who is there is none to talk to, in words.
    pub(crate) fn open(mut stream: Box<dyn Stream>, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        stream.set_patience(patience.max(SHORTEST))?;
        let ours = Hello::new(None, None, Offers::default());
        stream.write_all(&ours.encode())?;
        stream.flush()?;
        let (mut held, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        let (theirs, length) = loop {
            if let Some(read) = Hello::decode(&held).map_err(invalid)? {
                break read;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_patience(left.max(SHORTEST))?;
            let length = stream.read(&mut buffer[..hello::MAX_BYTES])?;
            if length == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            held.extend_from_slice(&buffer[..length]);
        };
        ours.agree(&theirs).map_err(invalid)?;
        let cluster = theirs.cluster.unwrap_or_default();
        let Some(server) = theirs.server.filter(|_| theirs.offers.has(Offers::KV)) else {
            return Err(io::Error::new(ErrorKind::InvalidData, "no member of the KV's group is there"));
        };
        let mut decoder = Decoder::new();
        decoder.feed(Bytes::copy_from_slice(&held[length..]));
        Ok(Connection { stream, decoder, server, cluster, buffer })
    }

    /// The cluster at the other end.
    pub(crate) fn cluster(&self) -> ClusterIdentity {
        self.cluster
    }

    /// The member at the other end.
    pub(crate) fn node(&self) -> NodeId {
        NodeId::kv_of(self.server)
    }

    /// Sends a request. A failure leaves the stream useless.
    pub(crate) fn send(&mut self, message: &Message, patience: Duration) -> io::Result<()> {
        // The other end knows from which node it comes.
        let pieces = frame::encode(message, NodeId(0), self.node());
        self.stream.set_patience(patience.max(SHORTEST))?;
        pieces.iter().try_for_each(|piece| self.stream.write_all(piece))?;
        self.stream.flush()
    }

    /// Asks management, and waits so long for the answer. A failure leaves the stream useless.
    pub(crate) fn manage(&mut self, request: AdminRequest, patience: Duration) -> io::Result<AdminAnswer> {
        let until = Instant::now() + patience;
        self.send(&Message::Admin(request), patience)?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.receive_any(left)? {
                Some(Message::AdminReply(reply)) => return Ok(reply.body),
                _ if left.is_zero() => return Err(ErrorKind::TimedOut.into()),
                _ => {}
            }
        }
    }

    /// The next reply; none when nothing came for so long. A failure leaves the stream useless.
    pub(crate) fn receive(&mut self, patience: Duration) -> io::Result<Option<KvReply>> {
        Ok(match self.receive_any(patience)? {
            Some(Message::KvReply(reply)) => Some(reply),
            _ => None,
        })
    }

    fn receive_any(&mut self, patience: Duration) -> io::Result<Option<Message>> {
        if let Some(message) = self.next()? {
            return Ok(Some(message));
        }
        self.stream.set_patience(patience.max(SHORTEST))?;
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.decoder.feed(Bytes::copy_from_slice(&self.buffer[..length]));
                self.next()
            }
            Err(error) if is_pause(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn next(&mut self) -> io::Result<Option<Message>> {
        let next = self.decoder.next().map_err(invalid)?;
        Ok(next.map(|(_, _, message)| message))
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}

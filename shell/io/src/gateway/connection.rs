//! A stream socket: receive much, answer once.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

use super::outbox::Outbox;
use crate::poller::Readiness;

/// Room for what comes in at once. One large receive takes many requests.
pub const RECEIVE_ROOM: usize = 256 * 1024;

/// Room below which a new buffer is better than a small receive.
const RECEIVE_ROOM_MIN: usize = 64 * 1024;

/// How a receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes came; there may be more.
    Some(usize),
    /// So many bytes came, perhaps none, and there is no more now. [`super::Gateway::ready`] tells when there
    /// is.
    All(usize),
    /// The peer sends nothing any more.
    End,
}

/// A connected stream socket (TCP or unix), with what came in and is not understood yet, and what is to go
/// out. It never blocks.
///
/// Input: [`Connection::receive`], then [`Connection::take_input`], parse, and
/// [`Connection::put_back`] of what is incomplete. What was parsed out is shared, never copied; it keeps the
/// whole buffer of [`RECEIVE_ROOM`] bytes that it came in alive. Who has no room for a request just doesn't
/// receive: the kernel's socket buffer fills and the peer waits. So a connection costs at most one buffer of
/// the larger of [`RECEIVE_ROOM`] and what the last receive wanted, beside what was parsed out of it.
///
/// Output: [`Connection::head`] for small bytes, [`Connection::push`] for payload, and one
/// [`Connection::flush`] at the end of the turn.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    input: BytesMut,
    output: Outbox,
    /// Whether the socket may have something to read, as far as we were told.
    readable: bool,
    writable: bool,
    /// Whether the end was announced: it comes behind the last bytes, without a further edge.
    ended: bool,
}

impl Connection {
    /// Takes a connected socket.
    ///
    /// # Errors
    /// When it can't be made non-blocking.
    pub fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, true)?;
        let (input, output) = (BytesMut::new(), Outbox::default());
        Ok(Connection { socket, input, output, readable: true, writable: true, ended: false })
    }

    /// Begins to connect to an address. It is there when a flush succeeds or something comes, and broken when a receive
    /// says so.
    ///
    /// # Errors
    /// When the operating system refuses at once: no route, no descriptors.
    pub fn dial(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match retry_on_intr(|| rustix::net::connect(&socket, &address)) {
            Ok(()) | Err(Errno::INPROGRESS) => Connection::new(socket),
            Err(error) => Err(error.into()),
        }
    }

    /// The address of the other end of a TCP connection.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        let address = rustix::net::getpeername(&self.socket)?;
        let address = address.and_then(|address| SocketAddr::try_from(address).ok());
        address.ok_or_else(|| io::Error::other("it has no address of the internet"))
    }

    /// Has the kernel ask a silent peer for a sign of life, and break a TCP connection whose peer has given none for so
    /// long, or has taken nothing of what was sent.
    ///
    /// # Errors
    /// When the kernel knows no such thing.
    pub fn break_when_dead(&self, after: Duration) -> io::Result<()> {
        let third = (after / 3).max(Duration::from_secs(1));
        sockopt::set_socket_keepalive(&self.socket, true)?;
        sockopt::set_tcp_keepidle(&self.socket, third)?;
        sockopt::set_tcp_keepintvl(&self.socket, third)?;
        sockopt::set_tcp_keepcnt(&self.socket, 2)?;
        let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        Ok(sockopt::set_tcp_user_timeout(&self.socket, milliseconds)?)
    }

    /// Takes note of what [`super::Gateway::ready`] told.
    pub fn on_ready(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable;
        self.writable |= readiness.writable;
        self.ended |= readiness.ended;
    }

    /// Whether a receive may find something. It stays so while its owner chooses not to receive.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Receives once what is there, into room for [`RECEIVE_ROOM`] bytes or for `wants` contiguous bytes of
    /// input, whichever is more.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn receive(&mut self, wants: usize) -> io::Result<Received> {
        if !self.readable {
            return Ok(Received::All(0));
        }
        self.make_room(wants);
        let room = self.input.spare_capacity_mut();
        let room_bytes = room.len();
        let received = retry_on_intr(|| {
            rustix::net::recv(&self.socket, &mut *room, RecvFlags::DONTWAIT)
                .map(|((filled, _), _)| filled.len())
        });
        match received {
            Ok(0) => Ok(Received::End),
            Ok(count) => {
                let length = self.input.len() + count;
                // SAFETY: the kernel filled `count` bytes of the spare capacity, from its start.
                unsafe { self.input.set_len(length) };
                // A stream that gave less than there was room for has no more; the next edge tells, but for
                // an end that came before these bytes were read.
                self.readable = count == room_bytes || self.ended;
                Ok(if self.readable { Received::Some(count) } else { Received::All(count) })
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Received::All(0))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes that came in and were not taken.
    pub fn received(&self) -> usize {
        self.input.len()
    }

    /// Takes all input, to parse it. Give back what is incomplete by [`Connection::put_back`]. While the next
    /// thing is known to need more than [`Connection::received`], leave the input where it is: what is given
    /// back is copied.
    pub fn take_input(&mut self) -> Bytes {
        self.input.split().freeze()
    }

    /// Gives back the end of what was taken, before anything else is received.
    ///
    /// # Panics
    /// When something was received since.
    pub fn put_back(&mut self, rest: Bytes) {
        assert!(self.input.is_empty(), "input comes back before more is received");
        if !rest.is_empty() {
            self.make_room(rest.len() + RECEIVE_ROOM_MIN);
            self.input.extend_from_slice(&rest);
        }
    }

    /// Where small bytes to send go. They are sent together with the pieces, in order.
    pub fn head(&mut self) -> &mut BytesMut {
        self.output.head()
    }

    /// Appends a piece to send, uncopied.
    pub fn push(&mut self, piece: Bytes) {
        self.output.push(piece);
    }

    /// Bytes that are not sent yet. Its owner bounds it: no new requests while there is much.
    pub fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Sends as much as the socket takes, in as few calls as may be; whether that was everything. Otherwise
    /// [`super::Gateway::ready`] tells when there is room again.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> io::Result<bool> {
        if self.output.len() == 0 {
            return Ok(true);
        }
        if self.writable {
            self.writable = self.output.flush(&self.socket)?;
        }
        Ok(self.writable)
    }

    /// Makes room for `wants` contiguous bytes, those that are there included, and for a receive worth its
    /// call.
    fn make_room(&mut self, wants: usize) {
        let length = self.input.len();
        let missing = wants.saturating_sub(length);
        // A buffer made for something long fills to its last byte; moving it for more room would copy it all.
        let is_long = missing > 0 && wants >= RECEIVE_ROOM_MIN;
        let needed = if is_long { missing } else { missing.max(RECEIVE_ROOM_MIN) };
        if self.input.capacity() - length >= needed {
            return;
        }
        let capacity = wants.max(RECEIVE_ROOM).max(length + RECEIVE_ROOM_MIN);
        if !self.input.try_reclaim(capacity - length) {
            let mut fresh = BytesMut::with_capacity(capacity);
            fresh.extend_from_slice(&self.input);
            self.input = fresh;
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const READABLE: Readiness = Readiness { readable: true, writable: false, ended: false };

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(ours).unwrap(), theirs)
    }

    #[test]
    fn input_comes_in_one_receive_and_the_rest_of_it_is_kept() {
        let (mut connection, mut peer) = pair();
        peer.write_all(b"one two thr").unwrap();
        assert_eq!(connection.receive(0).unwrap(), Received::All(11));
        assert!(!connection.is_readable());
        assert_eq!(connection.receive(0).unwrap(), Received::All(0), "nothing is asked of the kernel");
        let mut input = connection.take_input();
        let parsed = input.split_to(8);
        connection.put_back(input);
        peer.write_all(b"ee").unwrap();
        connection.on_ready(READABLE);
        assert_eq!(connection.receive(5).unwrap(), Received::All(2));
        assert_eq!((connection.received(), &connection.take_input()[..]), (5, &b"three"[..]));
        assert_eq!(&parsed[..], b"one two ");
        peer.write_all(b"bye").unwrap();
        drop(peer);
        connection.on_ready(Readiness { ended: true, ..READABLE });
        assert_eq!(connection.receive(0).unwrap(), Received::Some(3));
        assert_eq!(connection.receive(0).unwrap(), Received::End);
    }

    #[test]
    fn a_long_payload_becomes_contiguous_without_growing_bit_by_bit() {
        let (mut connection, peer) = pair();
        let payload: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let expected = payload.clone();
        let writer = std::thread::spawn(move || (&peer).write_all(&payload).map(|()| peer));
        assert!(matches!(connection.receive(0).unwrap(), Received::Some(_) | Received::All(_)));
        let start = connection.take_input();
        connection.put_back(start);
        connection.make_room(3_000_000);
        let place = connection.input.as_ptr();
        while connection.received() < 3_000_000 {
            connection.on_ready(READABLE);
            connection.receive(3_000_000).unwrap();
        }
        assert_eq!(connection.input.as_ptr(), place, "it was received where it stays");
        assert_eq!(connection.take_input(), expected);
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn output_is_sent_in_order_and_waits_where_the_peer_does() {
        let (mut connection, mut peer) = pair();
        let payload = Bytes::from(vec![7; 1 << 20]);
        let mut sent = Vec::new();
        for round in 0..600_u32 {
            connection.head().extend_from_slice(&round.to_le_bytes());
            connection.head().extend_from_slice(b"ok");
            sent.extend_from_slice(&[&round.to_le_bytes()[..], b"ok"].concat());
            if round % 200 == 0 {
                connection.push(payload.clone());
                sent.extend_from_slice(&payload);
            }
        }
        assert_eq!(connection.unsent(), sent.len());
        assert!(!connection.flush().unwrap(), "more than a socket holds");
        let mut came = Vec::new();
        let mut part = vec![0; 1 << 16];
        while came.len() < sent.len() {
            let count = peer.read(&mut part).unwrap();
            came.extend_from_slice(&part[..count]);
            connection.on_ready(Readiness { readable: false, writable: true, ended: false });
            connection.flush().unwrap();
        }
        assert_eq!(connection.unsent(), 0);
        assert_eq!(came, sent);
    }
}

//! Waiting for descriptors: epoll.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::shard::Seat;

/// Events taken from the kernel at once. More wait there for the next turn.
const BATCH: usize = 128;

/// Whose descriptor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The mailbox's bell.
    Bell,
    /// The disk backend's completions.
    Disk,
    /// Frames from a shard come in here.
    FramesIn(u32),
    /// Frames to a shard go out here.
    FramesOut(u32),
    /// A socket of a gateway, by the gateway's own number for it.
    Socket(Seat, u32),
}

/// What a descriptor is ready for. Told once, when it becomes so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read, or the end, or an error.
    pub readable: bool,
    /// There is room to write, or an error.
    pub writable: bool,
    /// The peer sends nothing more once what is there has been read, or the connection is broken.
    pub ended: bool,
}

/// An epoll instance. Descriptors leave it by being closed.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(BATCH) })
    }

    /// Tells when the descriptor has become readable or writable since it was last told (edges).
    pub(crate) fn watch(&self, descriptor: impl AsFd, token: Token) -> rustix::io::Result<()> {
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, descriptor, epoll::EventData::new_u64(token.pack()), flags)
    }

    /// Tells as long as the descriptor is readable.
    pub(crate) fn watch_level(&self, descriptor: impl AsFd, token: Token) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(token.pack());
        epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)
    }

    /// Waits for events, so long at most; `None` is for ever. Says how many there are to be
    /// [`Poller::found`].
    pub(crate) fn wait(&mut self, patience: Option<Duration>) -> usize {
        let patience = patience.map(|patience| {
            Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: i64::MAX / 1_000, tv_nsec: 0 })
        });
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => self.events.len(),
            Err(error) => panic!("epoll_wait on an epoll descriptor of ours: {error}"),
        }
    }

    /// One of the events that the last wait found.
    pub(crate) fn found(&self, index: usize) -> (Token, Readiness) {
        let event = self.events[index];
        let (flags, data) = (event.flags, event.data);
        let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
        let ended = broken || flags.contains(epoll::EventFlags::RDHUP);
        let readable = ended || flags.contains(epoll::EventFlags::IN);
        let writable = broken || flags.contains(epoll::EventFlags::OUT);
        (Token::unpack(data.u64()), Readiness { readable, writable, ended })
    }
}

const KIND_SHIFT: u32 = 61;

impl Token {
    /// Three bits say what it is. A seat has 29 bits, a gateway's number for a socket 32.
    fn pack(self) -> u64 {
        let (kind, high, low) = match self {
            Token::Bell => (0, 0, 0),
            Token::Disk => (1, 0, 0),
            Token::FramesIn(shard) => (2, 0, shard),
            Token::FramesOut(shard) => (3, 0, shard),
            Token::Socket(seat, socket) => (4, seat.0, socket),
        };
        assert!(high < 1 << 29, "a shard has few nodes");
        kind << KIND_SHIFT | u64::from(high) << 32 | u64::from(low)
    }

    fn unpack(packed: u64) -> Self {
        let low = packed as u32;
        match packed >> KIND_SHIFT {
            0 => Token::Bell,
            1 => Token::Disk,
            2 => Token::FramesIn(low),
            3 => Token::FramesOut(low),
            _ => Token::Socket(Seat((packed >> 32) as u32 & 0x1fff_ffff), low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_were() {
        let seat = Seat((1 << 29) - 1);
        let tokens = [Token::Bell, Token::Disk, Token::FramesIn(7), Token::FramesOut(u32::MAX)];
        for token in tokens.into_iter().chain([Token::Socket(seat, u32::MAX), Token::Socket(Seat(0), 0)]) {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}

//! Gateways: what speaks to guests, hosted on a shard beside the roles it speaks to.
//!
//! The way of a request: [`Gateway::ready`] tells that a socket is readable. [`Connection::receive`] takes all
//! that is there into one buffer; out of [`Connection::take_input`] come many requests, their payloads shared
//! and not copied; each goes on by [`Context::send`]. Answers come by [`Gateway::message`] and are queued on
//! their connections. At [`Gateway::turn_end`] every connection with something to say says it in one call.
//! Who has no permit for a payload leaves the rest in the connection and receives nothing until it has one.
//! `tests/gateway.rs` is a small gateway that does all of this.

mod connection;
mod listener;
pub(crate) mod outbox;

pub use connection::{Connection, RECEIVE_ROOM, Received};
pub use listener::Listener;

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use formats::Message;
use glossary::NodeId;
use step::{TimerId, Timestamp};

use crate::poller::{Readiness, Token};
use crate::shard::{Core, Seat};

/// A gateway's own number for a socket. Never use one twice: an event may still be under way when its socket
/// was closed, and must find nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

/// Speaks a protocol of guests on sockets, and messages with nodes. Unlike a role it may do what it likes with
/// its sockets, but never block: it runs on the shard's thread.
///
/// A turn of the shard: sockets and messages are told, roles on the shard answer within the same turn as far
/// as they can, then [`Gateway::turn_end`]: the moment to send all replies, each connection's in one call.
pub trait Gateway: Send {
    /// The gateway starts: the moment to watch listeners and set timers.
    ///
    /// # Errors
    /// When it can't. It is then halted.
    fn start(&mut self, context: &mut Context<'_>) -> io::Result<()>;

    /// A watched socket has become ready. Told once ([`Context::watch`]).
    fn ready(&mut self, socket: SocketId, readiness: Readiness, context: &mut Context<'_>);

    /// A message came. Like a role's, it may come late or twice.
    fn message(&mut self, from: NodeId, message: Message, context: &mut Context<'_>);

    /// The nodes that it speaks for where they are not here themselves: clients on its sockets, nodes of other
    /// processes. Asked once, before it starts. Ranges of different gateways don't overlap.
    fn speaks_for(&self) -> Vec<RangeInclusive<NodeId>> {
        Vec::new()
    }

    /// A node here sent a message to one that the gateway speaks for. It may drop it: messages may be lost.
    fn relay(&mut self, _from: NodeId, _to: NodeId, _message: Message, _context: &mut Context<'_>) {}

    /// A timer ran out.
    fn timer(&mut self, _timer: TimerId, _context: &mut Context<'_>) {}

    /// The turn is over: send what is to be sent. Comes once after every turn in which anything else came.
    fn turn_end(&mut self, context: &mut Context<'_>);

    /// An operator stops the gateway: take nothing new, answer what is in flight, then
    /// [`Context::finish`]. Without that it is dropped when the operator's patience ends.
    fn stop(&mut self, context: &mut Context<'_>) {
        context.finish();
    }
}

/// What a gateway may ask of its shard.
pub struct Context<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) seat: Seat,
    pub(crate) node: NodeId,
    pub(crate) finished: bool,
}

impl Context<'_> {
    /// The gateway's own id.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The time of this turn.
    pub fn now(&self) -> Timestamp {
        self.core.now
    }

    /// Sends a message. It may never arrive.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.core.send(self.node, to, message);
    }

    /// Sends a message of a node that the gateway speaks for.
    pub fn send_from(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.core.send(from, to, message);
    }

    /// Tells by [`Gateway::ready`] when the socket becomes readable or writable: once each time it does, not
    /// as long as it is. What is ready already is told in the next turn. Ends when the socket is closed.
    ///
    /// # Errors
    /// When the kernel has no room for it.
    pub fn watch(&mut self, socket: impl AsFd, id: SocketId) -> io::Result<()> {
        Ok(self.core.poller.watch(socket, Token::Socket(self.seat, id.0))?)
    }

    /// Calls [`Gateway::ready`] (readable) in the next turn: for a socket that has more, when others should
    /// have their turn first.
    pub fn again(&mut self, id: SocketId) {
        self.core.again.push((self.seat, id));
    }

    /// Sets a timer, or moves it.
    pub fn set_timer(&mut self, timer: TimerId, after: Duration) {
        let at = self.core.now.after(after);
        self.core.timers.set(self.seat, timer, at);
    }

    /// Clears a timer; one that isn't set stays so.
    pub fn clear_timer(&mut self, timer: TimerId) {
        self.core.timers.clear(self.seat, timer);
    }

    /// A seed from the operating system, for identities that must be fresh.
    pub fn seed(&mut self) -> [u8; 32] {
        crate::shard::seed()
    }

    /// Nothing is in flight any more: the gateway may be dropped. Its sockets close with it.
    pub fn finish(&mut self) {
        self.finished = true;
    }
}

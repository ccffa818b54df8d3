//! What an operator can choose about a gateway.

use std::time::Duration;

use glossary::{ByteCount, NodeId};

use crate::client::UNSENT_MAX;
use crate::permits::{ANSWER_COST, cost_of_read, cost_of_write};

/// How a gateway treats its guests. Settings arrive as a whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The Edge that it asks.
    pub edge: NodeId,
    /// Bytes of requests and answers that may be in memory at once, over all connections (P9).
    pub memory_bytes_max: u64,
    /// Connections at once; one more is closed at once.
    pub connections_max: usize,
    /// Requests of one connection that may be under way; more wait in the socket.
    pub in_flight_max: usize,
    /// How long a client may take from connecting to being attached.
    pub handshake_max: Duration,
    /// How long a client may neither send the rest of a payload nor take its answers while others wait for
    /// the memory that this holds.
    pub stall_max: Duration,
    /// Limits of the protocol.
    pub nbd: nbd::Settings,
}

impl Settings {
    /// Settings as shipped.
    pub fn new(edge: NodeId) -> Self {
        Settings {
            edge,
            memory_bytes_max: 256 << 20,
            connections_max: 256,
            in_flight_max: 256,
            handshake_max: Duration::from_secs(30),
            stall_max: Duration::from_secs(30),
            nbd: nbd::Settings::DEFAULT,
        }
    }

    /// The most memory that this gateway takes, whatever clients do and however slow the backend is: what
    /// permits allow, and for each connection its receive buffer, answers without data, and the requests
    /// that it has under way.
    pub fn memory_bound(&self) -> ByteCount {
        let connection = io::RECEIVE_ROOM + UNSENT_MAX + self.in_flight_max * ANSWER_COST as usize;
        ByteCount(self.memory_bytes_max + (self.connections_max * connection) as u64)
    }

    /// Panics when the limits contradict each other, which is the programmer's mistake.
    pub(crate) fn assert_valid(&self) {
        let longest = self.nbd.payload_bytes_max;
        let needed = cost_of_write(longest, u64::MAX).max(cost_of_read(longest));
        assert!(needed <= self.memory_bytes_max, "the longest request must fit into the gateway's memory");
        assert!(self.connections_max > 0 && self.in_flight_max > 0, "a guest must be able to ask");
    }
}

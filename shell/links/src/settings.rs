//! What the links are told, and their bounds.

use std::time::Duration;

use formats::hello::{Hello, Offers};
use glossary::{ClusterIdentity, NodeId, ServerId};

/// Who this process is, and how much it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The cluster.
    pub cluster: ClusterIdentity,
    /// This server.
    pub server: ServerId,
    /// Its KV: the only node that clients may speak to.
    pub kv: NodeId,
    /// Whether it runs a KV. One that does not says so to who asks it.
    pub runs_kv: bool,
    /// How much is taken at once.
    pub bounds: Bounds,
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections, those that have not said who they are included.
    pub connections_max: usize,
    /// Connections that have not said who they are. Beyond it the oldest of them goes, so that those who never say it
    /// keep nobody out for longer than it takes to say it.
    pub strangers_max: usize,
    /// How long a connection may take until it has said who it is.
    pub hello_max: Duration,
    /// Requests of a connection that are not answered.
    pub in_flight_max: usize,
    /// Bytes on their way to a peer, beyond which nothing more is read from it.
    pub unsent_max: usize,
    /// Bytes on their way to a peer, beyond which answers to it are dropped: it asks again.
    pub unsent_hard_max: usize,
    /// Bytes of requests that are being received or answered, over all connections.
    pub requests_bytes_max: usize,
    /// How long a connection may hold room for a long request without a byte of it coming.
    pub stall_max: Duration,
    /// After how long a request counts as one that is never answered.
    pub answer_max: Duration,
    /// The longest frame, in bytes.
    pub frame_bytes_max: usize,
    /// The longest payload of a frame, in bytes, from servers that may send frames with one.
    pub payload_bytes_max: usize,
    /// Bytes that wait for one other server, beyond which messages to it are lost.
    pub link_bytes_max: usize,
    /// How long to wait before a server is dialled again that could not be reached: at first, and at most. It doubles,
    /// and is varied by half, so that servers don't dial in step.
    pub redial: (Duration, Duration),
    /// After how long without a sign of life a TCP connection is taken for dead.
    pub dead_after: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connections_max: 4096,
            // All clients of a leader that is gone come to its successor at once.
            strangers_max: 1024,
            hello_max: Duration::from_secs(5),
            in_flight_max: 64,
            unsent_max: 1 << 20,
            unsent_hard_max: 32 << 20,
            requests_bytes_max: 256 << 20,
            stall_max: Duration::from_secs(20),
            answer_max: Duration::from_secs(60),
            // The longest body of a message, and what is around it.
            frame_bytes_max: formats::frame::MAX_BODY as usize + formats::frame::HEADER_BYTES,
            // Twice what an ASD reads or takes at once.
            payload_bytes_max: 32 << 20,
            link_bytes_max: 64 << 20,
            redial: (Duration::from_millis(50), Duration::from_secs(2)),
            dead_after: Duration::from_secs(15),
        }
    }
}

impl Settings {
    /// Usual settings of a server.
    pub fn new(cluster: ClusterIdentity, server: ServerId) -> Self {
        Settings { cluster, server, kv: NodeId::kv_of(server), runs_kv: true, bounds: Bounds::default() }
    }

    /// What this process says first.
    pub(crate) fn hello(&self) -> Hello {
        let offers = if self.runs_kv { Offers::KV } else { Offers::default() };
        Hello::new(Some(self.cluster), Some(self.server), offers)
    }
}

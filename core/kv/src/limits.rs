//! What the KV takes, and how much of it (P9). What a request may have, its client knows as well: [`formats::kv_limits`].

pub use formats::kv_limits::*;

/// The most bytes of requests that wait. Who comes beyond is told "not now".
pub const MAX_QUEUE_BYTES: usize = 64 << 20;

/// The most requests that wait.
pub const MAX_QUEUE_REQUESTS: usize = 16_384;

/// A batch takes no further request once it has so many bytes. With a last command at its own bound it stays
/// far below what a journal's batch may have.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// The most requests in a batch.
pub const MAX_BATCH_REQUESTS: usize = 4096;

/// An entry of the group's log takes no further command once it has so many bytes.
pub const MAX_PROPOSAL_BYTES: usize = 1 << 20;

/// A group of several has at most so many entries of its leader's, and rounds of questions, under way.
pub const MAX_UNDER_WAY: usize = 8;

/// The most sessions that are remembered. One is begun by each start of an asker.
pub const MAX_SESSIONS: usize = 4096;

/// So many of them clients leave to servers.
pub const RESERVED_SESSIONS: usize = 512;

/// The most forgotten sessions that are known as such, at 8 bytes each.
pub const MAX_FORGOTTEN: usize = 65_536;

/// The most answers that are kept for one session.
pub const MAX_SESSION_ANSWERS: usize = 1024;

/// The most bytes of answers that are kept for one session; the last answer is kept whatever its size.
pub const MAX_SESSION_BYTES: usize = 16 << 20;

/// The most bytes of answers that are kept for all sessions.
pub const MAX_ALL_BYTES: usize = 128 << 20;

/// The most questions that wait for what will be applied.
pub const MAX_WAITING: usize = 1024;

/// The most of them that one asker has.
pub const MAX_WAITING_OF_ONE: usize = 128;

/// The most bytes of them.
pub const MAX_WAITING_BYTES: usize = 16 << 20;

/// The most changes that are remembered for those who watch.
pub const MAX_RECENT_CHANGES: usize = 65_536;

/// The most bytes of their keys.
pub const MAX_RECENT_BYTES: usize = 8 << 20;

/// The most keys that one question counts: the others ask meanwhile.
pub const MAX_COUNTED_KEYS: u64 = 100_000;

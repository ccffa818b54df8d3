//! How a member of the KV's group stands: what it has, and what its disk can take. A leader and its members tell each other
//! now and then, so that members that came to differ are noticed, and leadership goes to none whose disk is full.

use consensus::LogIndex;
use serde::{Deserialize, Serialize};

/// What a member had when it had applied an entry, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How the hash is made. Only those that are made alike can be compared.
    pub scheme: u16,
    /// The entry that was applied last.
    pub index: LogIndex,
    /// Hash of pairs and sessions.
    pub hash: u64,
}

/// What the disk of a member can take, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskRoom {
    /// Nothing: its log waits for room.
    Nothing,
    /// Commands that only remove.
    Removals,
    /// Whatever comes, as far as is known.
    #[default]
    Enough,
}

/// What a member tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it has now.
    pub fingerprint: Fingerprint,
    /// What its disk can take.
    pub room: DiskRoom,
}

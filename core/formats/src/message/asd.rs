//! Objects client and ASD: a conditional, atomic key/value store on one disk.

use alloc::vec::Vec;
use glossary::OsdIdentity;
use serde::{Deserialize, Serialize};

use super::carries_payload;
use crate::Payload;

/// A request to an ASD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsdRequest {
    /// The asker's number for it.
    pub request: u64,
    /// Whom it is meant for: another ASD refuses (row 120).
    pub osd: OsdIdentity,
    /// What.
    pub body: AsdBody,
}

/// A key of an ASD: 1 to 255 bytes.
pub type AsdKey = Vec<u8>;

/// What a write is for, and with it how far it may fill the disk (PROTOCOLS F12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// A guest's data: up to 90 %.
    Guest,
    /// Scrub, repair, rewrite: up to 95 %.
    Maintenance,
    /// What frees space or changes ownership: up to 99 %.
    Freeing,
}

/// What can be asked of an ASD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsdBody {
    /// All of it or none, and durable once answered. Idempotent: the same puts and deletes may come twice.
    Apply {
        /// What it is for.
        purpose: Purpose,
        /// What must hold.
        asserts: Vec<AsdAssert>,
        /// What to change. A key is never put with two contents (F4).
        updates: Vec<AsdUpdate>,
        /// The values of the puts, one after another.
        #[serde(skip)]
        payload: Payload,
    },
    /// Some blocks of a fragment container, each with its entry of the block table: one round trip.
    ReadBlocks {
        /// The fragment.
        key: AsdKey,
        /// The first block.
        first: u32,
        /// How many.
        count: u32,
    },
    /// A whole value.
    Get {
        /// Its key.
        key: AsdKey,
    },
    /// Keys in order, from `from` on, of those that start with `prefix`.
    List {
        /// What they start with.
        prefix: AsdKey,
        /// The first that may be listed.
        from: AsdKey,
        /// How many at most; the ASD has a bound of its own.
        limit: u32,
    },
}

carries_payload!(AsdBody: AsdBody::Apply { payload, .. } => payload);

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsdAssert {
    /// The key is there.
    Present(AsdKey),
    /// The key is not there.
    Absent(AsdKey),
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsdUpdate {
    /// Stores a value: the next `length` bytes of the payload.
    Put {
        /// Its key.
        key: AsdKey,
        /// Its length in bytes.
        length: u32,
    },
    /// Removes a key; one that isn't there is as good as removed.
    Delete {
        /// The key.
        key: AsdKey,
    },
}

/// The answer of an ASD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsdReply {
    /// The asker's number for the request.
    pub request: u64,
    /// What.
    pub body: AsdAnswer,
}

/// What an ASD can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsdAnswer {
    /// On stable storage, and after a restart still there.
    Applied,
    /// Blocks, as stored, in order; the table says how long each is and how it is checked.
    Blocks {
        /// The entries of the container's block table for these blocks, as stored.
        table: Vec<u8>,
        /// The stored bytes of the blocks.
        #[serde(skip)]
        payload: Payload,
    },
    /// A value, as stored.
    Value(#[serde(skip)] Payload),
    /// Keys.
    Keys {
        /// In order.
        keys: Vec<AsdKey>,
        /// Whether there are more.
        more: bool,
    },
    /// Not done.
    Failed(AsdError),
}

carries_payload!(AsdAnswer: AsdAnswer::Blocks { payload, .. } => payload, AsdAnswer::Value(payload) => payload);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsdError {
    /// No such key.
    NotFound,
    /// An assert doesn't hold.
    Assert(AsdKey),
    /// No room for this purpose.
    Full,
    /// What is stored doesn't check.
    Damaged,
    /// Meant for another ASD.
    WrongOsd(OsdIdentity),
    /// The disk failed or the ASD is starting; ask again later, or elsewhere.
    Unavailable,
    /// The request breaks a bound: key, value or batch too large, block numbers beyond the container.
    Invalid,
    /// It found at its start that it can't serve: its log is damaged, or its disk failed. It stays so until an
    /// operator acts.
    Stopped,
}

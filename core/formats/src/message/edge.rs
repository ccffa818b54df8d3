//! Edge and volume driver: the conversation of a session (PROTOCOLS E1, E2).

use alloc::string::String;
use alloc::vec::Vec;
use glossary::{ByteCount, ClientId, Generation, SessionId, VdiskId, VdiskName};
use serde::{Deserialize, Serialize};

use super::carries_payload;
use crate::Payload;

/// A request of an Edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeRequest {
    /// The session it belongs to; drawn anew for each.
    pub session: SessionId,
    /// The Edge's number for it. A request that is sent again keeps it.
    pub request: u64,
    /// What.
    pub body: EdgeBody,
}

/// What an Edge can ask. Changes carry a number of their own, without gaps within a client, and are applied
/// in the order of these numbers (L2): one that came early waits for its predecessors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeBody {
    /// Which vDisks there are. Needs no session.
    List,
    /// Opens a session, and ends the client's older one first: what that one still had in the queue never
    /// happens (E2).
    Open(Opening),
    /// Reads; any alignment.
    Read {
        /// From here, in bytes.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// Writes; any alignment.
    Write {
        /// The number of this change.
        change: u64,
        /// From here, in bytes.
        offset: u64,
        /// Answer only when it is stable.
        fua: bool,
        /// The data.
        #[serde(skip)]
        payload: Payload,
    },
    /// Lets go of a range: it reads as zeros afterwards.
    Discard {
        /// The number of this change.
        change: u64,
        /// From here, in bytes.
        offset: u64,
        /// So many bytes.
        length: u64,
        /// Answer only when it is stable.
        fua: bool,
    },
    /// Makes every change acknowledged before stable (P2).
    Flush,
    /// Which parts of a range hold data.
    Extents {
        /// From here, in bytes.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// Ends the session.
    Close,
}

/// What it takes to open a session. Only who knows the client's newest session so far can open the next: an
/// opening of a former life that comes late finds another one, and does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The vDisk, by name.
    pub name: VdiskName,
    /// The client (E4).
    pub client: ClientId,
    /// The client's newest session in that generation, as far as the asker knows; 0 for none.
    pub newest: SessionId,
    /// The number of the first change that will come in this session: the oldest that is not stable.
    /// 0 from who attaches, and goes on after the number that the answer names.
    pub first_change: u64,
    /// The highest generation that the asker has an answer of (O6).
    pub generation: Generation,
}

carries_payload!(EdgeBody: EdgeBody::Write { payload, .. } => payload);

/// The answer of a volume driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReply {
    /// The session.
    pub session: SessionId,
    /// The Edge's number for the request.
    pub request: u64,
    /// The owner's generation. An Edge takes no answer of a lower one than it has seen (O6).
    pub generation: Generation,
    /// Every change of this client up to this number is stable: the Edge may forget them (E1).
    pub stable: u64,
    /// What.
    pub body: EdgeAnswer,
}

/// What an Edge can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeAnswer {
    /// All vDisks, ordered by name.
    Vdisks(Vec<(VdiskName, ByteCount)>),
    /// The session is open.
    Opened {
        /// The vDisk.
        vdisk: VdiskId,
        /// Its size.
        size: ByteCount,
        /// Every change of this client up to this number was in the log when the session was opened.
        applied: u64,
    },
    /// What was read: the whole clusters that contain the range, so that their checksums prove them to the
    /// Edge, which cuts them to the range.
    Data(#[serde(skip)] Payload),
    /// Runs in order: how many bytes, and whether they hold data.
    Extents(Vec<(u64, bool)>),
    /// Done.
    Done,
    /// Not done.
    Failed(EdgeError),
}

carries_payload!(EdgeAnswer: EdgeAnswer::Data(payload) => payload);

/// Why an Edge's request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeError {
    /// No vDisk of that name.
    NotFound,
    /// The session is not open here: open one (again), then send what is not stable.
    NoSession,
    /// Nothing was opened: the client's newest session is this one (0: none), or the owner's generation is
    /// another than the opening named. Who is still entitled to asks again, naming both (E2).
    NotNewest {
        /// The newest session.
        newest: SessionId,
    },
    /// Beyond the end of the vDisk.
    OutOfBounds,
    /// No room for a write.
    NoSpace,
    /// Not possible, and why.
    Io(String),
}

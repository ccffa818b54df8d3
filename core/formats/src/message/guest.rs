//! Gateway and Edge: what a guest asks of its block devices.

use alloc::string::String;
use alloc::vec::Vec;
use glossary::{ByteCount, VdiskId, VdiskName};
use serde::{Deserialize, Serialize};

use super::carries_payload;
use crate::Payload;

/// A request of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRequest {
    /// The gateway's number for it.
    pub request: u64,
    /// What.
    pub body: GuestBody,
}

/// What a guest can ask. Offsets and lengths are in bytes and lie within the vDisk; any alignment will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestBody {
    /// Which vDisks there are. Answered with [`GuestAnswer::Vdisks`].
    List,
    /// Attaches to a vDisk by name. Answered with [`GuestAnswer::Attached`].
    Attach {
        /// Its name.
        name: VdiskName,
    },
    /// Reads. Answered with [`GuestAnswer::Data`].
    Read {
        /// The vDisk.
        vdisk: VdiskId,
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// Writes. Answered with [`GuestAnswer::Done`].
    Write {
        /// The vDisk.
        vdisk: VdiskId,
        /// From here.
        offset: u64,
        /// Answer only when it is stable.
        fua: bool,
        /// The data. Its checksums were computed where it came off the wire or out of guest memory.
        #[serde(skip)]
        payload: Payload,
    },
    /// Lets go of a range: it reads as zeros afterwards. Answered with [`GuestAnswer::Done`].
    Discard {
        /// The vDisk.
        vdisk: VdiskId,
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
        /// Answer only when it is stable.
        fua: bool,
    },
    /// Makes every write acknowledged before stable (P2). Answered with [`GuestAnswer::Done`].
    Flush {
        /// The vDisk.
        vdisk: VdiskId,
    },
    /// Which parts of a range hold data. Answered with [`GuestAnswer::Extents`].
    Extents {
        /// The vDisk.
        vdisk: VdiskId,
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
}

carries_payload!(GuestBody: GuestBody::Write { payload, .. } => payload);

/// The answer to a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestReply {
    /// The gateway's number for the request.
    pub request: u64,
    /// What.
    pub body: GuestAnswer,
}

/// What a guest can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestAnswer {
    /// All vDisks, ordered by name.
    Vdisks(Vec<(VdiskName, ByteCount)>),
    /// Attached.
    Attached {
        /// The vDisk.
        vdisk: VdiskId,
        /// Its size now.
        size: ByteCount,
    },
    /// What was read: exactly the range, checked by the Edge.
    Data(#[serde(skip)] Payload),
    /// Runs in order: how many bytes, and whether they hold data. They cover the range, or its start when
    /// there are too many to list.
    Extents(Vec<(u64, bool)>),
    /// Done.
    Done,
    /// Not done.
    Failed(GuestError),
}

carries_payload!(GuestAnswer: GuestAnswer::Data(payload) => payload);

/// Why a guest's request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestError {
    /// No vDisk of that name.
    NotFound,
    /// Beyond the end of the vDisk.
    OutOfBounds,
    /// No room for a write.
    NoSpace,
    /// What was written can't be read, or can't be made stable; the text says why.
    Io(String),
}

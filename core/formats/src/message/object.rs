//! Volume driver and objects client: whole objects in, any part out.

use alloc::vec::Vec;
use glossary::{Generation, NamespaceId, ObjectId};
use serde::{Deserialize, Serialize};

use super::carries_payload;
use crate::Payload;
use crate::namespace::{HeadChange, ObjectName};

/// A request to the objects client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRequest {
    /// The asker's number for it.
    pub request: u64,
    /// The namespace.
    pub namespace: NamespaceId,
    /// What.
    pub body: ObjectBody,
}

/// What can be asked of the objects client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectBody {
    /// Stores an object that isn't there yet, and publishes it by one conditional sequence.
    /// Sent again with the same content when no answer came: an object that is there by then counts as
    /// stored when its content has the same checksum.
    Put {
        /// The owner's generation: the fence (P4).
        generation: Generation,
        /// Its name.
        name: ObjectName,
        /// Objects that must be there (L6: the SCOs that a TLog names).
        present: Vec<ObjectName>,
        /// For a TLog: the head of the chain that it follows, and the one it becomes.
        head: Option<HeadChange>,
        /// The data: whole clusters.
        #[serde(skip)]
        payload: Payload,
    },
    /// Reads whole clusters of an object.
    Get {
        /// Its name.
        name: ObjectName,
        /// From here, in bytes; a multiple of 4 KiB.
        offset: u64,
        /// So many bytes; a multiple of 4 KiB.
        length: u64,
    },
    /// Deletes objects; those that aren't there are as good as deleted.
    Delete {
        /// The owner's generation: the fence.
        generation: Generation,
        /// Their names.
        names: Vec<ObjectName>,
    },
    /// Removes what OSDs still hold of a namespace that the namespace manager has dropped.
    Sweep,
    /// How well stored an object is now, counted from fragments on OSDs that answer (L8).
    Redundancy {
        /// Its name.
        name: ObjectName,
    },
    /// Which parts of an object are lost with OSDs that are gone.
    LostParts {
        /// Its name.
        name: ObjectName,
    },
}

carries_payload!(ObjectBody: ObjectBody::Put { payload, .. } => payload);

/// The answer of the objects client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReply {
    /// The asker's number for the request.
    pub request: u64,
    /// What.
    pub body: ObjectAnswer,
}

/// What the objects client can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectAnswer {
    /// Stored and published.
    Stored {
        /// Its id.
        object: ObjectId,
        /// How many more disks may be lost before it can't be read, over its weakest chunk (L8).
        spare: u8,
    },
    /// What was read, checked against its checksums.
    Data(#[serde(skip)] Payload),
    /// How many more disks may be lost before it can't be read.
    Redundancy {
        /// The weakest chunk's.
        spare: u8,
    },
    /// Done.
    Done,
    /// Not done.
    Failed(ObjectError),
    /// Parts that can't be read before an operator acts: from and length, in bytes, in order.
    LostParts(Vec<(u64, u64)>),
}

carries_payload!(ObjectAnswer: ObjectAnswer::Data(payload) => payload);

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectError {
    /// No such object or namespace.
    NotFound,
    /// The owner's generation is over: somebody else owns the volume. Final.
    Fenced,
    /// A condition of the sequence doesn't hold: an object that must be there isn't, or the chain's head
    /// is another, or the name is taken by other content.
    Condition,
    /// Not now: too few OSDs answer, or the KV doesn't. Ask again later.
    Unavailable,
    /// Not now: too few OSDs have room.
    Full,
    /// More fragments are lost or damaged than the parity makes up for.
    Lost,
}

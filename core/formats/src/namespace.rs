//! The namespace manager's commands and values: objects, their manifests, and the head of the TLog chain.
//!
//! Keys in the map: `n/<namespace, 8 bytes big-endian>` is the [`NamespaceRecord`],
//! `o/<namespace, 8 bytes big-endian>/<object name, 9 bytes>` a manifest. Big-endian, so that they sort.

use alloc::vec::Vec;
use glossary::{Generation, NamespaceId, ObjectId, Policy, ScoId, TlogId};
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;

/// The name of an object in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectName {
    /// A SCO.
    Sco(ScoId),
    /// A translation log.
    Tlog(TlogId),
}

/// The head of a chain of TLogs: the last one published (PROTOCOLS L6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its id.
    pub tlog: TlogId,
    /// Its checksum: that of its object's bytes.
    pub checksum: u32,
}

/// A TLog takes its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadChange {
    /// The head that must be there; none before the first.
    pub from: Option<ChainHead>,
    /// The new head.
    pub to: ChainHead,
}

/// What the map holds of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// The generation of the owner: nothing of a lower one changes anything here (the fence).
    pub generation: Generation,
    /// Its policies, tried in order.
    pub policies: Vec<Policy>,
    /// The head of the chain.
    pub head: Option<ChainHead>,
    /// The epoch that uploads are tagged with (F6), from 1.
    pub gc_epoch: u64,
    /// Dropped: its objects are gone from the map, its fragments may still be on OSDs.
    pub dropped: bool,
}

/// A command of the namespace manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceCommand {
    /// Creates a namespace; one that is there with the same policies stays as it is.
    Create {
        /// Its id, never used before.
        namespace: NamespaceId,
        /// Its policies.
        policies: Vec<Policy>,
    },
    /// Raises the generation: whoever had a lower one is fenced from here on (O3).
    Raise {
        /// The namespace.
        namespace: NamespaceId,
        /// The new generation; a lower one than recorded is refused as fenced.
        generation: Generation,
    },
    /// Asserts and updates, all or none (row 110).
    Sequence {
        /// The namespace.
        namespace: NamespaceId,
        /// The owner's generation: must be the recorded one. `None` for changes that leave every reading
        /// as it is: late fragments and repair.
        generation: Option<Generation>,
        /// What must hold.
        asserts: Vec<NamespaceAssert>,
        /// What to change.
        updates: Vec<NamespaceUpdate>,
    },
    /// Drops a namespace with all its manifests; its record stays, marked, until it is forgotten.
    Drop {
        /// The namespace.
        namespace: NamespaceId,
        /// The owner's generation.
        generation: Generation,
    },
    /// Forgets a dropped namespace, when no OSD holds anything of it.
    Forget {
        /// The namespace.
        namespace: NamespaceId,
    },
    /// Ends an epoch (F6): what is tagged with it is published no more. One that has ended stays so.
    EndEpoch {
        /// The namespace.
        namespace: NamespaceId,
        /// The epoch.
        epoch: u64,
    },
}

/// A condition of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceAssert {
    /// The object is there.
    Present(ObjectName),
    /// The object is not there.
    Absent(ObjectName),
    /// The object is there under this id and revision (F5).
    Revision {
        /// Its name.
        name: ObjectName,
        /// Its id.
        object: ObjectId,
        /// The revision of its manifest.
        revision: u64,
    },
    /// The head of the chain.
    Head(Option<ChainHead>),
    /// The epoch has not ended (F6).
    Epoch(u64),
}

/// A change of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceUpdate {
    /// Puts a manifest.
    Put {
        /// The object's name.
        name: ObjectName,
        /// Its manifest.
        manifest: Manifest,
    },
    /// Deletes a manifest; one that isn't there is as good as deleted.
    Delete(ObjectName),
    /// Sets the head of the chain.
    Head(ChainHead),
}

/// What the namespace manager answers to a command it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceDone {
    /// Done. The manifests that the sequence deleted: their fragments are garbage now.
    Done {
        /// In the order of the updates.
        deleted: Vec<Manifest>,
    },
}

/// Why the namespace manager refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceError {
    /// No such namespace, or dropped.
    NoNamespace,
    /// There is one of that id with other policies.
    Exists,
    /// The generation is another now.
    Fenced {
        /// The one recorded.
        generation: Generation,
    },
    /// An assert doesn't hold.
    Assert {
        /// Which, from 0.
        index: u32,
    },
    /// The command doesn't decode, or breaks a bound.
    Malformed,
}

/// A question to the namespace manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceQuery {
    /// The namespace's record.
    Record {
        /// The namespace.
        namespace: NamespaceId,
    },
    /// A manifest.
    Manifest {
        /// The namespace.
        namespace: NamespaceId,
        /// The object's name.
        name: ObjectName,
    },
    /// Objects in order of their names.
    List {
        /// The namespace.
        namespace: NamespaceId,
        /// Those after this one; `None`: from the start.
        after: Option<ObjectName>,
        /// How many at most; the manager has a bound of its own.
        limit: u32,
    },
}

/// What the namespace manager answers to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceAnswer {
    /// The record; none where there is no such namespace.
    Record(Option<NamespaceRecord>),
    /// The manifest; none where there is no such object.
    Manifest(Option<Manifest>),
    /// Names, ids and sizes in bytes.
    List {
        /// In order.
        objects: Vec<(ObjectName, ObjectId, u64)>,
        /// Whether there are more.
        more: bool,
    },
    /// The question doesn't decode.
    Malformed,
}

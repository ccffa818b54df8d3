//! What an upload is to make visible, and the sequence that does so.

use alloc::vec::Vec;
use formats::fragment::fragment_key;
use formats::manifest::Manifest;
use formats::message::asd::AsdKey;
use formats::namespace::{HeadChange, NamespaceAssert, NamespaceCommand, NamespaceUpdate, ObjectName};
use glossary::{AttemptId, FragmentId, Generation, NamespaceId, ObjectId};

use crate::manifests::FullName;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) namespace: NamespaceId,
    pub(crate) generation: Generation,
    pub(crate) name: ObjectName,
    pub(crate) present: Vec<ObjectName>,
    pub(crate) head: Option<HeadChange>,
    /// Clusters of the object.
    pub(crate) clusters: u64,
    /// CRC-32C of the object's bytes.
    pub(crate) checksum: u32,
}

impl Wanted {
    pub(crate) fn full_name(&self) -> FullName {
        (self.namespace, self.name)
    }

    /// The key of a fragment of the object.
    pub(crate) fn key(&self, object: ObjectId, chunk: u16, index: u8, attempt: AttemptId) -> AsdKey {
        fragment_key(self.namespace, &FragmentId { object, chunk, index, attempt })
    }

    /// What must hold (L6, F6). The last is the epoch.
    pub(crate) fn asserts(&self, gc_epoch: u64) -> Vec<NamespaceAssert> {
        let mut asserts = alloc::vec![NamespaceAssert::Absent(self.name)];
        asserts.extend(self.present.iter().map(|name| NamespaceAssert::Present(*name)));
        asserts.extend(self.head.map(|head| NamespaceAssert::Head(head.from)));
        asserts.push(NamespaceAssert::Epoch(gc_epoch));
        asserts
    }

    pub(crate) fn sequence(&self, manifest: &Manifest) -> NamespaceCommand {
        let put = NamespaceUpdate::Put { name: self.name, manifest: manifest.clone() };
        let mut updates = alloc::vec![put];
        updates.extend(self.head.map(|head| NamespaceUpdate::Head(head.to)));
        NamespaceCommand::Sequence {
            namespace: self.namespace,
            generation: Some(self.generation),
            asserts: self.asserts(manifest.gc_epoch),
            updates,
        }
    }
}

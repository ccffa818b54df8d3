//! Sequences: asserts and updates, all or none (row 110). Everything is looked at before anything changes.
//!
//! Beside its own asserts a sequence must obey: what it replaces it names by id and revision (F5); a new head
//! names the one before, and its TLog is there (L6); a name is changed once; and without a generation nothing
//! may read differently afterwards. A sequence that breaks a rule is malformed even when its asserts hold.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use formats::manifest::Manifest;
use formats::namespace::{
    ChainHead, NamespaceAssert, NamespaceError, NamespaceRecord, NamespaceUpdate, ObjectName,
};
use formats::registry::encode;
use glossary::{Generation, NamespaceId, Policy, ScoId};
use step::OrderedMap;

use crate::keys::{manifest_key, record_key};
use crate::{live, manifest};

/// The most chunks of an object: their numbers have 16 bits.
const MAX_CHUNKS: usize = 1 << 16;

/// What a sequence is checked against.
struct Check<'a> {
    map: &'a dyn OrderedMap,
    namespace: NamespaceId,
    record: &'a NamespaceRecord,
    asserts: &'a [NamespaceAssert],
    updates: &'a [NamespaceUpdate],
    /// The owner asks, not somebody whose changes must not show.
    owned: bool,
}

/// Runs a sequence: the manifests that it deleted, in the order of its updates.
pub(crate) fn run(
    map: &mut dyn OrderedMap,
    namespace: NamespaceId,
    generation: Option<Generation>,
    asserts: &[NamespaceAssert],
    updates: Vec<NamespaceUpdate>,
) -> Result<Vec<Manifest>, NamespaceError> {
    let mut record = live(map, namespace)?;
    if generation.is_some_and(|generation| generation != record.generation) {
        return Err(NamespaceError::Fenced { generation: record.generation });
    }
    let owned = generation.is_some();
    Check { map, namespace, record: &record, asserts, updates: &updates, owned }.all()?;
    let mut deleted = Vec::new();
    for update in updates {
        match update {
            NamespaceUpdate::Put { name, manifest } => {
                map.set(&manifest_key(namespace, name), encode(&manifest));
            }
            NamespaceUpdate::Delete(name) => {
                deleted.extend(manifest(map, namespace, name));
                map.delete(&manifest_key(namespace, name));
            }
            NamespaceUpdate::Head(head) => {
                record.head = Some(head);
                map.set(&record_key(namespace), encode(&record));
            }
        }
    }
    Ok(deleted)
}

impl Check<'_> {
    fn all(&self) -> Result<(), NamespaceError> {
        for (assert, index) in self.asserts.iter().zip(0..) {
            if !self.holds(assert) {
                return Err(NamespaceError::Assert { index });
            }
        }
        let mut names = BTreeSet::new();
        let mut heads = 0;
        for update in self.updates {
            let sound = match update {
                NamespaceUpdate::Put { name, manifest } => {
                    names.insert(*name)
                        && is_name(*name)
                        && is_sane(manifest)
                        && self.may_put(*name, manifest)
                }
                NamespaceUpdate::Delete(name) => names.insert(*name) && is_name(*name) && self.owned,
                NamespaceUpdate::Head(head) => {
                    heads += 1;
                    heads == 1 && self.owned && self.may_be_head(*head)
                }
            };
            if !sound {
                return Err(NamespaceError::Malformed);
            }
        }
        Ok(())
    }

    fn holds(&self, assert: &NamespaceAssert) -> bool {
        match assert {
            NamespaceAssert::Present(name) => self.found(*name).is_some(),
            NamespaceAssert::Absent(name) => self.found(*name).is_none(),
            NamespaceAssert::Revision { name, object, revision } => {
                self.found(*name).is_some_and(|it| (it.object, it.revision) == (*object, *revision))
            }
            NamespaceAssert::Head(head) => self.record.head == *head,
            NamespaceAssert::Epoch(epoch) => self.record.gc_epoch == *epoch,
        }
    }

    fn found(&self, name: ObjectName) -> Option<Manifest> {
        manifest(self.map, self.namespace, name)
    }

    /// Whether a manifest may stand under a name: it is a new object, or it replaces what it knows (F5).
    fn may_put(&self, name: ObjectName, new: &Manifest) -> bool {
        let Some(old) = self.found(name) else { return self.owned };
        let known = NamespaceAssert::Revision { name, object: old.object, revision: old.revision };
        let same_object = old.object == new.object;
        let same_reading = same_object && without_places(&old) == without_places(new);
        self.asserts.contains(&known)
            && (!same_object || (same_reading && new.revision > old.revision))
            && (self.owned || same_reading)
    }

    /// Whether a TLog may become the head: who says so knows the head before, and the TLog is there (L6).
    fn may_be_head(&self, head: ChainHead) -> bool {
        let name = ObjectName::Tlog(head.tlog);
        let put = |update: &NamespaceUpdate| matches!(update, NamespaceUpdate::Put { name: put, .. } if *put == name);
        let deleted = self.updates.contains(&NamespaceUpdate::Delete(name));
        let there = self.updates.iter().any(put) || (self.found(name).is_some() && !deleted);
        there && self.asserts.contains(&NamespaceAssert::Head(self.record.head))
    }
}

/// What of a manifest decides how the object reads.
fn without_places(manifest: &Manifest) -> (Policy, u64, u32, u16, u32, usize) {
    let Manifest { policy, size, checksum, block_clusters, fragment_clusters, chunks, .. } = manifest;
    (*policy, *size, *checksum, *block_clusters, *fragment_clusters, chunks.len())
}

fn is_name(name: ObjectName) -> bool {
    match name {
        ObjectName::Sco(sco) => sco.0 != 0 && sco <= ScoId::MAX,
        ObjectName::Tlog(_) => true,
    }
}

fn is_sane(manifest: &Manifest) -> bool {
    let Policy { k, m, c, x } = manifest.policy;
    let fragments = usize::from(k) + usize::from(m);
    Policy::new(k, m, c, x).is_ok()
        && (1..=MAX_CHUNKS).contains(&manifest.chunks.len())
        && manifest.chunks.iter().all(|chunk| chunk.len() == fragments)
}

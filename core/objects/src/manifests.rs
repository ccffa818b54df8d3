//! The manifests used last.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use formats::manifest::Manifest;
use formats::message::object::ObjectError;
use formats::namespace::ObjectName;
use glossary::NamespaceId;

/// An object in a namespace.
pub(crate) type FullName = (NamespaceId, ObjectName);

/// What a question for a manifest came to; `Ok(None)`: there is no such object.
pub(crate) type Found = Result<Option<Arc<Manifest>>, ObjectError>;

/// A bounded cache; what was used least recently goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifests {
    limit: usize,
    uses: u64,
    by_name: BTreeMap<FullName, (u64, Arc<Manifest>)>,
    by_use: BTreeMap<u64, FullName>,
}

impl Manifests {
    pub(crate) fn new(limit: usize) -> Self {
        Manifests { limit, uses: 0, by_name: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, name: &FullName) -> Option<Arc<Manifest>> {
        let (used, manifest) = self.by_name.get_mut(name)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, *name);
        Some(manifest.clone())
    }

    pub(crate) fn insert(&mut self, name: FullName, manifest: Arc<Manifest>) {
        self.remove(&name);
        if self.limit == 0 {
            return;
        }
        if self.by_name.len() == self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_name.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, name);
        self.by_name.insert(name, (self.uses, manifest));
    }

    pub(crate) fn remove(&mut self, name: &FullName) {
        if let Some((used, _)) = self.by_name.remove(name) {
            self.by_use.remove(&used);
        }
    }

    /// Forgets all of a namespace.
    pub(crate) fn remove_namespace(&mut self, namespace: NamespaceId) {
        let gone: alloc::vec::Vec<_> =
            self.by_name.keys().filter(|name| name.0 == namespace).copied().collect();
        gone.iter().for_each(|name| self.remove(name));
    }

    pub(crate) fn is_consistent(&self) -> bool {
        self.by_name.len() <= self.limit
            && self.by_name.len() == self.by_use.len()
            && self.by_name.iter().all(|(name, (used, _))| self.by_use.get(used) == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossary::{ObjectId, Policy, ScoId};

    fn name(number: u64) -> FullName {
        (NamespaceId(number % 2), ObjectName::Sco(ScoId(number)))
    }

    fn manifest() -> Arc<Manifest> {
        Arc::new(Manifest {
            object: ObjectId([0; 32]),
            revision: 1,
            policy: Policy { k: 1, m: 0, c: 1, x: 1 },
            size: 4096,
            checksum: 0,
            block_clusters: 4,
            fragment_clusters: 1,
            gc_epoch: 1,
            chunks: alloc::vec![alloc::vec![None]],
        })
    }

    #[test]
    fn what_was_used_least_recently_goes() {
        let mut manifests = Manifests::new(2);
        manifests.insert(name(1), manifest());
        manifests.insert(name(2), manifest());
        assert!(manifests.get(&name(1)).is_some());
        manifests.insert(name(3), manifest());
        assert!(manifests.get(&name(2)).is_none());
        assert!(manifests.get(&name(1)).is_some() && manifests.get(&name(3)).is_some());
        manifests.remove_namespace(NamespaceId(1));
        assert!(manifests.get(&name(1)).is_none() && manifests.get(&name(3)).is_none());
        assert!(manifests.is_consistent());
    }
}

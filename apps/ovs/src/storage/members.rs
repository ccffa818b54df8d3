//! The members of the KV's group, as this process knows them.

use std::sync::{Arc, Mutex, PoisonError};

use glossary::NodeId;

/// Where they are: those that were there at the start, until the KV named others. Roles that start are told of them.
#[derive(Clone, Debug)]
pub(crate) struct KvMembers(Arc<Mutex<Vec<NodeId>>>);

impl KvMembers {
    /// At least one.
    pub(crate) fn new(nodes: Vec<NodeId>) -> Self {
        KvMembers(Arc::new(Mutex::new(nodes)))
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The KV names these; an older one names nobody, and nothing is learned of that.
    pub(crate) fn learn(&self, nodes: &[NodeId]) {
        if !nodes.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
        }
    }
}

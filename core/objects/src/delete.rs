//! A deletion: names go from the namespace by a conditional sequence, then their fragments from the OSDs, in
//! the background.

use alloc::vec::Vec;
use formats::fragment::fragment_key;
use formats::manifest::Manifest;
use formats::message::object::{ObjectAnswer, ObjectError};
use formats::namespace::{NamespaceCommand, NamespaceError, NamespaceUpdate, ObjectName};
use glossary::{FragmentId, Generation, NamespaceId};

use crate::context::Context;
use crate::counters::Counter;
use crate::task::Next;

/// Names of one sequence: its answer holds the manifests of all of them.
const NAMES_PER_SEQUENCE: usize = 64;

/// A deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delete {
    id: u64,
    namespace: NamespaceId,
    generation: Generation,
    /// All of them, and how many are in sequences that were sent.
    names: Vec<ObjectName>,
    sent: usize,
}

impl Delete {
    pub(crate) fn new(
        id: u64,
        namespace: NamespaceId,
        generation: Generation,
        names: Vec<ObjectName>,
    ) -> Self {
        Delete { id, namespace, generation, names, sent: 0 }
    }

    /// Whether a request asks for the same.
    pub(crate) fn is_for(
        &self,
        namespace: NamespaceId,
        generation: Generation,
        names: &[ObjectName],
    ) -> bool {
        (self.namespace, self.generation) == (namespace, generation) && self.names == names
    }

    /// Sends the next sequence, or ends.
    pub(crate) fn go_on(&mut self, cx: &mut Context<'_>) -> Next {
        let end = self.names.len().min(self.sent + NAMES_PER_SEQUENCE);
        let names = &self.names[self.sent..end];
        if names.is_empty() {
            return Next::Answer(ObjectAnswer::Done);
        }
        let command = NamespaceCommand::Sequence {
            namespace: self.namespace,
            generation: Some(self.generation),
            asserts: Vec::new(),
            updates: names.iter().map(|name| NamespaceUpdate::Delete(*name)).collect(),
        };
        self.sent = end;
        match cx.command(self.id, &command) {
            Ok(()) => Next::Wait,
            Err(error) => Next::Answer(ObjectAnswer::Failed(error)),
        }
    }

    /// The namespace manager settled the sequence. `None`: in a way that leaves open what happened.
    pub(crate) fn on_sequence(
        &mut self,
        cx: &mut Context<'_>,
        result: Option<Result<Vec<Manifest>, NamespaceError>>,
    ) -> Next {
        let error = match result {
            Some(Ok(deleted)) => {
                for name in &self.names[..self.sent] {
                    cx.hub.manifests.remove(&(self.namespace, *name));
                }
                cx.hub.collect_in(self.namespace);
                cx.count(Counter::Deletes, deleted.len() as u64);
                deleted.iter().for_each(|manifest| discard_all(cx, self.namespace, manifest));
                return self.go_on(cx);
            }
            Some(Err(NamespaceError::Fenced { .. })) => ObjectError::Fenced,
            Some(Err(NamespaceError::NoNamespace)) => ObjectError::NotFound,
            Some(Err(NamespaceError::Exists | NamespaceError::Malformed | NamespaceError::Assert { .. })) => {
                ObjectError::Condition
            }
            None => ObjectError::Unavailable,
        };
        Next::Answer(ObjectAnswer::Failed(error))
    }
}

/// No manifest names these fragments any more.
fn discard_all(cx: &mut Context<'_>, namespace: NamespaceId, manifest: &Manifest) {
    for (chunk, fragments) in (0..).zip(&manifest.chunks) {
        for (index, placed) in (0..).zip(fragments) {
            if let Some(placed) = placed {
                let id = FragmentId { object: manifest.object, chunk, index, attempt: placed.attempt };
                cx.discard_placed(placed.osd, fragment_key(namespace, &id));
            }
        }
    }
}

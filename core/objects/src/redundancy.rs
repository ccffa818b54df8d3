//! How well stored an object is now (PROTOCOLS L8).

use formats::manifest::Manifest;
use formats::message::object::{ObjectAnswer, ObjectError};

use crate::context::Context;
use crate::manifests::{Found, FullName};
use crate::task::Next;

/// The question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redundancy {
    id: u64,
    name: FullName,
}

impl Redundancy {
    pub(crate) fn new(id: u64, name: FullName) -> Self {
        Redundancy { id, name }
    }

    /// Whether a request asks for the same.
    pub(crate) fn is_for(&self, name: FullName) -> bool {
        self.name == name
    }

    pub(crate) fn start(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(manifest) = cx.hub.manifests.get(&self.name) {
            return answer(cx, &manifest);
        }
        match cx.look_up(self.id, self.name) {
            Ok(()) => Next::Wait,
            Err(error) => Next::Answer(ObjectAnswer::Failed(error)),
        }
    }

    pub(crate) fn on_manifest(&mut self, cx: &mut Context<'_>, found: Found) -> Next {
        let manifest = match found {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Next::Answer(ObjectAnswer::Failed(ObjectError::NotFound)),
            Err(error) => return Next::Answer(ObjectAnswer::Failed(error)),
        };
        cx.hub.manifests.insert(self.name, manifest.clone());
        answer(cx, &manifest)
    }
}

/// Counted from OSDs that answer; where fewer than k do, nothing can be said but that they don't.
fn answer(cx: &Context<'_>, manifest: &Manifest) -> Next {
    Next::Answer(match cx.spare(manifest) {
        Some(spare) => ObjectAnswer::Redundancy { spare },
        None => ObjectAnswer::Failed(ObjectError::Unavailable),
    })
}

//! Fragments that come after their object was published: they join it by a sequence that asserts the object
//! and the revision of its manifest (PROTOCOLS F5).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use formats::fragment::fragment_key;
use formats::manifest::{Manifest, Placed};
use formats::namespace::{NamespaceAssert, NamespaceCommand, NamespaceError, NamespaceUpdate};
use glossary::FragmentId;

use crate::calls::Failure;
use crate::chunk::Late;
use crate::context::Context;
use crate::counters::Counter;
use crate::manifests::{Found, FullName};
use crate::task::Next;

/// How often a manifest may change under us before the fragments are given up.
const REBASES_MAX: u8 = 3;

/// A fragment and where it is.
type Joining = (u16, u8, Placed);

/// Late fragments of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    id: u64,
    name: FullName,
    /// The latest manifest known.
    manifest: Arc<Manifest>,
    /// On their way.
    late: BTreeMap<(u16, u8), Late>,
    /// On stable storage, not in the manifest yet.
    ready: Vec<Joining>,
    awaits: Awaits,
    rebases: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaits {
    Fragments,
    Sequence { manifest: Arc<Manifest>, joining: Vec<Joining> },
    Lookup,
}

impl Join {
    pub(crate) fn new(
        id: u64,
        name: FullName,
        manifest: Arc<Manifest>,
        late: BTreeMap<(u16, u8), Late>,
        ready: Vec<Joining>,
    ) -> Self {
        Join { id, name, manifest, late, ready, awaits: Awaits::Fragments, rebases: 0 }
    }

    /// Sends a sequence for what is ready, or ends when nothing more can come.
    pub(crate) fn go_on(&mut self, cx: &mut Context<'_>) -> Next {
        if self.awaits != Awaits::Fragments {
            return Next::Wait;
        }
        if self.ready.is_empty() {
            return if self.late.is_empty() { Next::End } else { Next::Wait };
        }
        let joining = core::mem::take(&mut self.ready);
        let mut manifest = Manifest::clone(&self.manifest);
        manifest.revision += 1;
        for (chunk, index, placed) in &joining {
            let slots = manifest.chunks.get_mut(usize::from(*chunk));
            match slots.and_then(|slots| slots.get_mut(usize::from(*index))) {
                Some(slot @ None) => *slot = Some(*placed),
                Some(Some(there)) if there == placed => {}
                // Somebody repaired it meanwhile; ours is not needed.
                Some(Some(_)) | None => self.discard(cx, *chunk, *index, *placed),
            }
        }
        if manifest.chunks == self.manifest.chunks {
            return self.go_on(cx);
        }
        let command = self.sequence(&manifest);
        match cx.command(self.id, &command) {
            Ok(()) => self.awaits = Awaits::Sequence { manifest: Arc::new(manifest), joining },
            Err(_) => self.discard_all(cx, &joining),
        }
        Next::Wait
    }

    /// A fragment is on stable storage, or will not get there.
    pub(crate) fn on_fragment(
        &mut self,
        cx: &mut Context<'_>,
        chunk: u16,
        index: u8,
        placed: Placed,
        result: Result<(), Failure>,
    ) -> Next {
        if self.late.get(&(chunk, index)).is_none_or(|late| late.attempt != placed.attempt) {
            return Next::Wait;
        }
        self.late.remove(&(chunk, index));
        cx.hub.late_fragments -= 1;
        match result {
            Ok(()) => self.ready.push((chunk, index, placed)),
            Err(_) => self.discard(cx, chunk, index, placed),
        }
        self.go_on(cx)
    }

    /// The namespace manager settled the sequence. `None`: in a way that leaves open what happened.
    pub(crate) fn on_sequence(
        &mut self,
        cx: &mut Context<'_>,
        result: Option<Result<(), NamespaceError>>,
    ) -> Next {
        let awaited = core::mem::replace(&mut self.awaits, Awaits::Fragments);
        let Awaits::Sequence { manifest, joining } = awaited else { return Next::Wait };
        match result {
            Some(Ok(())) => {
                cx.count(Counter::LateJoins, joining.len() as u64);
                cx.hub.manifests.insert(self.name, manifest.clone());
                self.manifest = manifest;
            }
            Some(Err(NamespaceError::Assert { .. })) if self.rebases < REBASES_MAX => {
                self.rebases += 1;
                match cx.query_manifest(self.id, self.name) {
                    Ok(()) => {
                        self.ready.extend(joining);
                        self.awaits = Awaits::Lookup;
                    }
                    Err(_) => self.discard_all(cx, &joining),
                }
            }
            Some(Err(_)) => self.discard_all(cx, &joining),
            // The manifest may name them: they stay.
            None => {}
        }
        self.go_on(cx)
    }

    /// The manifest as it is now.
    pub(crate) fn on_manifest(&mut self, cx: &mut Context<'_>, found: Found) -> Next {
        if self.awaits != Awaits::Lookup {
            return Next::Wait;
        }
        self.awaits = Awaits::Fragments;
        match found {
            Ok(Some(found)) if found.object == self.manifest.object => self.manifest = found,
            Ok(_) | Err(_) => {
                // The object is gone, and the fragments with it.
                let ready = core::mem::take(&mut self.ready);
                self.discard_all(cx, &ready);
                self.rebases = REBASES_MAX;
            }
        }
        self.go_on(cx)
    }

    /// The late fragments that it waits for.
    pub(crate) fn late_fragments(&self) -> usize {
        self.late.len()
    }

    fn sequence(&self, manifest: &Manifest) -> NamespaceCommand {
        let (namespace, name) = self.name;
        let (object, revision) = (self.manifest.object, self.manifest.revision);
        NamespaceCommand::Sequence {
            namespace,
            // It changes nothing that anybody reads, so whoever owns the volume now doesn't matter.
            generation: None,
            asserts: alloc::vec![
                NamespaceAssert::Revision { name, object, revision },
                NamespaceAssert::Epoch(manifest.gc_epoch),
            ],
            updates: alloc::vec![NamespaceUpdate::Put { name, manifest: manifest.clone() }],
        }
    }

    fn discard_all(&self, cx: &mut Context<'_>, joining: &[Joining]) {
        joining.iter().for_each(|(chunk, index, placed)| self.discard(cx, *chunk, *index, *placed));
    }

    fn discard(&self, cx: &mut Context<'_>, chunk: u16, index: u8, placed: Placed) {
        let id = FragmentId { object: self.manifest.object, chunk, index, attempt: placed.attempt };
        cx.discard_placed(placed.osd, fragment_key(self.name.0, &id));
    }
}

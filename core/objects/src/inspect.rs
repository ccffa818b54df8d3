//! Questions that an object's manifest answers: how well stored it is now (PROTOCOLS L8), and which parts of it are
//! lost.

use alloc::vec::Vec;
use formats::manifest::{Manifest, Placed};
use formats::message::object::{ObjectAnswer, ObjectError};
use glossary::CLUSTER_BYTES;

use crate::context::Context;
use crate::layout::Layout;
use crate::manifests::{Found, FullName};
use crate::task::Next;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspect {
    id: u64,
    name: FullName,
    question: Question,
}

/// What is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Redundancy,
    LostParts,
}

impl Inspect {
    pub(crate) fn new(id: u64, name: FullName, question: Question) -> Self {
        Inspect { id, name, question }
    }

    /// Whether a request asks for the same.
    pub(crate) fn is_for(&self, name: FullName, question: Question) -> bool {
        self.name == name && self.question == question
    }

    pub(crate) fn start(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(manifest) = cx.hub.manifests.get(&self.name) {
            return self.answer(cx, &manifest);
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
        self.answer(cx, &manifest)
    }

    fn answer(&self, cx: &Context<'_>, manifest: &Manifest) -> Next {
        Next::Answer(match self.question {
            Question::Redundancy => redundancy(cx, manifest),
            Question::LostParts => ObjectAnswer::LostParts(lost_parts(cx, manifest)),
        })
    }
}

/// Counted from OSDs that answer; where fewer than k do, nothing can be said but that they don't.
fn redundancy(cx: &Context<'_>, manifest: &Manifest) -> ObjectAnswer {
    match cx.spare(manifest) {
        Some(spare) => ObjectAnswer::Redundancy { spare },
        None => ObjectAnswer::Failed(ObjectError::Unavailable),
    }
}

/// Of chunks with fewer than k fragments on OSDs that are not gone: what their data fragments that are gone hold.
/// In bytes, from and length; those that follow one another are one.
fn lost_parts(cx: &Context<'_>, manifest: &Manifest) -> Vec<(u64, u64)> {
    let Some(layout) = Layout::of(manifest) else { return alloc::vec![(0, manifest.size)] };
    let is_there = |placed: &Option<Placed>| placed.is_some_and(|placed| !cx.hub.osds.is_gone(placed.osd));
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for (chunk, fragments) in (0..).zip(&manifest.chunks) {
        let known =
            |(index, placed): (u8, &Option<Placed>)| is_there(placed) || layout.is_filler(chunk, index);
        let (k, geometry) = (usize::from(manifest.policy.k), layout.geometry(chunk));
        if (0..).zip(fragments).filter(|fragment| known(*fragment)).count() >= k {
            continue;
        }
        let (chunk_first, chunk_clusters) = layout.chunk(chunk);
        for (index, _) in (0..).zip(&fragments[..k]).filter(|fragment| !known(*fragment)) {
            let fragment = u64::from(geometry.clusters());
            let from = u64::from(index) * fragment;
            let count = fragment.min(chunk_clusters - from);
            push_part(&mut parts, (chunk_first + from) * CLUSTER_BYTES, count * CLUSTER_BYTES);
        }
    }
    parts
}

fn push_part(parts: &mut Vec<(u64, u64)>, from: u64, length: u64) {
    match parts.last_mut() {
        Some((first, so_far)) if *first + *so_far == from => *so_far += length,
        _ => parts.push((from, length)),
    }
}

//! A read: from the manifest to the blocks to the clusters that were asked for.

use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::Payload;
use formats::manifest::Manifest;
use formats::message::object::{ObjectAnswer, ObjectError};
use glossary::CLUSTER_BYTES;

use crate::calls::Failure;
use crate::context::Context;
use crate::counters::Counter;
use crate::layout::Layout;
use crate::manifests::{Found, FullName};
use crate::segment::{Blocks, Segment, Source};
use crate::task::Next;

/// A read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Get {
    id: u64,
    name: FullName,
    /// In bytes.
    offset: u64,
    /// In bytes.
    length: u64,
    awaits: Awaits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaits {
    /// It waits for its turn.
    Turn,
    Manifest,
    Blocks(Reading),
    /// Not all could be read, by a manifest that may be out of date.
    FreshManifest {
        old: Arc<Manifest>,
        error: ObjectError,
    },
}

/// A read of what a manifest tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reading {
    manifest: Arc<Manifest>,
    layout: Layout,
    /// Whether the manifest was asked for by this very read.
    fresh: bool,
    segments: Vec<Segment>,
}

impl Get {
    pub(crate) fn new(id: u64, name: FullName, offset: u64, length: u64) -> Self {
        Get { id, name, offset, length, awaits: Awaits::Turn }
    }

    /// Whether a request asks for the same.
    pub(crate) fn is_for(&self, name: FullName, offset: u64, length: u64) -> bool {
        (self.name, self.offset, self.length) == (name, offset, length)
    }

    /// Whether it asks for as many bytes of the same object.
    pub(crate) fn resembles(&self, other: &Get) -> bool {
        self.name == other.name && self.length == other.length
    }

    /// How much it asks for, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it still waits for its turn.
    pub(crate) fn waits_for_turn(&self) -> bool {
        self.awaits == Awaits::Turn
    }

    pub(crate) fn on_turn(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(manifest) = cx.hub.manifests.get(&self.name) {
            return self.read(cx, manifest, false);
        }
        self.awaits = Awaits::Manifest;
        match cx.look_up(self.id, self.name) {
            Ok(()) => Next::Wait,
            Err(error) => failed(error),
        }
    }

    pub(crate) fn on_manifest(&mut self, cx: &mut Context<'_>, found: Found) -> Next {
        let known = match &self.awaits {
            Awaits::Manifest => None,
            Awaits::FreshManifest { old, error } => Some((old.clone(), *error)),
            Awaits::Turn | Awaits::Blocks(_) => return Next::Wait,
        };
        let manifest = match found {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                cx.hub.manifests.remove(&self.name);
                return failed(ObjectError::NotFound);
            }
            Err(error) => return failed(error),
        };
        cx.hub.manifests.insert(self.name, manifest.clone());
        match known {
            Some((old, error)) if old == manifest => failed(error),
            Some(_) | None => self.read(cx, manifest, true),
        }
    }

    /// Blocks of a fragment came, or will not come.
    pub(crate) fn on_blocks(
        &mut self,
        cx: &mut Context<'_>,
        segment: u32,
        index: u8,
        request: u64,
        result: Result<Blocks, Failure>,
    ) -> Next {
        self.with_segment(cx, segment, |segment, cx, source| {
            segment.on_blocks(cx, source, index, request, result);
        })
    }

    /// A fragment has been waited for long enough.
    pub(crate) fn on_hedge(&mut self, cx: &mut Context<'_>, segment: u32) -> Next {
        self.with_segment(cx, segment, |segment, cx, source| segment.on_hedge(cx, source))
    }

    /// Blocks were decoded.
    pub(crate) fn on_decoded(
        &mut self,
        cx: &mut Context<'_>,
        segment: u32,
        job: u64,
        plaintext: Option<Bytes>,
    ) -> Next {
        self.with_segment(cx, segment, |segment, cx, source| segment.on_decoded(cx, source, job, plaintext))
    }

    fn read(&mut self, cx: &mut Context<'_>, manifest: Arc<Manifest>, fresh: bool) -> Next {
        // A manifest that contradicts itself says nothing of where the data is.
        let Some(layout) = Layout::of(&manifest) else { return failed(ObjectError::Lost) };
        let whole = self.offset.is_multiple_of(CLUSTER_BYTES) && self.length.is_multiple_of(CLUSTER_BYTES);
        let extents = layout.extents(self.offset / CLUSTER_BYTES, self.length / CLUSTER_BYTES);
        let Some(extents) = extents.filter(|_| whole) else { return failed(ObjectError::Condition) };
        let mut segments = Vec::new();
        for (segment, extent) in (0..).zip(extents) {
            let source = Source {
                task: self.id,
                segment,
                namespace: self.name.0,
                manifest: &manifest,
                layout: &layout,
            };
            segments.push(Segment::start(cx, source, extent));
        }
        self.awaits = Awaits::Blocks(Reading { manifest, layout, fresh, segments });
        self.go_on(cx)
    }

    fn with_segment(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
        change: impl FnOnce(&mut Segment, &mut Context<'_>, Source<'_>),
    ) -> Next {
        let Awaits::Blocks(reading) = &mut self.awaits else { return Next::Wait };
        let Some(segment) = reading.segments.get_mut(number as usize) else { return Next::Wait };
        let source = Source {
            task: self.id,
            segment: number,
            namespace: self.name.0,
            manifest: &reading.manifest,
            layout: &reading.layout,
        };
        change(segment, cx, source);
        self.go_on(cx)
    }

    /// Answers when all segments are there, or when one can't be had.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Next {
        let Awaits::Blocks(reading) = &self.awaits else { return Next::Wait };
        let mut parts = Vec::with_capacity(reading.segments.len());
        for (segment, reader) in (0..).zip(&reading.segments) {
            let (manifest, layout) = (&reading.manifest, &reading.layout);
            let source = Source { task: self.id, segment, namespace: self.name.0, manifest, layout };
            match reader.outcome(&cx.hub.osds, source) {
                Ok(Some(payload)) => parts.push(payload),
                Ok(None) => return Next::Wait,
                Err(error) => return self.on_unreadable(cx, error),
            }
        }
        let payload = join(&parts);
        cx.count(Counter::Gets, 1);
        cx.count(Counter::GetBytes, payload.len() as u64);
        Next::Answer(ObjectAnswer::Data(payload))
    }

    /// A part can't be had: by a fresh manifest that is so; an old one may point where nothing is any more.
    fn on_unreadable(&mut self, cx: &mut Context<'_>, error: ObjectError) -> Next {
        let Awaits::Blocks(reading) = &self.awaits else { return Next::Wait };
        if reading.fresh {
            return failed(error);
        }
        self.awaits = Awaits::FreshManifest { old: reading.manifest.clone(), error };
        match cx.query_manifest(self.id, self.name) {
            Ok(()) => Next::Wait,
            Err(_) => failed(error),
        }
    }
}

/// The parts as one payload. Shares the bytes.
fn join(parts: &[&Payload]) -> Payload {
    if let [one] = parts {
        return (*one).clone();
    }
    let pieces = parts.iter().flat_map(|part| part.pieces()).cloned().collect();
    let crcs = parts.iter().flat_map(|part| part.crcs()).copied().collect();
    Payload::with_crcs(pieces, crcs).expect("every part is whole clusters with their checksums")
}

fn failed(error: ObjectError) -> Next {
    Next::Answer(ObjectAnswer::Failed(error))
}

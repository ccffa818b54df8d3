//! An upload: fragments first, then one conditional sequence that makes the object visible.
//!
//! What has been stored is deleted again only when it is known that no manifest names it: before the sequence
//! was sent, or after the namespace manager refused it for good. The sequence is sent until it is settled.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use formats::Payload;
use formats::manifest::{Manifest, Placed};
use formats::message::object::{ObjectAnswer, ObjectError};
use formats::namespace::NamespaceError;
use glossary::{CLUSTER_BYTES, ObjectId};

use crate::calls::Failure;
use crate::chunk::{Chunk, Late, Plan, Settled};
use crate::context::{Context, Record};
use crate::counters::Counter;
use crate::join::Join;
use crate::layout::Layout;
use crate::manifests::Found;
use crate::placement;
use crate::task::Next;
use crate::wanted::Wanted;

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    id: u64,
    wanted: Wanted,
    object: ObjectId,
    /// The data, until every chunk is settled.
    data: Payload,
    awaits: Awaits,
    /// Fragments on their way that their chunks did without.
    late: BTreeMap<(u16, u8), Late>,
    /// Late ones that came while the sequence was on its way.
    joining: Vec<(u16, u8, Placed)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaits {
    Record,
    Chunks(Upload),
    Sequence { manifest: Arc<Manifest> },
    Lookup { manifest: Arc<Manifest>, refused: ObjectError },
}

/// The chunks of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upload {
    plan: Plan,
    layout: Layout,
    gc_epoch: u64,
    chunks: Vec<ChunkState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ChunkState {
    /// It waits for a permit.
    Waiting,
    Active(Chunk),
    Settled(Vec<Option<Placed>>),
}

impl Put {
    pub(crate) fn new(cx: &mut Context<'_>, id: u64, wanted: Wanted, data: Payload) -> Self {
        let object = ObjectId(cx.hub.entropy.next_bytes());
        let (late, joining) = (BTreeMap::new(), Vec::new());
        Put { id, wanted, object, data, awaits: Awaits::Record, late, joining }
    }

    pub(crate) fn object(&self) -> ObjectId {
        self.object
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(crate) fn start(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(record) = cx.hub.records.get(&self.wanted.namespace).cloned() {
            return self.on_record(cx, record);
        }
        self.wait_or_fail(cx, |put, cx| cx.query_record(put.id, put.wanted.namespace))
    }

    /// The namespace's policies are known: the first that works now is taken.
    pub(crate) fn on_record(&mut self, cx: &mut Context<'_>, record: Arc<Record>) -> Next {
        let with_room = cx.hub.osds.with_room(cx.now);
        let Some(policy) = placement::select(&record.policies, &with_room) else {
            let room_is_the_matter =
                placement::select(&record.policies, &cx.hub.osds.all_answering()).is_some();
            return failed(if room_is_the_matter { ObjectError::Full } else { ObjectError::Unavailable });
        };
        let settings = &cx.hub.config.settings;
        let clusters = self.wanted.clusters;
        let layout = Layout::plan(policy, clusters, settings.fragment_bytes_max, settings.block_clusters);
        let Some(layout) = layout else { return failed(ObjectError::Condition) };
        let plan = Plan { task: self.id, namespace: self.wanted.namespace, object: self.object, policy };
        let chunks = alloc::vec![ChunkState::Waiting; usize::from(layout.chunks())];
        self.awaits = Awaits::Chunks(Upload { plan, layout, gc_epoch: record.gc_epoch, chunks });
        Next::Wait
    }

    /// Whether a chunk waits for a permit.
    pub(crate) fn wants_permit(&self) -> bool {
        self.upload().is_some_and(|upload| upload.chunks.iter().any(|c| matches!(c, ChunkState::Waiting)))
    }

    /// Starts the next chunk; a permit is free.
    pub(crate) fn on_permit(&mut self, cx: &mut Context<'_>) -> Next {
        let Awaits::Chunks(upload) = &mut self.awaits else { return Next::Wait };
        let waiting = upload.chunks.iter().position(|chunk| matches!(chunk, ChunkState::Waiting));
        let Some(number) = waiting else { return Next::Wait };
        let (first, count) = upload.layout.chunk(number as u16);
        let (data, geometry) =
            (self.data.slice_clusters(first, count), upload.layout.geometry(number as u16));
        match Chunk::start(cx, upload.plan, number as u16, geometry, data) {
            Ok(chunk) => {
                cx.hub.chunk_permits -= 1;
                upload.chunks[number] = ChunkState::Active(chunk);
                Next::Wait
            }
            Err(error) => self.give_up(cx, error),
        }
    }

    /// A chunk was encoded, or turned out to be damaged.
    pub(crate) fn on_encoded(
        &mut self,
        cx: &mut Context<'_>,
        chunk: u16,
        job: u64,
        containers: Result<Vec<Payload>, ObjectError>,
    ) -> Next {
        match containers {
            Ok(containers) => self.with_chunk(cx, chunk, |c, cx| c.on_encoded(cx, job, containers)),
            Err(error) => self.give_up(cx, error),
        }
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
        if self.late.get(&(chunk, index)).is_some_and(|late| late.attempt == placed.attempt) {
            self.on_late(cx, chunk, index, placed, result);
            return Next::Wait;
        }
        self.with_chunk(cx, chunk, |chunk, cx| match result {
            Ok(()) => {
                chunk.on_stored(cx, index, placed.attempt);
                Ok(())
            }
            Err(failure) => chunk.on_failed(cx, index, placed.attempt, failure),
        })
    }

    /// A chunk with c fragments has waited for the rest.
    pub(crate) fn on_slack(&mut self, cx: &mut Context<'_>, chunk: u16) -> Next {
        self.with_chunk(cx, chunk, |chunk, cx| {
            chunk.on_slack(cx);
            Ok(())
        })
    }

    /// The namespace manager settled the sequence. `None`: in a way that leaves open what happened.
    pub(crate) fn on_sequence(
        &mut self,
        cx: &mut Context<'_>,
        result: Option<Result<(), NamespaceError>>,
    ) -> Next {
        let Awaits::Sequence { manifest } = &self.awaits else { return Next::Wait };
        let manifest = manifest.clone();
        match result {
            Some(Ok(())) => self.published(cx, manifest),
            Some(Err(NamespaceError::Assert { index })) => {
                let epoch_ended = index as usize == self.wanted.asserts(manifest.gc_epoch).len() - 1;
                let refused = if epoch_ended { ObjectError::Unavailable } else { ObjectError::Condition };
                cx.hub.records.remove(&self.wanted.namespace);
                self.awaits = Awaits::Lookup { manifest, refused };
                let name = self.wanted.full_name();
                self.wait_or_fail(cx, |put, cx| cx.query_manifest(put.id, name))
            }
            Some(Err(error)) => {
                cx.hub.records.remove(&self.wanted.namespace);
                let error = match error {
                    NamespaceError::Fenced { .. } => ObjectError::Fenced,
                    NamespaceError::NoNamespace => ObjectError::NotFound,
                    NamespaceError::Exists | NamespaceError::Malformed | NamespaceError::Assert { .. } => {
                        ObjectError::Condition
                    }
                };
                self.give_up(cx, error)
            }
            None => {
                // The object may be there: nothing that it needs may go.
                self.forget_late(cx);
                failed(ObjectError::Unavailable)
            }
        }
    }

    /// What is there under the name of a refused upload: perhaps what was to be stored (sent again).
    pub(crate) fn on_manifest(&mut self, cx: &mut Context<'_>, found: Found) -> Next {
        let Awaits::Lookup { manifest, refused } = &self.awaits else { return Next::Wait };
        let (ours, refused) = (manifest.clone(), *refused);
        let same = |m: &Arc<Manifest>| m.checksum == ours.checksum && m.size == ours.size;
        match found {
            Err(error) => self.give_up(cx, error),
            Ok(Some(found)) if found.object == ours.object => self.published(cx, found),
            Ok(Some(found)) if same(&found) => {
                cx.hub.manifests.insert(self.wanted.full_name(), found.clone());
                let _ = self.give_up(cx, refused);
                Next::Answer(stored(cx, &found))
            }
            Ok(Some(_)) => self.give_up(cx, ObjectError::Condition),
            Ok(None) => self.give_up(cx, refused),
        }
    }

    /// Ends the upload of an object that nobody will see: its fragments are garbage.
    fn give_up(&mut self, cx: &mut Context<'_>, error: ObjectError) -> Next {
        if let Awaits::Chunks(upload) = &self.awaits {
            for (number, chunk) in upload.chunks.iter().enumerate() {
                match chunk {
                    ChunkState::Waiting => {}
                    ChunkState::Active(chunk) => {
                        cx.hub.chunk_permits += 1;
                        chunk.abandon(cx);
                    }
                    ChunkState::Settled(placed) => self.discard(cx, number as u16, placed),
                }
            }
        }
        if let Awaits::Sequence { manifest } | Awaits::Lookup { manifest, .. } = &self.awaits {
            for (number, placed) in manifest.chunks.iter().enumerate() {
                self.discard(cx, number as u16, placed);
            }
        }
        for (chunk, index, placed) in &self.joining {
            self.discard_one(cx, *chunk, *index, *placed);
        }
        for ((chunk, index), late) in core::mem::take(&mut self.late) {
            cx.orphan(late.request, self.wanted.key(self.object, chunk, index, late.attempt));
            cx.hub.late_fragments -= 1;
        }
        failed(error)
    }

    /// Nobody waits for the late ones any more; they may be needed, so they stay wherever they get to.
    fn forget_late(&mut self, cx: &mut Context<'_>) {
        for (_, late) in core::mem::take(&mut self.late) {
            cx.hub.calls.remove(late.request);
            cx.hub.late_fragments -= 1;
        }
    }

    fn published(&mut self, cx: &mut Context<'_>, manifest: Arc<Manifest>) -> Next {
        cx.count(Counter::Puts, 1);
        cx.count(Counter::PutBytes, manifest.size);
        cx.hub.manifests.insert(self.wanted.full_name(), manifest.clone());
        let answer = stored(cx, &manifest);
        let (late, joining) = (core::mem::take(&mut self.late), core::mem::take(&mut self.joining));
        if late.is_empty() && joining.is_empty() {
            return Next::Answer(answer);
        }
        Next::AnswerAndJoin(answer, Join::new(self.id, self.wanted.full_name(), manifest, late, joining))
    }

    /// Lets something happen to an active chunk and sees what comes of it.
    fn with_chunk(
        &mut self,
        cx: &mut Context<'_>,
        number: u16,
        change: impl FnOnce(&mut Chunk, &mut Context<'_>) -> Result<(), ObjectError>,
    ) -> Next {
        let Awaits::Chunks(upload) = &mut self.awaits else { return Next::Wait };
        let Some(state) = upload.chunks.get_mut(usize::from(number)) else { return Next::Wait };
        let ChunkState::Active(chunk) = state else { return Next::Wait };
        if let Err(error) = change(chunk, cx) {
            return self.give_up(cx, error);
        }
        let Some(Settled { placed, late }) = chunk.settled(cx) else { return Next::Wait };
        *state = ChunkState::Settled(placed);
        cx.hub.chunk_permits += 1;
        cx.hub.late_fragments += late.len();
        self.late.extend(late.into_iter().map(|(index, late)| ((number, index), late)));
        self.publish_when_complete(cx)
    }

    fn on_late(
        &mut self,
        cx: &mut Context<'_>,
        chunk: u16,
        index: u8,
        placed: Placed,
        result: Result<(), Failure>,
    ) {
        cx.hub.late_fragments -= 1;
        self.late.remove(&(chunk, index));
        if result.is_err() {
            self.discard_one(cx, chunk, index, placed);
            return;
        }
        if let Awaits::Chunks(upload) = &mut self.awaits
            && let ChunkState::Settled(slots) = &mut upload.chunks[usize::from(chunk)]
        {
            slots[usize::from(index)] = Some(placed);
        } else {
            self.joining.push((chunk, index, placed));
        }
    }

    /// Sends the sequence, once every chunk is settled.
    fn publish_when_complete(&mut self, cx: &mut Context<'_>) -> Next {
        let Awaits::Chunks(upload) = &self.awaits else { return Next::Wait };
        let placed = |chunk: &ChunkState| match chunk {
            ChunkState::Settled(placed) => Some(placed.clone()),
            ChunkState::Waiting | ChunkState::Active(_) => None,
        };
        let Some(chunks) = upload.chunks.iter().map(placed).collect() else { return Next::Wait };
        let manifest = Manifest {
            object: self.object,
            revision: 1,
            policy: upload.plan.policy,
            size: self.wanted.clusters * CLUSTER_BYTES,
            checksum: self.wanted.checksum,
            block_clusters: upload.layout.geometry(0).block_clusters(),
            fragment_clusters: upload.layout.fragment_clusters(),
            gc_epoch: upload.gc_epoch,
            chunks,
        };
        self.data = Payload::default();
        let command = self.wanted.sequence(&manifest);
        self.awaits = Awaits::Sequence { manifest: Arc::new(manifest) };
        self.wait_or_fail(cx, |put, cx| cx.command(put.id, &command))
    }

    /// Does something that fails only where there is no room for it, and then nothing was done.
    fn wait_or_fail(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut Self, &mut Context<'_>) -> Result<(), ObjectError>,
    ) -> Next {
        match ask(self, cx) {
            Ok(()) => Next::Wait,
            Err(error) => self.give_up(cx, error),
        }
    }

    fn discard(&self, cx: &mut Context<'_>, chunk: u16, placed: &[Option<Placed>]) {
        for (index, placed) in placed.iter().enumerate() {
            if let Some(placed) = placed {
                self.discard_one(cx, chunk, index as u8, *placed);
            }
        }
    }

    fn discard_one(&self, cx: &mut Context<'_>, chunk: u16, index: u8, placed: Placed) {
        cx.discard_placed(placed.osd, self.wanted.key(self.object, chunk, index, placed.attempt));
    }

    fn upload(&self) -> Option<&Upload> {
        match &self.awaits {
            Awaits::Chunks(upload) => Some(upload),
            Awaits::Record | Awaits::Sequence { .. } | Awaits::Lookup { .. } => None,
        }
    }

    /// The permits that it holds.
    pub(crate) fn permits(&self) -> usize {
        let active =
            |upload: &Upload| upload.chunks.iter().filter(|c| matches!(c, ChunkState::Active(_))).count();
        self.upload().map_or(0, active)
    }

    /// The late fragments that it waits for.
    pub(crate) fn late_fragments(&self) -> usize {
        self.late.len()
    }
}

fn stored(cx: &Context<'_>, manifest: &Manifest) -> ObjectAnswer {
    ObjectAnswer::Stored { object: manifest.object, spare: cx.spare(manifest).unwrap_or(0) }
}

fn failed(error: ObjectError) -> Next {
    Next::Answer(ObjectAnswer::Failed(error))
}

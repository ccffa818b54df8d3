//! From the write buffer to the backend: SCOs are uploaded, then the TLog that names them is published in
//! its chain, and only then the base map learns of it (L6, L7, L8).

use alloc::vec::Vec;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::{ChainHead, HeadChange, ObjectName};
use formats::registry::{self, VdiskRecord};
use formats::sco::cluster_position;
use formats::tlog::{Entry, TlogObject};
use formats::work::Work;
use formats::{Effect, Message, Payload};
use glossary::{BufferIdentity, CLUSTER_BYTES, LogNumber, NodeId, ScoId, TlogId};
use step::{Bug, DiskOperation, DiskOutcome, DiskResult};

use super::{BufferClaim, ClosedTlog, Operation, Retry, ScoState, Serving, Stop};
use crate::asks::compare_and_set;
use crate::context::{Context, VolumeAsk};
use crate::counters::Counter;
use crate::files::LocalFile;
use crate::map::Run;

/// How often the redundancy of a SCO is asked for before what the disks that are up allow is enough (L8).
const REDUNDANCY_TRIES: u32 = 3;

/// Uploads that may be under way however large SCOs are: one is read while another is on its way.
const UPLOADS_LEAST: usize = 2;

impl Serving {
    /// Starts uploads of closed SCOs, oldest first. Only what is synced goes: the backend never holds more of a
    /// SCO than the log does after a power cut.
    pub(crate) fn start_uploads(&mut self, context: &mut Context<'_>) {
        self.ask_of_found(context);
        if self.unsettled.is_empty() {
            return;
        }
        let under_way = self.unsettled().filter(|(_, sco)| sco.state == ScoState::Uploading).count();
        let fit = context.config.upload_bytes_max / self.record.sco_size.0;
        let room = (fit as usize).max(UPLOADS_LEAST).saturating_sub(under_way);
        if room == 0 {
            return;
        }
        let synced = self.log.synced;
        let ready =
            self.unsettled().filter(|(_, sco)| sco.state == ScoState::Closed && sco.through <= synced);
        let ready: Vec<(ScoId, u64)> = ready.map(|(sco, local)| (sco, local.written)).take(room).collect();
        for (sco, clusters) in ready {
            self.write_trailer(sco, context);
            self.set_sco_state(sco, ScoState::Uploading);
            let file = LocalFile::Sco(sco).name(self.id);
            let length = clusters * CLUSTER_BYTES;
            let what = DiskOperation::Read { file, offset: cluster_position(0), length };
            self.operations.start(Operation::ReadForUpload(sco), what, context);
        }
    }

    /// SCOs that an earlier life stored are not stored again: after a loss that was accepted, the log may hold less of
    /// one than the backend does.
    fn ask_of_found(&mut self, context: &mut Context<'_>) {
        let found = self.unsettled().filter(|(_, local)| local.state == ScoState::Found);
        for sco in found.map(|(sco, _)| sco).collect::<Vec<ScoId>>() {
            self.set_sco_state(sco, ScoState::Stored { spare: 0 });
            self.ask_redundancy(sco, context);
        }
    }

    /// Whether a closed SCO waits for a sync before it can be uploaded.
    pub(crate) fn upload_wants_sync(&self) -> bool {
        let (synced, completed) = (self.log.synced, self.log.completed);
        let waits = |sco: &super::LocalSco| sco.state == ScoState::Closed && sco.through > synced;
        self.unsettled().any(|(_, sco)| waits(sco) && sco.through <= completed)
    }

    fn unsettled(&self) -> impl Iterator<Item = (ScoId, &super::LocalSco)> {
        self.unsettled.iter().filter_map(|sco| Some((*sco, self.local.get(sco)?)))
    }

    pub(crate) fn read_for_upload(&mut self, sco: ScoId, result: DiskResult, context: &mut Context<'_>) {
        let Some(local) = self.local.get(&sco) else { return };
        let data = match result {
            Ok(DiskOutcome::Read(bytes)) => Payload::with_crcs(alloc::vec![bytes], local.crcs.clone()),
            _ => None,
        };
        match data {
            // Much data: guests do not wait for it to be checked.
            Some(data) => {
                let work = Work::Check(data.clone());
                self.operations.work(Operation::CheckForUpload(sco, data), work, context);
            }
            None => self.damaged_before_upload(sco),
        }
    }

    /// Damage is told where it is found: a peer would refuse the frame, for ever. The objects client checks every
    /// cluster again before it encodes: nothing is certified anew (F1).
    pub(crate) fn checked_for_upload(
        &mut self,
        sco: ScoId,
        payload: Payload,
        is_right: bool,
        context: &mut Context<'_>,
    ) {
        if !self.local.contains_key(&sco) {
            return;
        }
        if !is_right {
            self.damaged_before_upload(sco);
            return;
        }
        let body = ObjectBody::Put {
            generation: self.record.generation,
            name: ObjectName::Sco(sco),
            present: Vec::new(),
            head: None,
            payload,
        };
        context.object(self.id, VolumeAsk::Upload(sco), self.record.namespace, body);
    }

    fn damaged_before_upload(&mut self, sco: ScoId) {
        self.stop = Some(Stop::Halt(alloc::format!(
            "SCO {sco} in the write buffer is damaged, and the ASDs do not have it yet: what it holds is lost. \
             Restore the write buffer's disk, or go on with what came before by --accept-write-buffer-loss"
        )));
    }

    pub(crate) fn uploaded(&mut self, sco: ScoId, answer: &ObjectAnswer, context: &mut Context<'_>) {
        match answer {
            ObjectAnswer::Stored { spare, .. } => {
                context.count(Counter::ScosUploaded, 1);
                self.set_sco_state(sco, ScoState::Stored { spare: *spare });
                if *spare == 0 {
                    self.retry_later(Retry::Redundancy(sco), context);
                }
            }
            ObjectAnswer::Failed(ObjectError::Fenced) => self.fenced(),
            ObjectAnswer::Failed(ObjectError::Lost) => self.damaged_before_upload(sco),
            _ => self.retry_later(Retry::Upload(sco), context),
        }
    }

    pub(crate) fn ask_redundancy(&mut self, sco: ScoId, context: &mut Context<'_>) {
        let name = ObjectName::Sco(sco);
        context.object(
            self.id,
            VolumeAsk::Redundancy(sco),
            self.record.namespace,
            ObjectBody::Redundancy { name },
        );
    }

    pub(crate) fn redundancy_told(&mut self, sco: ScoId, answer: &ObjectAnswer, context: &mut Context<'_>) {
        let tries = self.redundancy_tries.entry(sco).or_default();
        *tries += 1;
        match answer {
            ObjectAnswer::Redundancy { spare } if *spare > 0 => {
                let spare = *spare;
                let stored = |local: &super::LocalSco| matches!(local.state, ScoState::Stored { .. });
                if self.local.get(&sco).is_some_and(stored) {
                    self.set_sco_state(sco, ScoState::Stored { spare });
                }
            }
            _ if *tries < REDUNDANCY_TRIES => self.retry_later(Retry::Redundancy(sco), context),
            _ => {}
        }
    }

    /// Whether a SCO is on the backend as safe as it gets now (L8).
    fn is_safe(&self, sco: &ScoId) -> bool {
        let tries = self.redundancy_tries.get(sco).copied().unwrap_or(0);
        self.local.get(sco).is_some_and(|local| match local.state {
            ScoState::Stored { spare } => spare > 0 || tries >= REDUNDANCY_TRIES,
            _ => false,
        })
    }

    /// Publishes the oldest closed TLog when every SCO that it names is there.
    pub(crate) fn publish_next(&mut self, context: &mut Context<'_>) {
        let Some(tlog) = self.closed.front() else { return };
        if self.publishing.is_some() || !tlog.scos.iter().all(|sco| self.is_safe(sco)) {
            return;
        }
        let object = TlogObject {
            vdisk: self.id,
            tlog: tlog.tlog,
            predecessor: self.cork,
            clients: tlog.clients.clone(),
            entries: tlog.entries.clone(),
        };
        let (present, id) = (tlog.scos.iter().map(|sco| ObjectName::Sco(*sco)).collect(), tlog.tlog);
        let (bytes, to) = object.encode();
        self.publishing = Some(to);
        let body = ObjectBody::Put {
            generation: self.record.generation,
            name: ObjectName::Tlog(id),
            present,
            head: Some(HeadChange { from: self.cork, to }),
            payload: Payload::entering(bytes),
        };
        context.object(self.id, VolumeAsk::Publish(id), self.record.namespace, body);
    }

    pub(crate) fn published(&mut self, tlog: TlogId, answer: &ObjectAnswer, context: &mut Context<'_>) {
        let Some(head) = self.publishing.filter(|head| head.tlog == tlog) else { return };
        match answer {
            ObjectAnswer::Stored { .. } => self.uncork(head, context),
            ObjectAnswer::Failed(ObjectError::Fenced) => self.fenced(),
            ObjectAnswer::Failed(ObjectError::Condition) => {
                self.stop = Some(Stop::Halt(alloc::format!(
                    "TLog {tlog} could not be published: the chain on the ASDs ends elsewhere, or a SCO that it \
                     names is missing there"
                )));
            }
            _ => self.retry_later(Retry::Publish, context),
        }
    }

    /// A TLog is published: the base map takes its entries, and its files are no longer needed.
    fn uncork(&mut self, head: ChainHead, context: &mut Context<'_>) {
        let Some(tlog) = self.closed.pop_front() else { return };
        context.count(Counter::TlogsPublished, 1);
        self.publishing = None;
        self.cork = Some(head);
        for entry in &tlog.entries {
            let run = run_of(entry);
            self.base.apply(run, &mut self.dead);
        }
        let number = |entry: &Entry| LogNumber { generation: tlog.tlog.generation, number: entry.number };
        tlog.entries.iter().for_each(|entry| self.overlay.forget(run_of(entry), number(entry)));
        self.published_clients.clone_from(&tlog.clients);
        self.map_file.add_delta(head, tlog.clients.clone(), &tlog.entries);
        self.retire(&tlog, context);
        // A SCO that lost its last live cluster within the TLog may have got one again later in it.
        let wanted = context.config.has(Bug::LiveScoDeleted);
        self.dead.retain(|sco| wanted || self.base.live_clusters(*sco) == 0);
        self.dead.sort_unstable();
        self.dead.dedup();
    }

    fn retire(&mut self, tlog: &ClosedTlog, context: &mut Context<'_>) {
        for sco in &tlog.scos {
            self.set_sco_state(*sco, ScoState::Cached);
            self.redundancy_tries.remove(sco);
            // Every cluster was overwritten before the TLog was published: it never had a live one.
            if self.base.live_clusters(*sco) == 0 || context.config.has(Bug::LiveScoDeleted) {
                self.dead.push(*sco);
            }
        }
        context.room.release(tlog.file_bytes);
        self.delete_file(LocalFile::Tlog(tlog.tlog), context);
    }

    /// Management asks that everything acknowledged so far is pushed to the ASDs.
    pub(crate) fn push(&mut self, node: NodeId, request: u64) {
        self.roll();
        self.pushes.push((node, request, self.log.tlog));
    }

    /// Answers pushes that are done. When nothing is left in the write buffer that matters, the registry is
    /// told first: losing the buffer then loses nothing (O5).
    pub(crate) fn release_buffer(&mut self, context: &mut Context<'_>) {
        if self.pushes.is_empty() || self.log.rolling() {
            return;
        }
        let empty = self.closed.is_empty() && self.log.entries.is_empty() && self.log.is_quiet();
        if empty && self.buffer == BufferClaim::Claimed {
            if self.record_held {
                return;
            }
            self.buffer = BufferClaim::Releasing;
            self.change_record(VolumeAsk::ReleaseBuffer, context, |record| record.buffer = None);
        }
        if self.buffer == BufferClaim::Releasing {
            return;
        }
        let oldest = self.closed.front().map_or(self.log.tlog, |tlog| tlog.tlog);
        let pushed = |tlog: TlogId| tlog < oldest || empty;
        let (done, left) = self.pushes.iter().partition(|(_, _, tlog)| pushed(*tlog));
        self.pushes = left;
        let done: Vec<(NodeId, u64, TlogId)> = done;
        for (to, request, _) in done {
            let body = formats::message::admin::AdminAnswer::Done;
            let message = Message::AdminReply(formats::message::admin::AdminReply { request, body });
            context.effects.push(Effect::Send { to, message });
        }
    }

    pub(crate) fn claim_buffer(&mut self, context: &mut Context<'_>) {
        self.buffer = BufferClaim::Claiming;
        let identity: BufferIdentity = self.buffer_identity;
        self.change_record(VolumeAsk::ClaimBuffer, context, move |record| record.buffer = Some(identity));
    }

    /// Changes the vDisk's record by one compare-and-set of the whole (O1).
    pub(crate) fn change_record(
        &mut self,
        ask: VolumeAsk,
        context: &mut Context<'_>,
        change: impl FnOnce(&mut VdiskRecord),
    ) {
        let mut new = self.record.clone();
        change(&mut new);
        let (key, old) = (registry::vdisk_key(self.id), registry::encode(&self.record));
        let command = compare_and_set(key, Some(old), registry::encode(&new));
        self.proposed = Some(new);
        context.command(self.id, ask, command);
    }

    /// The registry answered to a change of the record; whether it took it.
    pub(crate) fn record_changed(&mut self, taken: bool) {
        match self.proposed.take().filter(|_| taken) {
            Some(record) => {
                self.buffer = if record.buffer.is_some() { BufferClaim::Claimed } else { BufferClaim::Free };
                self.record = record;
            }
            // Somebody else changed it: begin anew from what it says now.
            None => self.stop = Some(Stop::Restart),
        }
    }

    pub(crate) fn fenced(&mut self) {
        self.stop = Some(Stop::Halt("another volume driver has taken this vDisk over".into()));
    }
}

/// The run of clusters that an entry maps.
pub(crate) fn run_of(entry: &Entry) -> Run {
    Run { address: entry.address, clusters: entry.clusters, location: entry.location }
}

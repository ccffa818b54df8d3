//! A volume that serves: everything between a take-over and a halt.
//!
//! Events record what happened; [`Serving::turn_end`] turns what was gathered into few large effects.
//!
//! Invariants, checked by `check_invariants` in debug builds after every step:
//! 1. `synced <= completed < next number`, and no acknowledgement goes beyond `completed`.
//! 2. Every SCO that the overlay points into is a local file.
//! 3. TLogs are published in the order of their ids; the cork is the last one published.
//! 4. A SCO is deleted from the backend only when the persisted base has no live cluster of it.
//! 5. What is to be done about a local SCO is found in `unsettled`.

mod change;
mod clients;
mod extents;
mod flush;
mod garbage;
mod log;
mod lost;
mod map_file;
mod merge;
mod publish;
mod queue;
mod read;
mod roll;
mod sco;
mod sessions;
mod survey;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use formats::Payload;
use formats::namespace::ChainHead;
use formats::registry::VdiskRecord;
use formats::tlog::{Clients, Entry};
use formats::work::Done;
use glossary::{
    BufferIdentity, ByteCount, CLUSTER_BYTES, ClientId, NodeId, ScoId, SessionId, TlogId, VdiskId,
};
use step::{DiskError, DiskResult, OperationId, Timestamp};

use crate::context::{Context, Operations};
use crate::map::{Base, Overlay, Run};
use change::Change;
pub(crate) use change::ReplyTo;
pub(crate) use clients::Client;
pub(crate) use flush::Flushes;
pub(crate) use log::{Log, ScoBlock};
pub(crate) use lost::LostRanges;
pub(crate) use map_file::MapFile;
pub(crate) use publish::run_of;
pub(crate) use sco::{LocalSco, ScoState};
pub(crate) use sessions::Session;
pub(crate) use survey::Survey;

/// A TLog that takes no more entries and is not published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedTlog {
    pub(crate) tlog: TlogId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) scos: Vec<ScoId>,
    /// Every client's last complete change after its last entry.
    pub(crate) clients: Vec<(ClientId, u64)>,
    /// Bytes that its file takes.
    pub(crate) file_bytes: u64,
}

/// What a disk operation was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    FlightSco { sco: ScoId, through: u64 },
    FlightTlog,
    SyncRound,
    CreateSco(ScoId),
    WriteScoHeader(ScoId),
    WriteTrailer,
    CreateTlog,
    WriteTlogHeader,
    SyncTlogHeader,
    ReadForUpload(ScoId),
    CheckForUpload(ScoId, Payload),
    ReadPart { job: u64, part: usize },
    MapWrite,
    MapSync,
    MapCreate,
    DeleteFile,
}

/// Something to try again at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Upload(ScoId),
    Redundancy(ScoId),
    Publish,
    Delete,
    ReadPart { job: u64, part: usize },
    Survey,
}

/// How a volume stops serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// For good, until a person acts.
    Halt(String),
    /// To be taken over anew by this driver: the local state of the file system is in doubt, not the data.
    Restart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) id: VdiskId,
    pub(crate) record: VdiskRecord,
    pub(crate) base: Base,
    pub(crate) overlay: Overlay,
    pub(crate) cork: Option<ChainHead>,
    /// The clients after the last entry that is published.
    pub(crate) published_clients: Clients,
    pub(crate) log: Log,
    pub(crate) local: BTreeMap<ScoId, LocalSco>,
    /// The local SCOs whose state asks for something to be done. The write buffer holds many more.
    pub(crate) unsettled: BTreeSet<ScoId>,
    pub(crate) closed: VecDeque<ClosedTlog>,
    pub(crate) clients: BTreeMap<ClientId, Client>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) queue: VecDeque<Change>,
    pub(crate) merging: Option<merge::Merge>,
    pub(crate) flushes: Flushes,
    pub(crate) reads: BTreeMap<u64, read::ReadJob>,
    pub(crate) next_read: u64,
    pub(crate) map_file: MapFile,
    pub(crate) publishing: Option<ChainHead>,
    pub(crate) dead: Vec<ScoId>,
    pub(crate) deleting: Vec<ScoId>,
    /// Whether the registry says that this write buffer may hold data which is nowhere else (O5).
    pub(crate) buffer: BufferClaim,
    pub(crate) buffer_identity: BufferIdentity,
    /// What the registry was asked to record.
    pub(crate) proposed: Option<VdiskRecord>,
    /// Management changes the record: claiming and releasing the write buffer wait for it.
    pub(crate) record_held: bool,
    /// Management waiting until everything up to this TLog is published.
    pub(crate) pushes: Vec<(NodeId, u64, TlogId)>,
    pub(crate) operations: Operations<Operation>,
    pub(crate) retries: Vec<(Timestamp, Retry)>,
    pub(crate) redundancy_tries: BTreeMap<ScoId, u32>,
    /// What reads found lost.
    pub(crate) lost: LostRanges,
    pub(crate) survey: Survey,
    pub(crate) stop: Option<Stop>,
    pub(crate) mark_timer: bool,
}

/// What the registry says of this volume and this write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferClaim {
    /// It may hold data that is nowhere else.
    Claimed,
    /// It holds nothing that matters: to be claimed before the next change.
    Free,
    /// Asked.
    Claiming,
    /// Asked to be free again; changes wait.
    Releasing,
}

impl Serving {
    /// A disk operation of this volume ended.
    pub(crate) fn disk(&mut self, operation: OperationId, result: DiskResult, context: &mut Context<'_>) {
        let Some(operation) = self.operations.ended(operation) else { return };
        match operation {
            Operation::FlightSco { sco, through } => self.flight_sco_written(sco, through, result, context),
            Operation::FlightTlog => self.flight_tlog_written(result, context),
            Operation::SyncRound => self.sync_ended(result, context),
            Operation::CreateSco(sco) => self.sco_created(sco, result, context),
            Operation::WriteScoHeader(sco) => self.sco_header_written(sco, result),
            Operation::CreateTlog => self.tlog_created(result, context),
            Operation::WriteTlogHeader => self.tlog_header_written(result, context),
            Operation::SyncTlogHeader => self.tlog_header_synced(result),
            Operation::ReadForUpload(sco) => self.read_for_upload(sco, result, context),
            Operation::ReadPart { job, part } => self.part_read(job, part, result, context),
            Operation::MapCreate | Operation::MapWrite | Operation::MapSync => {
                self.map_file_ended(&operation, result, context);
            }
            // It ends as work.
            Operation::CheckForUpload(..) => {}
            // A trailer only speeds up a later start, and a file that stays is found again by the next one.
            Operation::WriteTrailer | Operation::DeleteFile => {}
        }
    }

    /// Work for this volume ended.
    pub(crate) fn worked(&mut self, operation: OperationId, result: &Done, context: &mut Context<'_>) {
        if let Some(Operation::CheckForUpload(sco, payload)) = self.operations.ended(operation) {
            self.checked_for_upload(sco, payload, *result == Done::Checked, context);
        }
    }

    /// Everything that came in this turn has been noted: go on.
    pub(crate) fn turn_end(&mut self, context: &mut Context<'_>) {
        if self.stop.is_some() {
            return;
        }
        self.process_queue(context);
        self.advance_roll(context);
        self.launch_flight(context);
        self.start_sync_round(context);
        self.start_uploads(context);
        self.publish_next(context);
        self.write_map(context);
        self.delete_garbage(context);
        self.evict(context);
        self.release_buffer(context);
        self.survey(context);
    }

    /// What can't be read any more, as far as is known.
    pub(crate) fn lost_ranges(&self) -> LostRanges {
        let mut lost = self.lost.clone();
        lost.add_all(self.survey.lost());
        lost
    }

    /// These clusters were read, or hold something else now.
    fn not_lost(&mut self, from: u64, end: u64) {
        self.lost.remove(from, end);
        self.survey.remove(from, end);
    }

    /// The retry timer ran out.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        let due: Vec<Retry> =
            self.retries.iter().filter(|(at, _)| *at <= context.now).map(|(_, r)| *r).collect();
        self.retries.retain(|(at, _)| *at > context.now);
        for retry in due {
            match retry {
                Retry::Upload(sco) => self.set_sco_state(sco, ScoState::Closed),
                Retry::Redundancy(sco) => self.ask_redundancy(sco, context),
                Retry::Publish => self.publishing = None,
                Retry::Delete => self.dead.append(&mut self.deleting),
                Retry::ReadPart { job, part } => self.resolve_part(job, part, context),
                Retry::Survey => self.survey.tick(),
            }
        }
    }

    pub(crate) fn retry_later(&mut self, retry: Retry, context: &Context<'_>) {
        self.retries.push((context.now.after(context.config.retry_first), retry));
    }

    /// A write or sync of the log failed: its files are never trusted again (L4).
    pub(crate) fn log_failed(&mut self, error: DiskError, doing: &str) {
        self.stop.get_or_insert_with(|| match error {
            // A full disk doubts nothing that was acknowledged: begin anew from what is there.
            DiskError::Full => Stop::Restart,
            DiskError::NotFound | DiskError::Failed | DiskError::Damaged => Stop::Halt(alloc::format!(
                "the write buffer's disk failed while {doing}; what was not yet on the ASDs is on that disk \
                 alone. Replace or repair the disk, then start again"
            )),
        });
    }

    /// Bytes that hold acknowledged data and that the backend lacks, or holds without redundancy (L8).
    pub(crate) fn unsafe_bytes(&self) -> ByteCount {
        let in_danger =
            |sco: &&LocalSco| !matches!(sco.state, ScoState::Stored { spare: 1.. } | ScoState::Cached);
        let clusters: usize = self.local.values().filter(in_danger).map(|sco| sco.crcs.len()).sum();
        ByteCount(clusters as u64 * CLUSTER_BYTES)
    }

    /// Bytes of clusters that are in the write buffer and not on the backend.
    pub(crate) fn buffered(&self) -> ByteCount {
        let is_here_alone =
            |sco: &&LocalSco| !matches!(sco.state, ScoState::Stored { .. } | ScoState::Cached);
        let clusters: usize = self.local.values().filter(is_here_alone).map(|sco| sco.crcs.len()).sum();
        ByteCount(clusters as u64 * CLUSTER_BYTES)
    }

    /// Bytes that this volume's local files take of the write buffer's room.
    pub(crate) fn local_bytes(&self) -> u64 {
        let scos: usize = self.local.values().map(|sco| sco.crcs.len()).sum();
        let tlogs: u64 = self.closed.iter().map(|tlog| tlog.file_bytes).sum();
        scos as u64 * CLUSTER_BYTES + tlogs + self.log.tlog_bytes()
    }

    /// Clusters that hold data, as a guest sees it.
    pub(crate) fn stored_clusters(&self) -> u64 {
        let mut stored = self.base.stored_clusters();
        let mut below = Vec::new();
        for run in self.overlay.runs(0, u64::MAX) {
            below.clear();
            self.base.runs(run.address.0, run.end(), &mut below);
            stored -= below.iter().filter(|run| !run.location.is_none()).map(|run| run.clusters).sum::<u64>();
            stored += if run.location.is_none() { 0 } else { run.clusters };
        }
        stored
    }

    pub(crate) fn set_sco_state(&mut self, sco: ScoId, state: ScoState) {
        let Some(local) = self.local.get_mut(&sco) else { return };
        local.state = state;
        if state.is_settled() {
            self.unsettled.remove(&sco);
        } else {
            self.unsettled.insert(sco);
        }
    }

    /// Where the clusters of a range rest, as a read sees it now.
    pub(crate) fn look_up(&self, from: u64, to: u64) -> Vec<Run> {
        crate::map::look_up(&self.overlay, &self.base, from, to)
    }

    /// Panics when an invariant of the module's doc does not hold.
    pub(crate) fn check_invariants(&self) {
        self.log.check_invariants();
        let local = |run: &Run| run.location.is_none() || self.local.contains_key(&run.location.sco());
        debug_assert!(self.overlay.runs(0, u64::MAX).all(|run| local(&run)), "invariant 2");
        let order = self.closed.iter().zip(self.closed.iter().skip(1)).all(|(a, b)| a.tlog < b.tlog);
        debug_assert!(order, "invariant 3: order");
        debug_assert!(self.cork.zip(self.closed.front()).is_none_or(|(cork, next)| cork.tlog < next.tlog));
        let unsettled = self.local.iter().filter(|(_, local)| !local.state.is_settled());
        debug_assert!(unsettled.map(|(sco, _)| sco).eq(&self.unsettled), "invariant 5");
        let live = |sco: &ScoId| self.base.live_clusters(*sco) > 0;
        debug_assert!(!self.deleting.iter().any(live), "invariant 4");
    }
}

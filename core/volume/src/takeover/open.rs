//! Opening: what was kept is made durable, what was cut goes, and a new TLog begins (L3).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use formats::journal::{FileHeader, Kind, Mark, Predecessor, Writer};
use formats::namespace::ObjectName;
use formats::payload::zero_pieces;
use formats::sco::cluster_position;
use formats::tlog::encode_label;
use glossary::{CLUSTER_BYTES, LogNumber, ScoId, TlogId};
use step::{DiskOperation, DiskResult};

use super::{FoundTlog, Operation, Outcome, TakeOver};
use crate::context::{Context, Operations};
use crate::files::{LocalFile, journal_owner, sequence_of_tlog};
use crate::map::Overlay;
use crate::serving::{
    BufferClaim, Client, Flushes, Log, LostRanges, MapFile, ScoBlock, Serving, Survey, run_of,
};

/// How far the opening is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opening {
    /// Where the part of the local log that is kept ends; none when none of it is.
    pub(super) kept_end: Option<Predecessor>,
    /// A TLog of the chain is to be asked for again.
    pub(super) fetch_again: bool,
    /// The TLog of the chain that too few OSDs answered for when it was last asked for.
    pub(super) unanswered: Option<TlogId>,
    /// Up to here the local log was synced once, as surviving marks tell.
    pub(super) vouched: Mark,
    /// Writes that are left before anything is synced.
    rewriting: usize,
    /// Syncs and deletions that are left.
    settling: usize,
    settled: bool,
    block: Option<ScoBlock>,
    writer: Option<Writer>,
}

impl TakeOver {
    /// Writes again what no mark vouches for, before it is synced: after a sync that failed, what is read may
    /// be nowhere but in the kernel's memory, and a second sync would find nothing to write (L4).
    pub(super) fn open(&mut self, context: &mut Context<'_>) {
        let mut writes = Vec::new();
        for (_, (sco, offset), bytes) in core::mem::take(&mut self.tail.data) {
            let file = LocalFile::Sco(sco).name(self.id);
            writes.push(DiskOperation::Write {
                file,
                offset: cluster_position(offset),
                pieces: alloc::vec![bytes],
            });
        }
        for found in core::mem::take(&mut self.tlogs) {
            let Some(closed) = self.closed.iter().find(|closed| closed.tlog == found.tlog) else { continue };
            if context.config.accept_loss {
                writes.extend(self.wipe(&found, closed.file_bytes));
            }
            let sequence = sequence_of_tlog(found.tlog);
            let vouched = self.opening.vouched;
            let from = if vouched.sequence == sequence { vouched.position } else { 0 };
            if vouched.sequence <= sequence && from < closed.file_bytes {
                // A batch may check though a power cut took a part of its padding.
                let (end, there) = (closed.file_bytes as usize, found.bytes.len());
                let mut pieces = alloc::vec![found.bytes.slice(from as usize..end.min(there))];
                pieces.extend(zero_pieces(end.saturating_sub(there)));
                let file = LocalFile::Tlog(found.tlog).name(self.id);
                writes.push(DiskOperation::Write { file, offset: from, pieces });
            }
        }
        self.opening.rewriting = writes.len();
        for what in writes {
            self.operations.start(Operation::Rewrite, what, context);
        }
        if self.opening.rewriting == 0 {
            self.settle(context);
        }
    }

    /// Zeros over what follows the part of a TLog that is kept: after an accepted loss there may be marks in it, which
    /// would call the loss damage again at the next take-over.
    fn wipe(&self, found: &FoundTlog, kept: u64) -> Option<DiskOperation> {
        let rest = (found.bytes.len() as u64).checked_sub(kept).filter(|rest| *rest > 0)?;
        let pieces = zero_pieces(usize::try_from(rest).expect("a TLog fits memory"));
        let file = LocalFile::Tlog(found.tlog).name(self.id);
        Some(DiskOperation::Write { file, offset: kept, pieces })
    }

    pub(super) fn rewritten(&mut self, result: &DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.disk_failed(*error, "writing the local log again");
            return;
        }
        self.opening.rewriting -= 1;
        if self.opening.rewriting == 0 {
            self.settle(context);
        }
    }

    /// Syncs what was kept and deletes what was not, all at once.
    fn settle(&mut self, context: &mut Context<'_>) {
        let tlogs: BTreeSet<TlogId> = self.closed.iter().map(|closed| closed.tlog).collect();
        let mut whats = Vec::new();
        for file in self.files.keys() {
            let name = file.name(self.id);
            let keep = match file {
                LocalFile::Tlog(tlog) => tlogs.contains(tlog),
                LocalFile::Sco(sco) => self.local.contains_key(sco),
                // The new map file replaces the old ones when it is whole.
                LocalFile::Map(_) => continue,
            };
            whats.push(if keep {
                DiskOperation::Sync { file: name }
            } else {
                DiskOperation::Delete { file: name }
            });
        }
        self.opening.settling = whats.len();
        for what in whats {
            self.operations.start(Operation::Settle, what, context);
        }
        self.maybe_create(context);
    }

    pub(super) fn settled(&mut self, result: &DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.disk_failed(*error, "settling the local log");
            return;
        }
        self.opening.settling -= 1;
        self.maybe_create(context);
    }

    /// Whether a block of SCO numbers is needed before it can go on.
    pub(crate) fn wants_sco_block(&self) -> bool {
        self.opening.block.is_none()
    }

    /// The registry gave a block of SCO numbers: each generation starts a new one (L5).
    pub(crate) fn sco_block_taken(&mut self, first: u64, context: &mut Context<'_>) {
        self.opening.block = Some(ScoBlock::new(first));
        if self.opening.settled {
            self.maybe_create(context);
        }
    }

    fn maybe_create(&mut self, context: &mut Context<'_>) {
        if self.opening.settling > 0 {
            return;
        }
        self.opening.settled = true;
        if self.opening.block.is_some() && self.opening.writer.is_none() {
            let what = DiskOperation::Create { file: LocalFile::Tlog(self.new_tlog()).name(self.id) };
            self.operations.start(Operation::Create, what, context);
        }
    }

    fn new_tlog(&self) -> TlogId {
        TlogId { generation: self.record().generation, sequence: 1 }
    }

    pub(super) fn created(&mut self, result: &DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.disk_failed(*error, "creating a TLog");
            return;
        }
        let published = self.head.map(|head| {
            let end = Mark { sequence: sequence_of_tlog(head.tlog), position: 0 };
            Predecessor { end, check: head.checksum }
        });
        let header = FileHeader {
            kind: Kind::TLOG,
            owner: journal_owner(self.id),
            sequence: sequence_of_tlog(self.new_tlog()),
            predecessor: self.opening.kept_end.or(published),
            label: encode_label(&self.clients.iter().map(|(client, applied)| (*client, *applied)).collect()),
        };
        let (writer, page) = Writer::begin(&header);
        self.opening.writer = Some(writer);
        let file = LocalFile::Tlog(self.new_tlog()).name(self.id);
        let what = DiskOperation::Write { file, offset: 0, pieces: alloc::vec![page] };
        self.operations.start(Operation::WriteHeader, what, context);
    }

    pub(super) fn header_written(&mut self, result: &DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.disk_failed(*error, "writing a TLog");
            return;
        }
        let what = DiskOperation::Sync { file: LocalFile::Tlog(self.new_tlog()).name(self.id) };
        self.operations.start(Operation::SyncHeader, what, context);
    }

    pub(super) fn header_synced(&mut self, result: &DiskResult) {
        if let Err(error) = result {
            // A failed sync is final (L4), whatever its error.
            let _ = error;
            self.disk_failed(step::DiskError::Failed, "syncing a TLog");
            return;
        }
        let serving = self.serving();
        self.outcome = Some(Outcome::Serves(alloc::boxed::Box::new(serving)));
    }

    fn serving(&mut self) -> Serving {
        let record = self.record().clone();
        let buffer_identity = self.buffer.expect("a write buffer without an identity is not served from");
        let writer = self.opening.writer.take().expect("the header was written");
        let block = self.opening.block.take().expect("a block was taken");
        let log = Log::new(self.new_tlog(), writer, record.sco_size.0 / CLUSTER_BYTES, block);
        let closed: VecDeque<_> = core::mem::take(&mut self.closed).into();
        let mut overlay = Overlay::default();
        for tlog in &closed {
            for entry in &tlog.entries {
                let number = LogNumber { generation: tlog.tlog.generation, number: entry.number };
                overlay.set(run_of(entry), number);
            }
        }
        let local = core::mem::take(&mut self.local);
        Serving {
            id: self.id,
            buffer: if record.buffer.is_some() { BufferClaim::Claimed } else { BufferClaim::Free },
            buffer_identity,
            record_held: false,
            proposed: None,
            record,
            dead: self.garbage(&local.keys().copied().collect()),
            base: core::mem::take(&mut self.base),
            overlay,
            cork: self.cork,
            published_clients: core::mem::take(&mut self.published_clients),
            log,
            unsettled: local.iter().filter(|(_, sco)| !sco.state.is_settled()).map(|(id, _)| *id).collect(),
            local,
            closed,
            clients: core::mem::take(&mut self.clients)
                .into_iter()
                .map(|(id, applied)| (id, known(applied)))
                .collect(),
            sessions: BTreeMap::new(),
            queue: VecDeque::new(),
            merging: None,
            flushes: Flushes::default(),
            reads: BTreeMap::new(),
            next_read: 1,
            map_file: MapFile::new(self.map_numbers()),
            publishing: None,
            deleting: Vec::new(),
            pushes: Vec::new(),
            operations: Operations::new(self.id, self.operations.next()),
            retries: Vec::new(),
            redundancy_tries: BTreeMap::new(),
            lost: LostRanges::default(),
            survey: Survey::default(),
            stop: None,
            mark_timer: false,
        }
    }

    /// Objects on the backend that neither the map nor the local log names (L6): SCOs whose last cluster was
    /// overwritten, and those that an earlier owner uploaded and never named in a TLog.
    fn garbage(&self, local: &BTreeSet<ScoId>) -> Vec<ScoId> {
        let unneeded = |sco: &ScoId| self.base.live_clusters(*sco) == 0 && !local.contains(sco);
        let scos = self.objects.keys().filter_map(|name| match name {
            ObjectName::Sco(sco) => Some(*sco),
            ObjectName::Tlog(_) => None,
        });
        scos.filter(unneeded).collect()
    }
}

/// A client as the log tells of it: everything that was kept is stable by now.
fn known(applied: u64) -> Client {
    Client { accepted: applied, logged: applied, stable: applied, ..Client::default() }
}

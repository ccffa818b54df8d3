//! Taking a vDisk over: every start is one (PROTOCOLS O5).
//!
//! In this order (O3): the registry's record is claimed under the next generation; the namespace manager
//! raises it, so that whoever owned the vDisk before can change nothing any more; only then the backend is
//! listed, the map is loaded, the published chain replayed, and the local log recovered. What was kept is
//! synced, a new TLog is opened, and the volume serves.

mod chain;
mod claim;
mod local_log;
mod map_load;
mod open;
mod sco_headers;
mod tail;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use formats::namespace::{ChainHead, ObjectName};
use formats::registry::VdiskRecord;
use formats::tlog::Clients;
use glossary::{BufferIdentity, ClientId, Policy, ScoId, TlogId, VdiskId};
use step::{DiskError, DiskOperation, DiskResult, FileName, OperationId};

use crate::context::{Context, Operations};
use crate::files::LocalFile;
use crate::map::Base;
use crate::serving::{ClosedTlog, LocalSco, Serving};
pub(crate) use claim::namespace_command;
use local_log::FoundTlog;

/// What a take-over came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The volume serves.
    Serves(alloc::boxed::Box<Serving>),
    /// It can't, until a person acts; why.
    Halts(String),
    /// The vDisk is being deleted.
    Deleting(VdiskRecord),
    /// There is no such vDisk any more.
    Gone,
    /// The write buffer's disk is full, or the record changed meanwhile: to be tried again.
    TryAgain,
}

/// A vDisk that is being taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TakeOver {
    id: VdiskId,
    /// The identity of the write buffer that is here; none where its folder has none.
    buffer: Option<BufferIdentity>,
    policies: Vec<Policy>,
    /// This vDisk's files in the write buffer, with their lengths.
    files: BTreeMap<LocalFile, u64>,
    record: Option<VdiskRecord>,
    head: Option<ChainHead>,
    objects: BTreeMap<ObjectName, u64>,
    base: Base,
    dead: Vec<ScoId>,
    cork: Option<ChainHead>,
    clients: BTreeMap<ClientId, u64>,
    /// The clients after the last entry that is published.
    published_clients: Clients,
    /// TLogs still to fetch, the next one last.
    chain: Vec<(TlogId, u64)>,
    /// What the labels of the local TLogs say of clients, in order.
    labels: VecDeque<(TlogId, Vec<(ClientId, u64)>)>,
    tlogs: Vec<FoundTlog>,
    tail: tail::Tail,
    closed: Vec<ClosedTlog>,
    local: BTreeMap<ScoId, LocalSco>,
    /// The last SCO whose header was read.
    headers_read: Option<ScoId>,
    opening: open::Opening,
    operations: Operations<Operation>,
    outcome: Option<Outcome>,
}

/// Why a file of a newer format stops a vDisk. Nothing was changed by then.
fn newer(file: &FileName, version: u16, known: u16) -> String {
    alloc::format!(
        "{file} in the write buffer has format version {version}, and this program knows up to {known}; use a newer \
         ovs"
    )
}

/// What a disk operation was for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    ReadMap(u64),
    ReadTlog(TlogId),
    ReadTail { batch: usize, entry: usize },
    ReadScoHeader(ScoId),
    Rewrite,
    Settle,
    Create,
    WriteHeader,
    SyncHeader,
}

impl TakeOver {
    /// Begins: the first thing is what the registry says now.
    pub(crate) fn begin(
        id: VdiskId,
        buffer: Option<BufferIdentity>,
        policies: Vec<Policy>,
        files: BTreeMap<LocalFile, u64>,
        operations_from: u64,
        context: &mut Context<'_>,
    ) -> Self {
        let mut take_over = TakeOver {
            id,
            buffer,
            policies,
            files,
            record: None,
            head: None,
            objects: BTreeMap::new(),
            base: Base::default(),
            dead: Vec::new(),
            cork: None,
            clients: BTreeMap::new(),
            published_clients: Clients::new(),
            chain: Vec::new(),
            labels: VecDeque::new(),
            tlogs: Vec::new(),
            tail: tail::Tail::default(),
            closed: Vec::new(),
            local: BTreeMap::new(),
            headers_read: None,
            opening: open::Opening::default(),
            operations: Operations::new(id, operations_from),
            outcome: None,
        };
        take_over.read_record(context);
        take_over
    }

    /// What it came to, once.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// The registry's record: as it was read, or as it was claimed.
    pub(crate) fn known_record(&self) -> Option<&VdiskRecord> {
        self.record.as_ref()
    }

    /// The first operation number that a later life of this volume may use.
    pub(crate) fn operations_next(&self) -> u64 {
        self.operations.next()
    }

    pub(crate) fn disk(&mut self, operation: OperationId, result: DiskResult, context: &mut Context<'_>) {
        let Some(operation) = self.operations.ended(operation) else { return };
        if self.outcome.is_some() {
            return;
        }
        match operation {
            Operation::ReadMap(number) => self.map_read(number, result, context),
            Operation::ReadTlog(tlog) => self.tlog_read(tlog, result, context),
            Operation::ReadTail { batch, entry } => self.tail_read(batch, entry, &result, context),
            Operation::ReadScoHeader(sco) => self.sco_header_read(sco, &result, context),
            Operation::Rewrite => self.rewritten(&result, context),
            Operation::Settle => self.settled(&result, context),
            Operation::Create => self.created(&result, context),
            Operation::WriteHeader => self.header_written(&result, context),
            Operation::SyncHeader => self.header_synced(&result),
        }
    }

    fn read_file(&mut self, operation: Operation, file: LocalFile, context: &mut Context<'_>) {
        let length = self.files.get(&file).copied().unwrap_or(0);
        let what = DiskOperation::Read { file: file.name(self.id), offset: 0, length };
        self.operations.start(operation, what, context);
    }

    fn record(&self) -> &VdiskRecord {
        self.record.as_ref().expect("the record was read first")
    }

    fn halt(&mut self, why: String) {
        self.outcome.get_or_insert(Outcome::Halts(why));
    }

    /// A disk operation that the take-over can't do without failed.
    fn disk_failed(&mut self, error: DiskError, doing: &str) {
        let outcome = match error {
            DiskError::Full => Outcome::TryAgain,
            DiskError::NotFound | DiskError::Failed | DiskError::Damaged => Outcome::Halts(alloc::format!(
                "the write buffer's disk failed while {doing}; repair or replace it, then start again"
            )),
        };
        self.outcome.get_or_insert(outcome);
    }
}

//! The tail of the local log: entries above the last mark count only when every cluster that they name is in
//! its SCO. The first batch with one that isn't is where the log ends: nothing after it was flushed, and
//! nothing of it was acknowledged, unless a power cut took what was never synced.

use alloc::vec::Vec;
use bytes::Bytes;
use formats::Payload;
use formats::namespace::ObjectName;
use formats::sco::cluster_position;
use formats::tlog::EntryKind;
use glossary::{CLUSTER_BYTES, ScoId, TlogId};
use step::{Bug, DiskOperation, DiskOutcome, DiskResult};

use super::local_log::KeptBatch;
use super::{Operation, TakeOver};
use crate::context::Context;
use crate::counters::Counter;
use crate::files::LocalFile;
use crate::serving::{ClosedTlog, LocalSco, ScoState};

/// The batches that are kept, and how far their clusters have been looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) batches: Vec<KeptBatch>,
    /// The next entry to look at.
    at: (usize, usize),
    /// Clusters that were looked at: of which batch, where they rest, and their bytes.
    pub(super) data: Vec<(usize, (ScoId, u64), Bytes)>,
}

impl TakeOver {
    pub(super) fn verify_tail(&mut self, batches: Vec<KeptBatch>, context: &mut Context<'_>) {
        self.tail = Tail { batches, at: (0, 0), data: Vec::new() };
        self.verify_next(context);
    }

    fn verify_next(&mut self, context: &mut Context<'_>) {
        let accept_all = context.config.has(Bug::TornTailAccepted);
        // After a loss, what was synced once needs a look as well.
        let doubt_all = context.config.accept_loss;
        while let Some(batch) = self.tail.batches.get(self.tail.at.0) {
            let (number, entry_number) = self.tail.at;
            let doubtful = (!batch.synced || doubt_all) && !accept_all;
            match batch.entries.get(entry_number) {
                Some(entry)
                    if doubtful
                        && entry.kind == EntryKind::Write
                        && !self.is_stored(entry.location.sco()) =>
                {
                    let what = DiskOperation::Read {
                        file: LocalFile::Sco(entry.location.sco()).name(self.id),
                        offset: cluster_position(u64::from(entry.location.offset().0)),
                        length: entry.clusters * CLUSTER_BYTES,
                    };
                    let operation = Operation::ReadTail { batch: number, entry: entry_number };
                    self.operations.start(operation, what, context);
                    return;
                }
                Some(_) => self.tail.at.1 += 1,
                None => self.tail.at = (number + 1, 0),
            }
        }
        self.tail_verified(context);
    }

    pub(super) fn tail_read(
        &mut self,
        batch: usize,
        entry: usize,
        result: &DiskResult,
        context: &mut Context<'_>,
    ) {
        let expected = &self.tail.batches[batch].entries[entry];
        let whole = match result {
            Ok(DiskOutcome::Read(bytes)) if bytes.len() as u64 == expected.clusters * CLUSTER_BYTES => {
                let data = Payload::with_crcs(alloc::vec![bytes.clone()], expected.crcs.to_vec());
                data.is_some_and(|data| data.verify())
            }
            Err(step::DiskError::Failed) if !context.config.accept_loss => {
                self.disk_failed(step::DiskError::Failed, "reading a SCO");
                return;
            }
            _ => false,
        };
        match (whole, result) {
            (true, Ok(DiskOutcome::Read(bytes))) => {
                if !self.tail.batches[batch].synced {
                    let place = (expected.location.sco(), u64::from(expected.location.offset().0));
                    self.tail.data.push((batch, place, bytes.clone()));
                }
                self.tail.at = (batch, entry + 1);
            }
            _ => {
                if self.tail.batches[batch].synced {
                    context.count(Counter::LossesAccepted, 1);
                }
                self.tail.batches.truncate(batch);
                self.tail.data.retain(|(of, ..)| *of < batch);
            }
        }
        self.verify_next(context);
    }

    /// What is kept is settled: TLogs with entries, their SCOs, the clients.
    fn tail_verified(&mut self, context: &mut Context<'_>) {
        let batches = core::mem::take(&mut self.tail.batches);
        for batch in batches {
            self.learn_clients(batch.tlog);
            for entry in batch.entries.iter().filter(|entry| entry.completes_change) {
                let applied = self.clients.entry(entry.client).or_default();
                *applied = (*applied).max(entry.change);
            }
            if !batch.entries.is_empty() {
                self.opening.kept_end = Some(batch.end);
                self.keep_scos(&batch);
                self.keep_entries(batch);
            }
        }
        self.learn_clients(TlogId { generation: glossary::Generation(u32::MAX), sequence: u32::MAX });
        if let Some(sco) = self.missing_sco() {
            let why = alloc::format!("SCO {sco} is missing from it, or too short");
            if !self.loss_is_accepted(&why, context) {
                return;
            }
        }
        self.read_sco_headers(context);
    }

    /// Takes in what the labels of TLogs up to this one say of clients.
    fn learn_clients(&mut self, through: TlogId) {
        while let Some((_, label)) = self.labels.pop_front_if(|(tlog, _)| *tlog <= through) {
            self.clients.extend(label);
        }
    }

    fn keep_entries(&mut self, batch: KeptBatch) {
        let (tlog, end): (TlogId, u64) = (batch.tlog, batch.end.end.position);
        let clients: Vec<_> = self.clients.iter().map(|(client, applied)| (*client, *applied)).collect();
        let writes = batch.entries.iter().filter(|entry| entry.kind == EntryKind::Write);
        let mut scos: Vec<ScoId> = writes.map(|entry| entry.location.sco()).collect();
        scos.dedup();
        match self.closed.last_mut().filter(|closed| closed.tlog == tlog) {
            Some(closed) => {
                closed.entries.extend(batch.entries);
                scos.retain(|sco| !closed.scos.contains(sco));
                closed.scos.append(&mut scos);
                (closed.clients, closed.file_bytes) = (clients, end);
            }
            None => {
                let (entries, file_bytes) = (batch.entries, end);
                self.closed.push(ClosedTlog { tlog, entries, scos, clients, file_bytes });
            }
        }
    }

    fn keep_scos(&mut self, batch: &KeptBatch) {
        for entry in batch.entries.iter().filter(|entry| entry.kind == EntryKind::Write) {
            let sco = entry.location.sco();
            let state = if self.is_stored(sco) { ScoState::Found } else { ScoState::Closed };
            let fresh = LocalSco::new(state);
            let local = self.local.entry(sco).or_insert(fresh);
            let end = usize::from(entry.location.offset().0) + entry.crcs.len();
            local.crcs.resize(end.max(local.crcs.len()), 0);
            local.crcs[usize::from(entry.location.offset().0)..end].copy_from_slice(&entry.crcs);
            local.written = local.crcs.len() as u64;
        }
    }

    /// Whether the backend has a SCO: it was synced and whole then, and is what reads fall back to.
    fn is_stored(&self, sco: ScoId) -> bool {
        self.objects.contains_key(&ObjectName::Sco(sco))
    }

    /// A SCO file that the log needs and that is not there, or too short. When the operator accepted losses, every
    /// entry was looked at, and those of such a SCO are not kept.
    fn missing_sco(&self) -> Option<ScoId> {
        let length = |sco| self.files.get(&LocalFile::Sco(sco)).copied().unwrap_or(0);
        let is_short = |sco: &ScoId, local: &LocalSco| length(*sco) < cluster_position(local.written);
        let short =
            self.local.iter().find(|(sco, local)| local.state != ScoState::Found && is_short(sco, local));
        short.map(|(sco, _)| *sco)
    }
}

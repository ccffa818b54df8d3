//! The local log: TLogs in the write buffer that are not published yet.

use alloc::vec::Vec;
use bytes::Bytes;
use formats::journal::{
    Batch, FileScan, HeaderError, Headless, Judgement, Kind, Mark, Predecessor, judge, scan,
};
use formats::tlog::{Entry, decode_label};
use glossary::{ClientId, TlogId};
use step::{Bug, DiskOutcome, DiskResult};

use super::{Operation, TakeOver};
use crate::context::Context;
use crate::counters::Counter;
use crate::files::{LocalFile, journal_owner, sequence_of_tlog, tlog_of_sequence};

/// A TLog file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundTlog {
    pub(super) tlog: TlogId,
    pub(super) scan: Option<Result<FileScan, Headless>>,
    /// The file as it was read.
    pub(super) bytes: Bytes,
}

/// A batch of the local log that is kept so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptBatch {
    pub(super) tlog: TlogId,
    pub(super) end: Predecessor,
    pub(super) entries: Vec<Entry>,
    /// Whether the log was synced beyond it: its clusters need no look.
    pub(super) synced: bool,
}

impl TakeOver {
    /// Reads every TLog file beyond the published chain. When the registry says that this buffer holds
    /// nothing that matters, none is looked at: what is there is of an earlier life.
    pub(super) fn recover_local(&mut self, context: &mut Context<'_>) {
        let matters = self.record().buffer.is_some();
        let published = self.head.map(|head| head.tlog);
        let tlogs = self.files.keys().filter_map(|file| match file {
            LocalFile::Tlog(tlog) if matters && published.is_none_or(|head| *tlog > head) => Some(*tlog),
            _ => None,
        });
        self.tlogs = tlogs.map(|tlog| FoundTlog { tlog, scan: None, bytes: Bytes::new() }).collect();
        // A TLog is there, synced, before the registry is told that the buffer matters, and the next one before it goes.
        if matters && self.tlogs.is_empty() && !self.loss_is_accepted("the log is missing from it", context) {
            return;
        }
        self.read_next_tlog(context);
    }

    fn read_next_tlog(&mut self, context: &mut Context<'_>) {
        match self.tlogs.iter().find(|found| found.scan.is_none()).map(|found| found.tlog) {
            Some(tlog) => self.read_file(Operation::ReadTlog(tlog), LocalFile::Tlog(tlog), context),
            None => self.judge_local(context),
        }
    }

    pub(super) fn tlog_read(&mut self, tlog: TlogId, result: DiskResult, context: &mut Context<'_>) {
        let bytes = match result {
            Ok(DiskOutcome::Read(bytes)) => bytes,
            Ok(_) => return,
            Err(error) => {
                self.disk_failed(error, "reading a TLog");
                return;
            }
        };
        let scanned = scan(&bytes, Kind::TLOG, &journal_owner(self.id), sequence_of_tlog(tlog));
        if let Err(Headless { error: HeaderError::Newer(version), .. }) = scanned {
            let file = LocalFile::Tlog(tlog).name(self.id);
            self.halt(super::newer(&file, version, Kind::TLOG.version));
            return;
        }
        let found = self.tlogs.iter_mut().find(|found| found.tlog == tlog).expect("it was asked for");
        found.scan = Some(scanned);
        found.bytes = bytes;
        self.read_next_tlog(context);
    }

    fn judge_local(&mut self, context: &mut Context<'_>) {
        let scan = |found: &mut FoundTlog| found.scan.take().expect("every file was read");
        let files: Vec<(u64, Result<FileScan, Headless>)> =
            self.tlogs.iter_mut().map(|found| (sequence_of_tlog(found.tlog), scan(found))).collect();
        let mut judgement = judge(&files, None, Mark::default());
        let apart = !self.continues_chain(&files);
        if (judgement.damage.is_some() || apart) && !context.config.has(Bug::DamageTakenForTail) {
            if !self.loss_is_accepted("the log in it is damaged below a place that was synced", context) {
                return;
            }
            if apart {
                judgement.kept.clear();
            }
        }
        self.opening.vouched = judgement.synced;
        match self.keep(&files, &judgement) {
            Some(batches) => self.verify_tail(batches, context),
            None => self
                .halt("an entry of the local log checks but can't be read: is it of a newer version?".into()),
        }
    }

    /// Whether the operator accepted that what the write buffer can't give back is lost: the sound part before it is
    /// kept then. Halts otherwise.
    pub(super) fn loss_is_accepted(&mut self, why: &str, context: &mut Context<'_>) -> bool {
        if context.config.accept_loss {
            context.count(Counter::LossesAccepted, 1);
        } else {
            self.halt(alloc::format!(
                "the write buffer lost acknowledged data of this vDisk: {why}. Restore the write buffer's disk, or go \
                 on with what came before by --accept-write-buffer-loss"
            ));
        }
        context.config.accept_loss
    }

    /// Whether the first local TLog follows the last published one.
    fn continues_chain(&self, files: &[(u64, Result<FileScan, Headless>)]) -> bool {
        let Some((_, Ok(first))) = files.first() else { return true };
        let before = first.header.predecessor.map(|predecessor| predecessor.end.sequence);
        before == self.head.map(|head| sequence_of_tlog(head.tlog))
    }

    fn keep(
        &mut self,
        files: &[(u64, Result<FileScan, Headless>)],
        judgement: &Judgement,
    ) -> Option<Vec<KeptBatch>> {
        let mut batches = Vec::new();
        for kept in &judgement.kept {
            let scan = files.iter().find(|(sequence, _)| *sequence == kept.sequence)?.1.as_ref().ok()?;
            let label: Vec<(ClientId, u64)> = decode_label(&scan.header.label)?;
            self.labels.push_back((tlog_of_sequence(kept.sequence), label));
            for batch in &scan.batches[..kept.batches] {
                batches.push(keep_batch(kept.sequence, batch, judgement.synced)?);
            }
        }
        Some(batches)
    }
}

fn keep_batch(sequence: u64, batch: &Batch, synced: Mark) -> Option<KeptBatch> {
    let end = Mark { sequence, position: batch.end };
    Some(KeptBatch {
        tlog: tlog_of_sequence(sequence),
        end: Predecessor { end, check: batch.check },
        entries: Entry::decode_all(&batch.body)?,
        synced: end <= synced,
    })
}

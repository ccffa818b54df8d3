//! Rolling: the open TLog and SCO are closed, and a new TLog takes over.
//!
//! The new TLog's header names where the old one ends, and by that says that it was synced up to there (the
//! journal's rule). So the order is: everything written, everything synced, new file created, its header
//! written and synced; only then are changes taken again.

use formats::journal::{FileHeader, Kind, Mark, Writer};
use formats::sco::{ScoHeader, cluster_position, encode_trailer};
use formats::tlog::encode_label;
use glossary::{CLUSTER_BYTES, ClientId, ScoId, TlogId};
use step::{DiskOperation, DiskResult};

use super::log::{OpenSco, Spare};
use super::{ClosedTlog, LocalSco, Operation, ScoState, Serving};
use crate::context::Context;
use crate::files::{LocalFile, journal_owner, sequence_of_tlog};

/// How far a roll is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roll {
    No,
    /// Waits until everything gathered is written and synced.
    Draining,
    /// Waits for the new file.
    Creating,
}

impl Serving {
    /// Closes the SCO that is full; rolls the TLog when it covers enough.
    pub(crate) fn close_sco(&mut self, context: &mut Context<'_>) {
        let Some(open) = self.log.open.take() else { return };
        self.set_sco_state(open.sco, ScoState::Closed);
        let covers = self.log.scos.len() as u64 * self.log.sco_clusters * CLUSTER_BYTES;
        if covers >= context.config.tlog_covers {
            self.roll();
        }
    }

    /// Asks for a new TLog, unless the open one has no entries.
    pub(crate) fn roll(&mut self) {
        if self.log.roll == Roll::No && !self.log.entries.is_empty() {
            self.log.roll = Roll::Draining;
        }
    }

    pub(crate) fn roll_wants_sync(&self) -> bool {
        self.log.roll == Roll::Draining && self.log.is_quiet() && !self.drained()
    }

    /// Whether all of the TLog is on stable storage: its successor will say so. A mark without entries counts.
    fn drained(&self) -> bool {
        let log = &self.log;
        log.is_quiet() && log.synced_end == log.writer.end() && log.dirty.is_empty()
    }

    /// Goes on with a roll when its wait is over.
    pub(crate) fn advance_roll(&mut self, context: &mut Context<'_>) {
        if self.log.roll != Roll::Draining || !self.drained() || self.is_syncing() {
            return;
        }
        self.log.roll = Roll::Creating;
        self.close_open_sco(context);
        let file = LocalFile::Tlog(next_tlog(self.log.tlog)).name(self.id);
        self.operations.start(Operation::CreateTlog, DiskOperation::Create { file }, context);
    }

    /// Closes the open SCO with its TLog; one that took nothing goes.
    fn close_open_sco(&mut self, context: &mut Context<'_>) {
        let Some(open) = self.log.open.take() else { return };
        if open.next > 0 {
            self.set_sco_state(open.sco, ScoState::Closed);
            return;
        }
        self.log.scos.retain(|sco| *sco != open.sco);
        self.local.remove(&open.sco);
        self.delete_file(LocalFile::Sco(open.sco), context);
    }

    pub(crate) fn tlog_created(&mut self, result: DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.log_failed(error, "creating a TLog");
            return;
        }
        let closed = self.log.writer.as_predecessor();
        let tlog = next_tlog(self.log.tlog);
        let header = FileHeader {
            kind: Kind::TLOG,
            owner: journal_owner(self.id),
            sequence: sequence_of_tlog(tlog),
            predecessor: Some(closed),
            label: encode_label(&self.logged_clients()),
        };
        let (writer, page) = Writer::begin(&header);
        self.close_tlog(tlog, writer);
        context.room.count(self.log.tlog_bytes());
        let file = LocalFile::Tlog(tlog).name(self.id);
        let what = DiskOperation::Write { file, offset: 0, pieces: alloc::vec![page] };
        self.operations.start(Operation::WriteTlogHeader, what, context);
    }

    fn close_tlog(&mut self, tlog: TlogId, writer: Writer) {
        self.closed.push_back(ClosedTlog {
            tlog: self.log.tlog,
            entries: core::mem::take(&mut self.log.entries),
            scos: core::mem::take(&mut self.log.scos),
            clients: self.logged_clients(),
            file_bytes: self.log.tlog_bytes(),
        });
        self.log.tlog = tlog;
        self.log.writer = writer;
    }

    pub(crate) fn tlog_header_written(&mut self, result: DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.log_failed(error, "writing a TLog");
            return;
        }
        let file = LocalFile::Tlog(self.log.tlog).name(self.id);
        self.operations.start(Operation::SyncTlogHeader, DiskOperation::Sync { file }, context);
    }

    pub(crate) fn tlog_header_synced(&mut self, result: DiskResult) {
        if let Err(error) = result {
            self.log_failed(error, "syncing a TLog");
            return;
        }
        let end: Mark = self.log.writer.end();
        self.log.completed_end = end;
        self.log.synced_end = end;
        self.log.marked = end;
        self.log.roll = Roll::No;
    }

    /// Every client with its last change that is in the log, whole.
    pub(crate) fn logged_clients(&self) -> alloc::vec::Vec<(ClientId, u64)> {
        self.clients.iter().map(|(id, client)| (*id, client.logged)).collect()
    }

    /// Whether a SCO is open; opens the spare one, or asks for one.
    pub(crate) fn open_sco(&mut self, context: &mut Context<'_>) -> bool {
        if self.log.open.is_some() {
            return true;
        }
        match self.log.spare {
            Spare::Ready(sco) => {
                self.log.open = Some(OpenSco { sco, next: 0 });
                self.log.scos.push(sco);
                self.local.insert(sco, LocalSco::new(ScoState::Open));
                self.log.spare = Spare::None;
                self.make_spare(context);
                true
            }
            Spare::None => {
                self.make_spare(context);
                false
            }
            Spare::Making => false,
        }
    }

    /// Makes the file of the next SCO ahead of its use.
    fn make_spare(&mut self, context: &mut Context<'_>) {
        if let Some(sco) = self.log.block.take() {
            self.log.spare = Spare::Making;
            let file = LocalFile::Sco(sco).name(self.id);
            self.operations.start(Operation::CreateSco(sco), DiskOperation::Create { file }, context);
        }
    }

    pub(crate) fn sco_created(&mut self, sco: ScoId, result: DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.log_failed(error, "creating a SCO");
            return;
        }
        let capacity = u32::try_from(self.log.sco_clusters).expect("a SCO has at most 65,536 clusters");
        let page = ScoHeader { vdisk: self.id, sco, capacity }.encode();
        let file = LocalFile::Sco(sco).name(self.id);
        let what = DiskOperation::Write { file, offset: 0, pieces: alloc::vec![page] };
        self.operations.start(Operation::WriteScoHeader(sco), what, context);
    }

    pub(crate) fn sco_header_written(&mut self, sco: ScoId, result: DiskResult) {
        match result {
            Ok(_) => self.log.spare = Spare::Ready(sco),
            Err(error) => self.log_failed(error, "writing a SCO"),
        }
    }

    /// Writes the trailer of a closed SCO, so that a later start finds its checksums.
    pub(crate) fn write_trailer(&mut self, sco: ScoId, context: &mut Context<'_>) {
        let Some(local) = self.local.get(&sco) else { return };
        let trailer = encode_trailer(sco, &local.crcs);
        let offset = cluster_position(local.crcs.len() as u64);
        let file = LocalFile::Sco(sco).name(self.id);
        let what = DiskOperation::Write { file, offset, pieces: alloc::vec![trailer] };
        self.operations.start(Operation::WriteTrailer, what, context);
    }
}

fn next_tlog(tlog: TlogId) -> TlogId {
    TlogId { sequence: tlog.sequence + 1, ..tlog }
}

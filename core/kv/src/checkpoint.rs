//! Checkpoints: what changed in the states of all groups since the last one goes into the table, in one commit, with what
//! each state stands for. Then the log before it goes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::SnapshotMark;
use formats::Effect;
use formats::kv_table::{GroupHead, RowKey, TABLE_VERSION, TableHead, TableKey, encode_head};
use glossary::GroupId;
use step::{Bug, DiskError, DiskOperation, DiskResult, Effects, Function, TableChange};

use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::disk::{Disk, Purpose};
use crate::group::Group;
use crate::hosted::Hosted;
use crate::rows::Written;
use crate::serving::Serving;
use crate::table::{delete_generation, delete_group, failure, row_key, table_name};

/// A checkpoint that is being committed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The file with which the log goes on from it.
    sequence: u64,
    /// What the states stand for that are in it.
    marks: BTreeMap<GroupId, SnapshotMark>,
    /// So many groups that were dropped are gone with it.
    dropped: usize,
    /// Bytes of log that it replaces.
    replaced: u64,
}

impl<F: Function, C: Group> Serving<F, C> {
    /// A log file just said again all that is not applied: with the states as they are now, it is all there is.
    pub(crate) fn begin_checkpoint(
        &mut self,
        sequence: u64,
        config: &Config<F>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) {
        for group in self.groups.keys().copied().collect::<Vec<_>>() {
            self.with(group, |hosted, _| hosted.installed = false);
        }
        // Who wanted one while the batch before it was written gets this one.
        self.device.checkpoint_due = false;
        // Nothing stands for the log of a group that has no state.
        let stands =
            |hosted: &Hosted<F, C>| hosted.replica.mark().is_some() || hosted.replica.applied().0 == 0;
        if self.device.is_table_busy || !self.groups.values().all(stands) {
            return;
        }
        // Written anew, the table would lack what the log still speaks of.
        if self.device.rewrites && self.device.dropped.len() > self.device.leaving {
            self.device.checkpoint_due = true;
            return;
        }
        let head = TableHead { version: TABLE_VERSION, owner: config.cluster.0, log: sequence };
        let is_whole = self.device.rewrites;
        let mut changes = Vec::new();
        if is_whole {
            changes.push(TableChange::DeletePrefix { prefix: Bytes::new() });
        }
        changes.push(set_head(TableKey::Head, encode_head(TableKey::Head, &head)));
        let dropped = self.device.leaving;
        for group in &self.device.dropped[..dropped] {
            changes.extend(delete_group(*group));
        }
        let mut marks = BTreeMap::new();
        for (group, hosted) in &mut self.groups {
            if let Some(mark) = hosted.checkpoint(is_whole, config.bug, &mut changes) {
                marks.insert(*group, mark);
            }
        }
        let replaced = core::mem::take(&mut self.device.log.grown);
        self.device.checkpoint = Some(Checkpoint { sequence, marks, dropped, replaced });
        self.device.is_table_busy = true;
        disk.start(Purpose::Checkpoint, DiskOperation::Commit { table: table_name(), changes }, effects);
    }

    /// The checkpoint is committed, or was not.
    pub(crate) fn on_checkpoint(
        &mut self,
        result: DiskResult,
        disk: &mut Disk,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        let device = &mut self.device;
        let Some(Checkpoint { sequence, marks, dropped, replaced }) = device.checkpoint.take() else {
            return Ok(());
        };
        device.is_table_busy = false;
        let is_durable = match result {
            Ok(_) => true,
            Err(DiskError::Full) => false,
            Err(error) => return Err(failure(error)),
        };
        if is_durable {
            counters.add(Counter::Snapshots, 1);
            device.rewrites = false;
            device.dropped.drain(..dropped);
            device.leaving = 0;
            device.delete_before(sequence, disk, effects);
        } else {
            counters.add(Counter::SnapshotsGivenUp, 1);
            device.log.grown += replaced;
            device.room.look(disk, effects);
        }
        self.with_all(|hosted, _| {
            hosted.state.end_checkpoint(is_durable);
            if is_durable {
                hosted.stale.clear();
                if let Some(mark) = marks.get(&hosted.replica.of()) {
                    hosted.replica.on_snapshot(mark);
                    hosted.is_unwritten = false;
                }
            }
            hosted.on_checkpoint_ended(is_durable, effects);
            Ok(())
        })
    }

    /// The state of a group that another member gave is committed, or was not.
    pub(crate) fn on_arriving(
        &mut self,
        group: GroupId,
        result: DiskResult,
        counters: &mut Counters,
        effects: &mut Effects<Effect>,
    ) -> Result<(), String> {
        self.device.is_table_busy = false;
        self.with(group, |hosted, _| hosted.on_arriving(result, counters, effects)).unwrap_or(Ok(()))
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Adds what changed since the last checkpoint, or all, and what the state stands for, if it stands for anything.
    fn checkpoint(
        &mut self,
        is_whole: bool,
        bug: Option<Bug>,
        changes: &mut Vec<TableChange>,
    ) -> Option<SnapshotMark> {
        if self.healing.is_some() {
            return None;
        }
        let mut rows = self.state.begin_checkpoint(is_whole || self.is_unwritten);
        let mut mark = self.replica.mark().filter(|mark| *mark != SnapshotMark::default())?;
        mark.index.0 += u64::from(bug == Some(Bug::CheckpointAheadOfLog));
        let mut head = self.state.head(mark.clone(), self.generation);
        if bug == Some(Bug::SessionsLostInSnapshot) {
            lose_sessions(&mut rows, &mut head);
        }
        if self.is_unwritten {
            changes.extend(delete_group(self.replica.of()));
        }
        changes.extend(self.stale.iter().map(|generation| delete_generation(self.replica.of(), *generation)));
        changes.push(TableChange::Delete { key: TableKey::Arrived(self.replica.of()).encode().into() });
        changes.extend(rows.into_iter().map(|(row, value)| {
            let key = row_key(self.replica.of(), self.generation, &row);
            value.map_or_else(
                || TableChange::Delete { key: key.clone() },
                |value| TableChange::Set { key: key.clone(), value: value.into() },
            )
        }));
        let key = TableKey::Group(self.replica.of());
        changes.push(set_head(key, encode_head(key, &head)));
        Some(mark)
    }
}

fn set_head(key: TableKey<'_>, value: Vec<u8>) -> TableChange {
    TableChange::Set { key: key.encode().into(), value: value.into() }
}

/// A planted mistake.
fn lose_sessions(rows: &mut Vec<Written>, head: &mut GroupHead) {
    rows.retain(|(key, _)| matches!(RowKey::decode(key), Some(RowKey::Pair(_))));
    (head.sessions, head.sessions_hash) = (0, 0);
}

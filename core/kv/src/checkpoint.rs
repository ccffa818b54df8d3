//! Checkpoints: what changed in the states of all groups since the last one goes into the table, in one commit, with what
//! each state stands for. Then the log before it goes.
//!
//! What goes into it is gathered over several steps, so that none of them takes long: it is of the moment at which it
//! began all the same (`Map::gather`).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::SnapshotMark;
use core::time::Duration;
use formats::Effect;
use formats::kv_table::{GroupHead, RowKey, TABLE_VERSION, TableHead, TableKey, encode_head};
use glossary::GroupId;
use step::{Bug, DiskError, DiskOperation, DiskResult, Effects, Function, TableChange};

use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::device::GATHER_TIMER;
use crate::disk::{Disk, Purpose};
use crate::group::Group;
use crate::hosted::Hosted;
use crate::map::Slice;
use crate::rows::Written;
use crate::serving::Serving;
use crate::table::{delete_generation, delete_group, failure, row_key, table_name};

/// How long a node that has nothing else to do waits before it gathers more.
const GATHER_AFTER: Duration = Duration::from_millis(1);

/// Bytes after which a step gathers no more.
const SLICE_BYTES: usize = 1 << 20;

/// A checkpoint that is being gathered or committed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// What is not gathered yet; none once it is being committed.
    gathering: Option<Gathering>,
    /// It has all there is, not only what changed.
    is_whole: bool,
    /// The file with which the log goes on from it.
    sequence: u64,
    /// What the states stand for that are in it.
    marks: BTreeMap<GroupId, SnapshotMark>,
    /// So many groups that were dropped are gone with it.
    dropped: usize,
    /// Bytes of log that it replaces.
    replaced: u64,
}

/// What a checkpoint has, and what it lacks.
#[derive(Debug, Default)]
struct Gathering {
    changes: Vec<TableChange>,
    /// Whose pairs are not gathered whole yet.
    left: VecDeque<GroupId>,
    /// A timer runs for the next step.
    is_waiting: bool,
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
        if self.device.is_table_busy {
            self.device.checkpoint_due = true;
            return;
        }
        // Who gets its state asks for a checkpoint then.
        if !self.groups.values().all(stands) {
            return;
        }
        // A group that was dropped since the log began anew: the log speaks of it, and goes on from what nobody can write to
        // the table any more. What it follows upon stays, until the log begins again without it.
        if self.device.dropped.len() > self.device.leaving {
            self.device.checkpoint_due = true;
            return;
        }
        let head = TableHead { version: TABLE_VERSION, owner: config.cluster.0, log: sequence };
        let is_whole = core::mem::take(&mut self.device.rewrites);
        let mut changes = Vec::new();
        if is_whole {
            changes.push(TableChange::DeletePrefix { prefix: Bytes::new() });
        }
        changes.push(set_head(TableKey::Head, encode_head(TableKey::Head, &head)));
        let dropped = self.device.leaving;
        for group in &self.device.dropped[..dropped] {
            changes.extend(delete_group(*group));
        }
        let (mut marks, mut left) = (BTreeMap::new(), VecDeque::new());
        for (group, hosted) in &mut self.groups {
            if let Some(mark) = hosted.checkpoint(is_whole, config.bug, &mut changes) {
                marks.insert(*group, mark);
                left.push_back(*group);
            }
        }
        let replaced = core::mem::take(&mut self.device.log.grown);
        let gathering = Some(Gathering { changes, left, is_waiting: false });
        self.device.checkpoint = Some(Checkpoint { gathering, is_whole, sequence, marks, dropped, replaced });
        self.device.is_table_busy = true;
        self.gather(config, disk, effects);
    }

    /// Gathers more of a checkpoint under way, and commits it once it has everything.
    pub(crate) fn gather(&mut self, config: &Config<F>, disk: &mut Disk, effects: &mut Effects<Effect>) {
        let Some(checkpoint) = &mut self.device.checkpoint else { return };
        let Some(gathering) = &mut checkpoint.gathering else { return };
        let mut slice = Slice { rows: config.checkpoint_rows, bytes: SLICE_BYTES };
        while let Some(group) = gathering.left.front() {
            let hosted = self.groups.get_mut(group).expect("who goes is gathered before");
            if !hosted.gather(&mut slice, &mut gathering.changes) {
                break;
            }
            gathering.left.pop_front();
        }
        if gathering.left.is_empty() {
            let changes = core::mem::take(&mut gathering.changes);
            checkpoint.gathering = None;
            disk.start(Purpose::Checkpoint, DiskOperation::Commit { table: table_name(), changes }, effects);
        } else if !gathering.is_waiting {
            gathering.is_waiting = true;
            effects.push(Effect::SetTimer { timer: GATHER_TIMER, after: GATHER_AFTER });
        }
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
        let Some(checkpoint) = device.checkpoint.take() else { return Ok(()) };
        let Checkpoint { gathering: _, is_whole, sequence, marks, dropped, replaced } = checkpoint;
        device.is_table_busy = false;
        let is_durable = match result {
            Ok(_) => true,
            Err(DiskError::Full) => false,
            Err(error) => return Err(failure(error)),
        };
        if is_durable {
            counters.add(Counter::Checkpoints, 1);
            device.dropped.drain(..dropped);
            device.leaving = 0;
            device.delete_before(sequence, disk, effects);
        } else {
            counters.add(Counter::CheckpointsGivenUp, 1);
            device.log.grown += replaced;
            device.rewrites |= is_whole;
            device.room.look(disk, effects);
        }
        self.with_all(|hosted, _| {
            hosted.state.end_checkpoint(is_durable);
            if is_durable {
                hosted.stale.clear();
                if let Some(mark) = marks.get(&hosted.replica.of()) {
                    hosted.replica.on_state_kept(mark);
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

impl Checkpoint {
    /// The timer ran out.
    pub(crate) fn on_gather(&mut self) {
        if let Some(gathering) = &mut self.gathering {
            gathering.is_waiting = false;
        }
    }

    /// A group goes: what is left of it is gathered now, as the checkpoint speaks of it.
    pub(crate) fn on_drop<F: Function, C: Group>(&mut self, group: GroupId, hosted: &mut Hosted<F, C>) {
        let Some(gathering) = &mut self.gathering else { return };
        if let Some(place) = gathering.left.iter().position(|left| *left == group) {
            gathering.left.remove(place);
            hosted.gather(&mut { Slice::ALL }, &mut gathering.changes);
        }
    }
}

impl<F: Function, C: Group> Hosted<F, C> {
    /// Adds pairs, as far as the slice goes. Whether none is left. Its generation is that with which the checkpoint began:
    /// another state comes only while none is under way.
    fn gather(&mut self, slice: &mut Slice, changes: &mut Vec<TableChange>) -> bool {
        let mut rows = Vec::new();
        let is_all = self.state.map.gather(slice, &mut rows);
        changes.extend(rows.into_iter().map(|row| self.written(row)));
        is_all
    }

    /// What a row means to the table.
    fn written(&self, (row, value): Written) -> TableChange {
        let key = row_key(self.replica.of(), self.generation, &row);
        match value {
            Some(value) => TableChange::Set { key, value: value.into() },
            None => TableChange::Delete { key },
        }
    }

    /// Adds what changed since the last checkpoint but for pairs, or all, and what the state stands for, if it stands for
    /// anything.
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
        if bug == Some(Bug::SessionsLostInCheckpoint) {
            lose_sessions(&mut rows, &mut head);
        }
        if self.is_unwritten {
            changes.extend(delete_group(self.replica.of()));
        }
        changes.extend(self.stale.iter().map(|generation| delete_generation(self.replica.of(), *generation)));
        changes.push(TableChange::Delete { key: TableKey::Arrived(self.replica.of()).encode().into() });
        changes.extend(rows.into_iter().map(|row| self.written(row)));
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

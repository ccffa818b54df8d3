//! Starting: find the newest whole snapshot, read the logs from there on, make durable what is kept, and
//! delete what must not be there when a new log file follows.
//!
//! What no mark vouches for is written again before it is synced. It may be in the system's cache alone, and
//! no longer marked as unwritten, when an earlier life ended because its sync failed; then another sync would
//! succeed and do nothing (L4).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::{Member, Membership, Recovered, SnapshotMark};
use core::mem;
use formats::Effect;
use formats::journal::Predecessor;
use formats::message::kv::FunctionId;
use glossary::GroupId;
use step::{Bug, DiskOperation, DiskOutcome, DiskResult, Effects, FileName, Function};

use crate::config::Config;
use crate::disk::{Disk, Named, Purpose, log_name, named, snapshot_name};
use crate::recover::{self, Beginning, LogFile, Refusal};
use crate::state::State;
use crate::transfer::Held;
use crate::unwritten::Anew;

/// A start under way.
#[derive(Debug)]
pub(crate) struct Start<F> {
    owner: [u8; 16],
    bug: Option<Bug>,
    me: Member,
    /// With whom a group begins that has no files.
    first: Option<Membership>,
    functions: BTreeMap<FunctionId, F>,
    state: State<F>,
    /// Files and their lengths, by what they are and their number.
    logs: BTreeMap<u64, u64>,
    snapshots: BTreeMap<u64, u64>,
    /// The snapshot that is being read, then the one that was whole.
    snapshot: Option<u64>,
    /// What it says of the log.
    beginning: Beginning,
    recovered: Option<Recovered>,
    /// What the log has of other groups than the root group.
    others: BTreeMap<GroupId, Recovered>,
    /// A whole snapshot was passed over, as no log goes on from it.
    is_ignored: bool,
    read: Vec<LogFile>,
    end: Option<Predecessor>,
    /// Bytes of the snapshot, while an older one or its logs are there: then nothing vouches for it.
    snapshot_bytes: Bytes,
    /// Files that are written again, and synced after that.
    rewritten: BTreeSet<FileName>,
    /// Operations whose end is awaited.
    awaited: usize,
}

/// A start that is over.
#[derive(Debug)]
pub(crate) struct Started<F> {
    /// What the snapshot gives.
    pub(crate) state: State<F>,
    /// What the member of the root group begins with.
    pub(crate) recovered: Recovered,
    /// What members of other groups begin with.
    pub(crate) others: BTreeMap<GroupId, Recovered>,
    /// Set where nothing of a group was there: what its first file says.
    pub(crate) begins: Option<Anew>,
    /// Where the log ends.
    pub(crate) end: Option<Predecessor>,
    /// The number of the next file: higher than any that was there.
    pub(crate) next: u64,
    /// Files that the state stands on.
    pub(crate) kept: Vec<FileName>,
    /// Files that nothing needs.
    pub(crate) needless: Vec<FileName>,
    /// The snapshot that counts, for other members.
    pub(crate) held: Option<Held>,
    /// Bytes of the logs that were kept.
    pub(crate) log_bytes: u64,
}

impl<F: Function> Start<F> {
    /// Asks what there is.
    pub(crate) fn begin(config: &Config<F>, disk: &mut Disk, effects: &mut Effects<Effect>) -> Self {
        disk.start(Purpose::List, DiskOperation::List, effects);
        Start {
            owner: config.cluster.0,
            bug: config.bug,
            me: config.me,
            first: config.first.clone(),
            beginning: Beginning::default(),
            recovered: None,
            others: BTreeMap::new(),
            functions: config.functions.clone(),
            is_ignored: false,
            state: State::new(config.functions.clone()),
            logs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            snapshot: None,
            read: Vec::new(),
            end: None,
            snapshot_bytes: Bytes::new(),
            rewritten: BTreeSet::new(),
            awaited: 0,
        }
    }

    /// An operation ended. `Some` when that was the last.
    pub(crate) fn on_done(
        &mut self,
        purpose: Purpose,
        result: DiskResult,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        let outcome = result.map_err(|error| {
            format!(
                "the disk under the KV failed at its start ({error:?}, {purpose:?}); check it, start again"
            )
        })?;
        match (purpose, outcome) {
            (Purpose::List, DiskOutcome::Listed(files)) => {
                for (file, length) in files {
                    match named(file) {
                        Some(Named::Log(sequence)) => self.logs.insert(sequence, length),
                        Some(Named::Snapshot(sequence)) => self.snapshots.insert(sequence, length),
                        None => None,
                    };
                }
                self.read_snapshot(None, disk, effects)
            }
            (Purpose::Read(file), DiskOutcome::Read(bytes)) => match named(file) {
                Some(Named::Snapshot(sequence)) => {
                    if let Some(mark) = recover::restore(&bytes, &self.owner, sequence, &mut self.state)? {
                        self.beginning = Beginning { first: Some(sequence), mark };
                        let older = |files: &BTreeMap<u64, u64>| files.range(..sequence).next().is_some();
                        if older(&self.logs) || older(&self.snapshots) {
                            self.snapshot_bytes = bytes;
                        }
                        return self.read_logs(disk, effects);
                    }
                    self.read_snapshot(Some(sequence), disk, effects)
                }
                Some(Named::Log(sequence)) => self.on_log(sequence, bytes, disk, effects),
                None => Ok(None),
            },
            (Purpose::Settle(file), _) if self.rewritten.remove(&file) => {
                disk.start(purpose, DiskOperation::Sync { file }, effects);
                Ok(None)
            }
            (Purpose::Settle(_), _) => {
                self.awaited -= 1;
                Ok(self.started())
            }
            _ => Ok(None),
        }
    }

    /// Reads the newest snapshot, or the newest before one that isn't whole.
    fn read_snapshot(
        &mut self,
        before: Option<u64>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        self.state = State::new(self.functions.clone());
        let older = self.snapshots.range(..before.unwrap_or(u64::MAX));
        let Some((&sequence, &length)) = older.max() else {
            (self.snapshot, self.beginning) = (None, Beginning::default());
            return self.read_logs(disk, effects);
        };
        self.snapshot = Some(sequence);
        let file = snapshot_name(sequence);
        disk.start(Purpose::Read(file), DiskOperation::Read { file, offset: 0, length }, effects);
        Ok(None)
    }

    fn read_logs(
        &mut self,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        let needed: Vec<_> = self.logs.range(self.first_log()..).collect();
        self.awaited = needed.len();
        for (&sequence, &length) in needed {
            let file = log_name(sequence);
            disk.start(Purpose::Read(file), DiskOperation::Read { file, offset: 0, length }, effects);
        }
        match (self.awaited, self.snapshot) {
            (0, Some(snapshot)) if self.beginning.mark.is_some() => self.pass_over(snapshot, disk, effects),
            (0, _) => self.settle(disk, effects),
            _ => Ok(None),
        }
    }

    /// No log goes on from a snapshot yet: what it lacks, a vote perhaps, is in the files before.
    fn pass_over(
        &mut self,
        snapshot: u64,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        self.is_ignored = true;
        (self.snapshot_bytes, self.read) = (Bytes::new(), Vec::new());
        self.read_snapshot(Some(snapshot), disk, effects)
    }

    fn on_log(
        &mut self,
        sequence: u64,
        bytes: Bytes,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        self.read.push(recover::read_log(bytes, &self.owner, sequence)?);
        self.awaited -= 1;
        if self.awaited > 0 {
            return Ok(None);
        }
        self.read.sort_by_key(|log| log.sequence);
        if let Some(snapshot) = self.snapshot.filter(|_| self.beginning.mark.is_some()) {
            let Some(first) = recover::upon(&self.read, snapshot) else {
                return self.pass_over(snapshot, disk, effects);
            };
            self.beginning.first = Some(first);
            self.read.retain(|log| log.sequence >= first);
        }
        self.settle(disk, effects)
    }

    /// Everything was read. What is kept is made durable before anybody relies on it. A file whose creation was
    /// torn goes before another can follow.
    fn settle(
        &mut self,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        let (beginning, plan) = (self.beginning.clone(), (self.bug, self.me));
        let (judgement, mut groups) = recover::replay(&self.read, beginning, plan, &mut self.state)?;
        let recovered = groups.remove(&GroupId::ROOT);
        // A file without a batch is that of a member that had nothing yet when it was given the snapshot.
        if self.is_ignored && recovered.is_none() && self.read.is_empty() {
            return Err(recover::without_log());
        }
        (self.end, self.recovered, self.others) = (judgement.end, recovered, groups);
        let snapshot =
            self.snapshot.map(|sequence| (snapshot_name(sequence), 0, mem::take(&mut self.snapshot_bytes)));
        let unmarked = recover::unmarked(&self.read, &judgement);
        for (file, offset, bytes) in
            unmarked.into_iter().chain(snapshot.filter(|(.., bytes)| !bytes.is_empty()))
        {
            self.awaited += 1;
            self.rewritten.insert(file);
            let what = DiskOperation::Write { file, offset, pieces: vec![bytes] };
            disk.start(Purpose::Settle(file), what, effects);
        }
        for log in self.read.iter().filter(|log| log.scan.is_err()) {
            self.awaited += 1;
            let file = log_name(log.sequence);
            disk.start(Purpose::Settle(file), DiskOperation::Delete { file }, effects);
        }
        Ok(self.started())
    }

    /// What the start came to, once nothing is awaited any more.
    fn started(&mut self) -> Option<Started<F>> {
        if self.awaited > 0 {
            return None;
        }
        let first = self.first_log();
        let old_logs = self.logs.range(..first).map(|(sequence, _)| log_name(*sequence));
        let snapshots = self.snapshots.keys().filter(|sequence| Some(**sequence) != self.snapshot);
        let needless = old_logs.chain(snapshots.map(|sequence| snapshot_name(*sequence))).collect();
        let last = self.logs.keys().chain(self.snapshots.keys()).max();
        let next = last.map_or(1, |last| last + 1);
        let (recovered, begins) =
            self.recovered.take().map_or_else(|| self.genesis(next), |found| (found, None));
        Some(Started {
            held: self.held(),
            recovered,
            others: mem::take(&mut self.others),
            begins,
            end: self.end,
            next,
            kept: self.kept(),
            needless,
            log_bytes: self.logs.range(first..).map(|(_, length)| length).sum(),
            state: mem::replace(&mut self.state, State::new(BTreeMap::new())),
        })
    }

    /// Nothing of a group was found. What version 1 left becomes the state with which a group of one begins.
    fn genesis(&self, next: u64) -> (Recovered, Option<Anew>) {
        let is_old = self.state.index > 0;
        let first = if is_old { Some(Membership::of_voters([self.me])) } else { self.first.clone() };
        let recovered = first.map_or_else(Recovered::joining, Recovered::genesis);
        let install = Some(recovered.mark.clone()).filter(|mark| *mark != SnapshotMark::default());
        (recovered, Some(Anew { upon: is_old.then_some(next), install }))
    }

    fn held(&self) -> Option<Held> {
        let (sequence, mark) = (self.snapshot?, self.beginning.mark.clone()?);
        Some(Held { mark, sequence, length: self.snapshots[&sequence] })
    }

    fn first_log(&self) -> u64 {
        self.beginning.first.unwrap_or(0)
    }

    fn kept(&self) -> Vec<FileName> {
        let logs = self.read.iter().filter(|log| log.scan.is_ok()).map(|log| log_name(log.sequence));
        logs.chain(self.snapshot.map(snapshot_name)).collect()
    }
}

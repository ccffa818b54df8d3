//! Starting: read the table, or where there is none the newest whole snapshot that a program without tables left; read the
//! logs from there on, make durable what is kept, and delete what must not be there when a new log file follows.
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
use step::{Bug, DiskError, DiskOperation, DiskOutcome, DiskResult, Effects, FileName, Function};

use crate::config::Config;
use crate::disk::{Disk, Named, Purpose, log_name, named, new_file, snapshot_name};
use crate::found::{Found, FoundTable, Rest, Table};
use crate::log_files::{self, LogFile};
use crate::recover::{self, Beginning, Replayed};
use crate::refusals::{self, Refusal};
use crate::state::State;
use crate::table::{Loaded, Loading, OfGroup, table_name};
use crate::unwritten::Anew;

/// So many bytes of the table are asked for at once.
const TABLE_PAGE_BYTES: u64 = 1 << 20;

/// A start under way.
#[derive(Debug)]
pub(crate) struct Start<F> {
    owner: [u8; 16],
    pub(crate) bug: Option<Bug>,
    pub(crate) me: Member,
    /// With whom a group begins that has no files.
    first: Option<Membership>,
    pub(crate) functions: BTreeMap<FunctionId, F>,
    pub(crate) state: State<F>,
    /// Files and their lengths, by what they are and their number.
    logs: BTreeMap<u64, u64>,
    /// The folder was made, and no log was begun in it.
    is_new: bool,
    snapshots: BTreeMap<u64, u64>,
    /// The snapshot that is being read, then the one that was whole.
    snapshot: Option<u64>,
    /// What it, or the table, says of the log.
    pub(crate) beginning: Beginning,
    /// The table that is being read, then what it holds, once that counts.
    loading: Option<Loading<F>>,
    pub(crate) table: Table<F>,
    /// How the root group's state rests in it.
    pub(crate) rest: Rest,
    recovered: Option<Recovered>,
    /// What the log has of other groups than the root group.
    pub(crate) others: BTreeMap<GroupId, Found<F>>,
    /// A whole snapshot was passed over, as no log goes on from it.
    is_ignored: bool,
    read: Vec<LogFile>,
    end: Option<Predecessor>,
    /// Bytes of the snapshot, while an older one or its logs are there: then nothing vouches for it.
    snapshot_bytes: Bytes,
    /// Files that are written again, and synced after that.
    rewritten: BTreeSet<FileName>,
    /// Operations whose end is awaited.
    pub(crate) awaited: usize,
}

/// A start that is over.
#[derive(Debug)]
pub(crate) struct Started<F> {
    /// What the snapshot gives.
    pub(crate) state: State<F>,
    /// What the member of the root group begins with.
    pub(crate) recovered: Recovered,
    /// What there is of other groups.
    pub(crate) others: BTreeMap<GroupId, Found<F>>,
    /// Set where nothing of a group was there: what its first file says.
    pub(crate) begins: Option<Anew>,
    /// The folder says that it has no log yet, which will no longer be so.
    pub(crate) is_new: bool,
    /// Where the log ends.
    pub(crate) end: Option<Predecessor>,
    /// The number of the next file: higher than any that was there.
    pub(crate) next: u64,
    /// Files that the state stands on.
    pub(crate) kept: Vec<FileName>,
    /// Files that nothing needs.
    pub(crate) needless: Vec<FileName>,
    pub(crate) table: FoundTable,
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
            loading: None,
            table: Table::None,
            rest: Rest::default(),
            recovered: None,
            others: BTreeMap::new(),
            functions: config.functions.clone(),
            is_ignored: false,
            state: State::new(config.functions.clone()),
            logs: BTreeMap::new(),
            is_new: false,
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
        if purpose == Purpose::Table && result == Err(DiskError::Damaged) {
            self.table = Table::Lost { is_unreadable: true };
            return self.read_logs(disk, effects);
        }
        let outcome = result.map_err(|error| {
            format!(
                "the disk under the KV failed at its start ({error:?}, {purpose:?}); check it, start again"
            )
        })?;
        match (purpose, outcome) {
            (Purpose::List, DiskOutcome::Listed(files)) => {
                for (file, length) in files {
                    self.is_new |= file == new_file();
                    if file == table_name() {
                        self.loading = Some(Loading::new(self.functions.clone()));
                    }
                    match named(file) {
                        Some(Named::Log(sequence)) => self.logs.insert(sequence, length),
                        Some(Named::Snapshot(sequence)) => self.snapshots.insert(sequence, length),
                        None => None,
                    };
                }
                if self.loading.is_some() {
                    self.read_table(None, disk, effects);
                    return Ok(None);
                }
                self.read_snapshot(None, disk, effects)
            }
            (Purpose::Table, DiskOutcome::Pairs { pairs, is_all }) => {
                self.on_table(&pairs, is_all, disk, effects)
            }
            (Purpose::Read(file), DiskOutcome::Read(bytes)) => match named(file) {
                Some(Named::Snapshot(sequence)) => {
                    if let Some(mark) = recover::restore(&bytes, &self.owner, sequence, &mut self.state)? {
                        self.beginning = Beginning::upon(sequence, mark);
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
                self.started()
            }
            _ => Ok(None),
        }
    }

    fn read_table(&self, after: Option<Bytes>, disk: &mut Disk, effects: &mut Effects<Effect>) {
        let what = DiskOperation::ReadOn { table: table_name(), after, bytes_max: TABLE_PAGE_BYTES };
        disk.start(Purpose::Table, what, effects);
    }

    /// A page of the table was read.
    fn on_table(
        &mut self,
        pairs: &[(Bytes, Bytes)],
        is_all: bool,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Started<F>>, Refusal> {
        let loading = self.loading.as_mut().expect("a table is being read");
        pairs.iter().try_for_each(|(key, value)| loading.take(key, value, &self.owner))?;
        if !is_all {
            let after = loading.after.clone();
            self.read_table(after, disk, effects);
            return Ok(None);
        }
        let loaded = self.loading.take().expect("it was just there").finish();
        let has_rows = loaded.has_rows;
        match self.use_table(loaded) {
            true => self.read_logs(disk, effects),
            false if has_rows => {
                self.table = Table::Lost { is_unreadable: false };
                self.read_logs(disk, effects)
            }
            false => self.read_snapshot(None, disk, effects),
        }
    }

    /// Begins with what the table holds. Whether it can tell.
    fn use_table(&mut self, loaded: Loaded<F>) -> bool {
        let Loaded { head: Some(head), groups, has_waste, .. } = loaded else { return false };
        let stands = |(group, held): (&GroupId, &OfGroup<F>)| (*group, held.stands());
        let stands = groups.iter().map(stands).collect();
        self.beginning = Beginning { first: Some(head.log), stands };
        self.table = Table::Whole { groups, has_waste };
        true
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
        if let (Table::Whole { .. }, Some(first)) = (&self.table, self.beginning.first)
            && !self.logs.contains_key(&first)
        {
            return Err(refusals::without_log());
        }
        let needed: Vec<_> = self.logs.range(self.first_log()..).collect();
        self.awaited = needed.len();
        for (&sequence, &length) in needed {
            let file = log_name(sequence);
            disk.start(Purpose::Read(file), DiskOperation::Read { file, offset: 0, length }, effects);
        }
        match (self.awaited, self.snapshot) {
            (0, Some(snapshot)) if self.beginning.has_mark() => self.pass_over(snapshot, disk, effects),
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
        self.read.push(log_files::read_log(bytes, &self.owner, sequence)?);
        self.awaited -= 1;
        if self.awaited > 0 {
            return Ok(None);
        }
        self.read.sort_by_key(|log| log.sequence);
        if let Some(snapshot) = self.snapshot.filter(|_| self.beginning.has_mark()) {
            let Some(first) = log_files::upon(&self.read, snapshot) else {
                return self.pass_over(snapshot, disk, effects);
            };
            self.beginning.first = Some(first);
            self.read.retain(|log| log.sequence >= first);
        }
        if matches!(self.table, Table::None)
            && self.snapshot.is_none()
            && log_files::has_lost_its_begin(&self.read)
        {
            // A start that deleted a table of which nothing could be read was cut off before there was another.
            self.table = Table::Lost { is_unreadable: false };
        }
        if matches!(self.table, Table::Lost { .. }) {
            // Whatever the table held, the last file that says all again says what its state stood for.
            self.beginning.first = log_files::last_anew(&self.read);
            let first = self.first_log();
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
        let replayed = recover::replay(&self.read, beginning, plan, &mut self.state)?;
        let Replayed { judgement, groups } = replayed;
        let recovered = self.choose_states(groups, disk, effects)?;
        // A file without a batch is that of a member that had nothing yet when it was given the snapshot.
        if self.is_ignored && recovered.is_none() && self.read.is_empty() {
            return Err(refusals::without_log());
        }
        (self.end, self.recovered) = (judgement.end, recovered);
        let snapshot =
            self.snapshot.map(|sequence| (snapshot_name(sequence), 0, mem::take(&mut self.snapshot_bytes)));
        let unmarked = log_files::unmarked(&self.read, &judgement);
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
        self.started()
    }

    /// What the start came to, once nothing is awaited any more.
    fn started(&mut self) -> Result<Option<Started<F>>, Refusal> {
        if self.awaited > 0 {
            return Ok(None);
        }
        // A log may have been opened and nothing written to it yet.
        let is_begun = self.state.index > 0 || self.read.iter().any(|log| log.scan.is_ok());
        if !is_begun && !self.is_new {
            return Err(refusals::without_anything());
        }
        let first = self.first_log();
        let old_logs = self.logs.range(..first).map(|(sequence, _)| log_name(*sequence));
        let snapshots = self.snapshots.keys().filter(|sequence| Some(**sequence) != self.snapshot);
        let needless = old_logs.chain(snapshots.map(|sequence| snapshot_name(*sequence))).collect();
        let last = self.logs.keys().chain(self.snapshots.keys()).max();
        let next = last.map_or(1, |last| last + 1);
        let (recovered, begins) =
            self.recovered.take().map_or_else(|| self.genesis(next), |found| (found, None));
        Ok(Some(Started {
            is_new: self.is_new,
            table: self.found_table(),
            recovered,
            others: mem::take(&mut self.others),
            begins,
            end: self.end,
            next,
            kept: self.kept(),
            needless,
            log_bytes: self.logs.range(first..).map(|(_, length)| length).sum(),
            state: mem::replace(&mut self.state, State::new(BTreeMap::new())),
        }))
    }

    /// Nothing of a group was found. What version 1 left becomes the state with which a group of one begins.
    fn genesis(&self, next: u64) -> (Recovered, Option<Anew>) {
        let is_old = self.state.index > 0;
        let first = if is_old { Some(Membership::of_voters([self.me])) } else { self.first.clone() };
        let recovered = first.map_or_else(Recovered::joining, Recovered::genesis);
        let install = Some(recovered.mark.clone()).filter(|mark| *mark != SnapshotMark::default());
        (recovered, Some(Anew { upon: is_old.then_some(next), install }))
    }

    fn first_log(&self) -> u64 {
        self.beginning.first.unwrap_or(0)
    }

    fn kept(&self) -> Vec<FileName> {
        let logs = self.read.iter().filter(|log| log.scan.is_ok()).map(|log| log_name(log.sequence));
        logs.chain(self.snapshot.map(snapshot_name)).collect()
    }
}

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
use crate::disk::{Disk, Named, Purpose, log_name, named, snapshot_name};
use crate::recover::{self, Beginning, Folded, LogFile, Refusal, Replayed};
use crate::state::State;
use crate::table::{self, Loaded, Loading, OfGroup, table_name};
use crate::unwritten::Anew;

/// So many bytes of the table are asked for at once.
const TABLE_PAGE_BYTES: u64 = 1 << 20;

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
    /// What it, or the table, says of the log.
    beginning: Beginning,
    /// The table that is being read, then what it holds, once that counts.
    loading: Option<Loading<F>>,
    table: Table<F>,
    /// How the root group's state rests in it.
    rest: Rest,
    recovered: Option<Recovered>,
    /// What the log has of other groups than the root group.
    others: BTreeMap<GroupId, Found<F>>,
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

/// A state, if there is one, how it rests in the table, if it does, and what the member of the group begins with.
type Chosen<F> = ((Option<State<F>>, Option<Rest>), Option<Recovered>);

/// What there is of a table.
#[derive(Debug)]
enum Table<F> {
    /// None, or one that nothing was ever committed to.
    None,
    /// It counts.
    Whole {
        /// What it holds of each group.
        groups: BTreeMap<GroupId, OfGroup<F>>,
        /// There is something in it that makes no sense.
        has_waste: bool,
    },
    /// Nobody can tell what holds for all of it. One that nothing can be read of is deleted.
    Lost { is_unreadable: bool },
}

/// How the state of a group rests in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// The generation of its rows.
    pub(crate) generation: u64,
    /// The highest that there ever was.
    pub(crate) last_generation: u64,
    /// Generations that nothing needs.
    pub(crate) stale: Vec<u64>,
    /// The state is not there, though it should be.
    pub(crate) is_lost: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Rest { generation: 1, last_generation: 1, stale: Vec::new(), is_lost: false }
    }
}

impl Rest {
    /// Whether the table has something of it that nothing needs.
    pub(crate) fn is_wasteful(&self) -> bool {
        !self.stale.is_empty()
    }
}

/// What there is of a group beside the root group.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) state: State<F>,
    pub(crate) recovered: Recovered,
    pub(crate) rest: Rest,
}

/// What the start found of the table.
#[derive(Debug)]
pub(crate) struct FoundTable {
    /// How the root group's state rests in it.
    pub(crate) rest: Rest,
    /// It must be written anew: it is not what it should be, or is not there.
    pub(crate) rewrites: bool,
    /// Groups that it has something of, and the log nothing.
    pub(crate) strangers: Vec<GroupId>,
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
                Ok(self.started())
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
            return Err(recover::without_log());
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
        self.read.push(recover::read_log(bytes, &self.owner, sequence)?);
        self.awaited -= 1;
        if self.awaited > 0 {
            return Ok(None);
        }
        self.read.sort_by_key(|log| log.sequence);
        if let Some(snapshot) = self.snapshot.filter(|_| self.beginning.has_mark()) {
            let Some(first) = recover::upon(&self.read, snapshot) else {
                return self.pass_over(snapshot, disk, effects);
            };
            self.beginning.first = Some(first);
            self.read.retain(|log| log.sequence >= first);
        }
        if matches!(self.table, Table::None)
            && self.snapshot.is_none()
            && recover::has_lost_its_begin(&self.read)
        {
            // A start that deleted a table of which nothing could be read was cut off before there was another.
            self.table = Table::Lost { is_unreadable: false };
        }
        if matches!(self.table, Table::Lost { .. }) {
            // Whatever the table held, the last file that says all again says what its state stood for.
            self.beginning.first = recover::last_anew(&self.read);
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
            return Err(recover::without_log());
        }
        (self.end, self.recovered) = (judgement.end, recovered);
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

    /// The log says which states it goes on from. What the root group begins with.
    fn choose_states(
        &mut self,
        mut folded: BTreeMap<GroupId, Folded>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Result<Option<Recovered>, Refusal> {
        if matches!(self.table, Table::Lost { .. }) {
            let lacks = folded.get(&GroupId::ROOT).and_then(|root| root.lacks.as_ref());
            if self.beginning.first.is_some() && lacks.is_none() {
                return Err(table::damaged(&SnapshotMark::default()));
            }
        }
        let root = folded.remove(&GroupId::ROOT);
        let found = self.choose_state(GroupId::ROOT, root)?;
        if let (state, Some(rest)) = found.0 {
            self.rest = rest;
            self.state = state.unwrap_or_else(|| State::new(self.functions.clone()));
        }
        for (group, folded) in folded {
            let ((state, rest), recovered) = self.choose_state(group, Some(folded))?;
            if let Some(recovered) = recovered {
                let state = state.unwrap_or_else(|| State::new(self.functions.clone()));
                self.others.insert(group, Found { state, recovered, rest: rest.unwrap_or_default() });
            }
        }
        if matches!(self.table, Table::Lost { is_unreadable: true }) {
            self.awaited += 1;
            let file = table_name();
            disk.start(Purpose::Settle(file), DiskOperation::Delete { file }, effects);
        }
        Ok(found.1)
    }

    /// The log says which state of a group it goes on from: that, how it rests in the table, if it does, and what the
    /// member of the group begins with. A state that is not there must be had from another member.
    fn choose_state(&mut self, group: GroupId, folded: Option<Folded>) -> Result<Chosen<F>, Refusal> {
        let held = match &mut self.table {
            Table::Whole { groups, .. } => groups.remove(&group),
            Table::None | Table::Lost { .. } => None,
        };
        let Some(Folded { recovered, has_arrived, lacks }) = folded else {
            // The log says of each group what it goes on from.
            return match held.and_then(|held| held.current) {
                Some(_) if group == GroupId::ROOT => Err(recover::without_log()),
                _ => Ok(((None, None), None)),
            };
        };
        if let Some(mark) = lacks.as_ref().filter(|_| self.bug != Some(Bug::KvServesDamaged)) {
            if !mark.membership.voters.iter().any(|member| *member != self.me) {
                return Err(table::damaged(mark));
            }
            let last_generation = held.map_or(1, |held| held.last_generation.max(1));
            let rest = Rest { last_generation, is_lost: true, ..Rest::default() };
            return Ok(((None, Some(rest)), Some(recovered)));
        }
        let Some(held) = held else { return Ok(((None, None), Some(recovered))) };
        let (state, rest) = held.choose(has_arrived)?;
        Ok(((state, Some(rest)), Some(recovered)))
    }

    /// What there is of the table.
    fn found_table(&mut self) -> FoundTable {
        let is_any_lost = self.rest.is_lost || self.others.values().any(|found| found.rest.is_lost);
        let (strangers, has_waste) = match &self.table {
            Table::Whole { groups, has_waste } => (groups.keys().copied().collect(), *has_waste),
            Table::None | Table::Lost { .. } => (Vec::new(), true),
        };
        FoundTable { rest: mem::take(&mut self.rest), rewrites: has_waste || is_any_lost, strangers }
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

    fn first_log(&self) -> u64 {
        self.beginning.first.unwrap_or(0)
    }

    fn kept(&self) -> Vec<FileName> {
        let logs = self.read.iter().filter(|log| log.scan.is_ok()).map(|log| log_name(log.sequence));
        logs.chain(self.snapshot.map(snapshot_name)).collect()
    }
}

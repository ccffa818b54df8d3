//! A role's folder on a simulated disk.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName, OperationId, TableChange};

use super::faults::{Faults, take};
use super::file::{File, SECTOR_BYTES};
use super::table::TableFile;
use crate::{Kind, Moment, Random, Tally};

/// How many times longer a sync takes on a disk that hoards what it was given.
const SLOW_SYNC: u32 = 100;

/// How a node's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies: the kernel keeps what completed.
    Process,
    /// The machine loses its power: the disk keeps what was synced.
    Power,
}

/// Files, operations in flight, and faults.
#[derive(Clone, Debug)]
pub struct Folder {
    files: BTreeMap<FileName, File>,
    tables: BTreeMap<FileName, TableFile>,
    flights: BTreeMap<u64, Flight>,
    tickets: u64,
    capacity: u64,
    /// What is wrong with the disk.
    pub faults: Faults,
    random: Random,
    tally: Tally,
}

#[derive(Clone, Debug)]
struct Flight {
    operation: OperationId,
    what: DiskOperation,
    /// What a sync covers: fixed when it was asked for.
    mark: u64,
}

impl Folder {
    /// A folder with durable files on a disk of so many bytes.
    pub fn new(files: &[(FileName, Bytes)], capacity: u64, random: Random) -> Self {
        let files = files.iter().map(|(name, contents)| (*name, File::durable(contents))).collect();
        Folder {
            files,
            tables: BTreeMap::new(),
            flights: BTreeMap::new(),
            tickets: 0,
            capacity,
            faults: Faults::default(),
            random,
            tally: Tally::default(),
        }
    }

    /// The files.
    pub fn files(&self) -> &BTreeMap<FileName, File> {
        &self.files
    }

    /// The tables.
    pub fn tables(&self) -> &BTreeMap<FileName, TableFile> {
        &self.tables
    }

    /// Puts a table there, in place of one of that name.
    pub fn put_table(&mut self, name: FileName, table: TableFile) {
        self.tables.insert(name, table);
    }

    /// What happened here.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Starts an operation: its ticket, and how long it takes.
    pub fn begin(&mut self, now: Moment, operation: OperationId, what: DiskOperation) -> (u64, Duration) {
        let mark = match &what {
            DiskOperation::Sync { file } => self.files.get(file).map_or(0, File::sync_mark),
            _ => 0,
        };
        let mut takes = self.duration(&what);
        if now < self.faults.syncs_slow_until
            && matches!(
                what,
                DiskOperation::WriteThrough { .. }
                    | DiskOperation::Sync { .. }
                    | DiskOperation::Commit { .. }
            )
        {
            self.tally.add(Kind::SlowDisk);
            takes *= SLOW_SYNC;
        }
        if now < self.faults.slow_until {
            self.tally.add(Kind::SlowDisk);
            takes *= self.faults.slow_factor;
        }
        self.tickets += 1;
        self.flights.insert(self.tickets, Flight { operation, what, mark });
        (self.tickets, takes)
    }

    fn duration(&mut self, what: &DiskOperation) -> Duration {
        let (low, high) = match what {
            DiskOperation::Space => (1, 5),
            DiskOperation::Read { .. } | DiskOperation::ReadOn { .. } | DiskOperation::List => (20, 150),
            DiskOperation::Write { .. } => (20, 250),
            DiskOperation::WriteThrough { .. } => (120, 1750),
            DiskOperation::Create { .. } | DiskOperation::Delete { .. } => (50, 500),
            DiskOperation::Sync { .. } => (100, 1500),
            DiskOperation::Commit { .. } => (200, 3000),
        };
        self.random.microseconds(low, high)
    }

    /// Ends an operation: it takes effect now.
    pub fn finish(&mut self, now: Moment, ticket: u64) -> (OperationId, DiskResult) {
        let flight = self.flights.remove(&ticket).expect("an operation ends once");
        let result = match flight.what {
            DiskOperation::List => Ok(DiskOutcome::Listed(self.lengths())),
            DiskOperation::Space => Ok(self.space(now)),
            DiskOperation::Create { file } => self.create(now, file),
            DiskOperation::Delete { file } => {
                self.files.remove(&file);
                self.tables.remove(&file);
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Read { file, offset, length } => self.read(now, file, offset, length),
            DiskOperation::Write { file, offset, pieces } => self.write(now, file, offset, &pieces.concat()),
            DiskOperation::WriteThrough { file, offset, pieces } => {
                self.write_through(now, file, offset, &pieces.concat())
            }
            DiskOperation::Sync { file } => self.sync(file, flight.mark),
            DiskOperation::Commit { table, changes } => self.commit(now, table, &changes),
            DiskOperation::ReadOn { table, after, bytes_max } => {
                self.read_on(now, table, after.as_deref(), bytes_max)
            }
        };
        (flight.operation, result)
    }

    fn used(&self) -> u64 {
        let tables: u64 = self.tables.values().map(TableFile::len).sum();
        self.files.values().map(File::len).sum::<u64>() + tables
    }

    /// Files and tables, in order of their names, with what they take.
    fn lengths(&self) -> Vec<(FileName, u64)> {
        let files = self.files.iter().map(|(name, file)| (*name, file.len()));
        let tables = self.tables.iter().map(|(name, table)| (*name, table.len()));
        let mut all: Vec<_> = files.chain(tables).collect();
        all.sort_unstable();
        all
    }

    /// How many bytes may still be written.
    fn free(&self, now: Moment) -> u64 {
        let all = if now < self.faults.full_until { self.faults.full_at } else { self.capacity };
        all.min(self.capacity).saturating_sub(self.used())
    }

    /// Somebody else fills the disk, and leaves so many bytes.
    pub fn fill(&mut self, left: u64, until: Moment) {
        (self.faults.full_at, self.faults.full_until) = (self.used() + left, until);
    }

    fn space(&self, now: Moment) -> DiskOutcome {
        DiskOutcome::Space { free: self.free(now), total: self.capacity }
    }

    fn create(&mut self, now: Moment, file: FileName) -> DiskResult {
        if self.free(now) == 0 {
            self.tally.add(Kind::FullDisk);
            return Err(DiskError::Full);
        }
        self.files.insert(file, File::default());
        Ok(DiskOutcome::Done)
    }

    fn read(&mut self, now: Moment, file: FileName, offset: u64, length: u64) -> DiskResult {
        let contents = self.files.get(&file).ok_or(DiskError::NotFound)?;
        if now < self.faults.reads_fail_until {
            self.tally.add(Kind::ReadError);
            return Err(DiskError::Failed);
        }
        Ok(DiskOutcome::Read(contents.read(offset, length)))
    }

    fn write(&mut self, now: Moment, file: FileName, offset: u64, data: &[u8]) -> DiskResult {
        let free = self.free(now);
        let contents = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        let random = &mut self.random;
        if take(&mut self.faults.writes_to_fail) {
            self.tally.add(Kind::WriteError);
            contents.write(offset, data, |_| random.coin());
            return Err(DiskError::Failed);
        }
        let grows = (offset + data.len() as u64).saturating_sub(contents.len());
        if grows > free {
            self.tally.add(Kind::FullDisk);
            let fits = (data.len() as u64 - grows.min(data.len() as u64)) as usize;
            contents.write(offset, &data[..fits], |_| true);
            return Err(DiskError::Full);
        }
        if take(&mut self.faults.writes_to_lose) {
            self.tally.add(Kind::LostWrite);
            let end = (offset as usize + data.len()).max(contents.live().len());
            // The file grows all the same: the length is the file system's, the data the disk's.
            contents.write(end as u64 - 1, &[contents.live().get(end - 1).copied().unwrap_or(0)], |_| true);
            return Ok(DiskOutcome::Done);
        }
        if self.faults.writes_to_misdirect > 0 && contents.len() > 4 * SECTOR_BYTES as u64 {
            self.faults.writes_to_misdirect -= 1;
            self.tally.add(Kind::MisdirectedWrite);
            let elsewhere = random.below(contents.len() / SECTOR_BYTES as u64) * SECTOR_BYTES as u64;
            contents.corrupt(elsewhere, data);
            return Ok(DiskOutcome::Done);
        }
        contents.write(offset, data, |_| true);
        Ok(DiskOutcome::Done)
    }

    fn write_through(&mut self, now: Moment, file: FileName, offset: u64, data: &[u8]) -> DiskResult {
        self.write(now, file, offset, data)?;
        let contents = self.files.get_mut(&file).expect("it was written to");
        let mark = contents.sync_mark();
        if take(&mut self.faults.syncs_to_fail) {
            self.tally.add(Kind::SyncError);
            self.faults.lies = true;
            contents.sync_failed(mark);
            return Err(DiskError::Failed);
        }
        contents.written_through(offset, data.len() as u64);
        Ok(DiskOutcome::Done)
    }

    fn sync(&mut self, file: FileName, mark: u64) -> DiskResult {
        let contents = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        if take(&mut self.faults.syncs_to_fail) {
            self.tally.add(Kind::SyncError);
            self.faults.lies = true;
            contents.sync_failed(mark);
            return Err(DiskError::Failed);
        }
        contents.synced(mark);
        Ok(DiskOutcome::Done)
    }

    fn commit(&mut self, now: Moment, name: FileName, changes: &[TableChange]) -> DiskResult {
        let is_new = !self.tables.contains_key(&name);
        let room = self.free(now);
        let (is_written, is_synced) =
            (!take(&mut self.faults.writes_to_fail), !take(&mut self.faults.syncs_to_fail));
        if is_written && is_synced && take(&mut self.faults.writes_to_lose) {
            self.tally.add(Kind::LostWrite);
            return Ok(DiskOutcome::Done);
        }
        let table = self.tables.entry(name).or_default();
        let room = if is_new { room } else { room + table.len() };
        if !is_written || !is_synced {
            if self.random.coin() {
                // Whether all of it is done or nothing, nobody is told.
                let _ = table.commit(changes, room);
            }
            table.is_distrusted = true;
            self.faults.lies |= !is_synced;
            self.tally.add(if is_written { Kind::SyncError } else { Kind::WriteError });
            return Err(DiskError::Failed);
        }
        let result = table.commit(changes, room);
        if result == Err(DiskError::Full) {
            self.tally.add(Kind::FullDisk);
            if is_new {
                self.tables.remove(&name);
            }
        }
        result
    }

    fn read_on(&mut self, now: Moment, name: FileName, after: Option<&[u8]>, bytes_max: u64) -> DiskResult {
        let table = self.tables.get(&name).ok_or(DiskError::NotFound)?;
        if now < self.faults.reads_fail_until {
            self.tally.add(Kind::ReadError);
            return Err(DiskError::Failed);
        }
        table.read_on(after, bytes_max)
    }

    /// Flips a bit of what is stored, somewhere; the bytes of large files are hit more often.
    pub fn rot(&mut self) -> Option<(FileName, u64)> {
        let total = self.used();
        if total == 0 {
            return None;
        }
        let mut at = self.random.below(total);
        for (name, length) in self.lengths() {
            if at < length {
                return self.hit(name, at);
            }
            at -= length;
        }
        None
    }

    /// Flips a bit of some file that is meant, small or large.
    pub fn rot_in_any_file(&mut self, is_meant: impl Fn(&str) -> bool) -> Option<(FileName, u64)> {
        let mut files = self.lengths();
        files.retain(|(name, length)| *length > 0 && is_meant(name.as_str()));
        if files.is_empty() {
            return None;
        }
        let (name, length) = *self.random.pick(&files);
        let at = self.random.below(length);
        self.hit(name, at)
    }

    /// Rots a table, if there is one.
    pub fn rot_table(&mut self) -> bool {
        let Some(table) = self.tables.values_mut().next() else { return false };
        table.rot(&mut self.random);
        self.tally.add(Kind::BitRot);
        true
    }

    fn hit(&mut self, name: FileName, at: u64) -> Option<(FileName, u64)> {
        let Some(table) = self.tables.get_mut(&name) else { return self.flip(name, at) };
        table.rot(&mut self.random);
        self.tally.add(Kind::BitRot);
        Some((name, at))
    }

    fn flip(&mut self, name: FileName, at: u64) -> Option<(FileName, u64)> {
        let file = self.files.get_mut(&name)?;
        let byte = file.live()[at as usize] ^ 1 << self.random.below(8);
        file.corrupt(at, &[byte]);
        self.tally.add(Kind::BitRot);
        Some((name, at))
    }

    /// Ends the life of whoever used the folder. What was in flight may have happened, in any part.
    pub fn crash(&mut self, how: Crash) {
        for flight in core::mem::take(&mut self.flights).into_values() {
            self.crash_in_flight(flight.what);
        }
        self.tables.values_mut().for_each(|table| table.is_distrusted = false);
        if how == Crash::Power {
            for file in self.files.values_mut() {
                if file.cut_power(&mut self.random) {
                    self.tally.add(Kind::UnsyncedWriteLost);
                }
            }
            self.faults.lies = false;
        } else {
            self.files.values_mut().for_each(|file| file.evict_forgotten(&mut self.random));
        }
    }

    fn crash_in_flight(&mut self, what: DiskOperation) {
        match what {
            DiskOperation::Write { file, offset, pieces }
            | DiskOperation::WriteThrough { file, offset, pieces } => {
                let Some(contents) = self.files.get_mut(&file) else { return };
                let data = pieces.concat();
                if offset + data.len() as u64 > self.capacity {
                    return;
                }
                let survival = *self.random.pick(&[0, 5_000, 9_500, 10_000]);
                let (mut kept, mut lost) = (0, 0);
                contents.write(offset, &data, |_| {
                    let keep = self.random.chance(survival);
                    *(if keep { &mut kept } else { &mut lost }) += 1;
                    keep
                });
                if kept > 0 && lost > 0 {
                    self.tally.add(Kind::TornWrite);
                }
            }
            DiskOperation::Create { file } if self.random.coin() => {
                self.files.insert(file, File::default());
            }
            DiskOperation::Delete { file } if self.random.coin() => {
                self.files.remove(&file);
                self.tables.remove(&file);
            }
            DiskOperation::Commit { table, changes } if self.random.coin() => {
                let room = self.capacity.saturating_sub(self.used());
                let held = self.tables.entry(table).or_default();
                let _ = held.commit(&changes, room + held.len());
            }
            _ => {}
        }
    }

    /// Removes everything, as an operator does who puts in a new disk.
    pub fn wipe(&mut self, but: impl Fn(&FileName) -> bool) {
        self.files.retain(|name, _| but(name));
        self.tables.retain(|name, _| but(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        Folder::new(&[], 10_000, Random::stream(1, "folder"))
    }

    fn run(folder: &mut Folder, what: DiskOperation) -> DiskResult {
        let (ticket, _) = folder.begin(Moment(1), OperationId(1), what);
        folder.finish(Moment(1), ticket).1
    }

    fn name() -> FileName {
        FileName::new(format_args!("a"))
    }

    fn write(offset: u64, bytes: &'static [u8]) -> DiskOperation {
        DiskOperation::Write { file: name(), offset, pieces: vec![Bytes::from_static(bytes)] }
    }

    #[test]
    fn operations_do_what_they_say() {
        let mut folder = folder();
        assert_eq!(run(&mut folder, write(0, b"x")), Err(DiskError::NotFound));
        assert_eq!(run(&mut folder, DiskOperation::Create { file: name() }), Ok(DiskOutcome::Done));
        assert_eq!(run(&mut folder, write(3, b"xyz")), Ok(DiskOutcome::Done));
        let read = DiskOperation::Read { file: name(), offset: 2, length: 9 };
        assert_eq!(run(&mut folder, read), Ok(DiskOutcome::Read(Bytes::from_static(b"\0xyz"))));
        assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![(name(), 6)])));
        let space = DiskOutcome::Space { free: 9_994, total: 10_000 };
        assert_eq!(run(&mut folder, DiskOperation::Space), Ok(space));
        assert_eq!(run(&mut folder, write(10_000, b"x")), Err(DiskError::Full));
        assert_eq!(run(&mut folder, DiskOperation::Delete { file: name() }), Ok(DiskOutcome::Done));
        assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
    }

    #[test]
    fn a_write_that_completes_after_a_sync_began_is_not_covered() {
        let mut folder = folder();
        run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
        let (early, _) = folder.begin(Moment(1), OperationId(1), write(0, &[1; 512]));
        let (sync, _) = folder.begin(Moment(1), OperationId(2), DiskOperation::Sync { file: name() });
        folder.finish(Moment(1), early).1.expect("written");
        folder.finish(Moment(1), sync).1.expect("synced");
        assert_eq!(folder.files()[&name()].durable_contents(), []);
        run(&mut folder, DiskOperation::Sync { file: name() }).expect("synced");
        assert_eq!(folder.files()[&name()].durable_contents(), [1; 512]);
    }

    #[test]
    fn faults_strike_as_ordered() {
        let mut folder = folder();
        run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
        run(&mut folder, write(0, &[1; 4096])).expect("room");
        folder.faults.writes_to_fail = 1;
        assert_eq!(run(&mut folder, write(0, b"x")), Err(DiskError::Failed));
        folder.faults.writes_to_lose = 1;
        assert_eq!(run(&mut folder, write(0, &[7; 512])), Ok(DiskOutcome::Done));
        assert_eq!(folder.files()[&name()].live()[1], 1);
        folder.faults.writes_to_misdirect = 1;
        assert_eq!(run(&mut folder, write(4096, &[9; 512])), Ok(DiskOutcome::Done));
        assert_eq!(folder.files()[&name()].len(), 4096);
        assert!(folder.files()[&name()].live().contains(&9));
        folder.faults.syncs_to_fail = 1;
        assert_eq!(run(&mut folder, DiskOperation::Sync { file: name() }), Err(DiskError::Failed));
        run(&mut folder, DiskOperation::Sync { file: name() }).expect("it lies");
        let file = &folder.files()[&name()];
        assert!(folder.faults.lies && file.durable_contents() != file.live());
        for kind in [Kind::WriteError, Kind::LostWrite, Kind::MisdirectedWrite, Kind::SyncError] {
            assert_eq!(folder.tally().count(kind), 1, "{kind:?}");
        }
    }

    #[test]
    fn a_crash_of_the_process_keeps_what_completed() {
        let gone = (0..40).filter(|&seed| {
            let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
            run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
            run(&mut folder, write(0, b"kept")).expect("room");
            folder.begin(Moment(1), OperationId(2), DiskOperation::Delete { file: name() });
            folder.crash(Crash::Process);
            let left = folder.files().get(&name());
            left.inspect(|file| assert_eq!(file.live(), b"kept"));
            left.is_none()
        });
        assert!((5..35).contains(&gone.count()), "a deletion in flight may have happened");
    }

    fn commit(value: u8) -> DiskOperation {
        let key = Bytes::from_static(b"key");
        let set = TableChange::Set { key, value: vec![value; 9].into() };
        DiskOperation::Commit { table: name(), changes: vec![set] }
    }

    fn value(folder: &Folder) -> Option<u8> {
        let pairs = folder.tables().get(&name())?.table()?.pairs();
        pairs.map(|(_, value)| value[0]).next()
    }

    #[test]
    fn a_commit_is_done_or_not_whatever_crashes() {
        let (mut old, mut new) = (0, 0);
        for seed in 0..40 {
            let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
            run(&mut folder, commit(1)).expect("room");
            folder.begin(Moment(1), OperationId(2), commit(2));
            folder.crash(if seed % 2 == 0 { Crash::Power } else { Crash::Process });
            *(if value(&folder) == Some(1) { &mut old } else { &mut new }) += 1;
            assert!(matches!(value(&folder), Some(1 | 2)));
        }
        assert!(old > 5 && new > 5, "{old} {new}");
    }

    #[test]
    fn a_table_whose_commit_failed_is_not_trusted_before_the_next_life() {
        let mut folder = folder();
        run(&mut folder, commit(1)).expect("room");
        folder.faults.syncs_to_fail = 1;
        assert_eq!(run(&mut folder, commit(2)), Err(DiskError::Failed));
        let read = DiskOperation::ReadOn { table: name(), after: None, bytes_max: 1 };
        for again in [commit(3), read.clone()] {
            assert_eq!(run(&mut folder, again), Err(DiskError::Failed));
        }
        folder.crash(Crash::Power);
        assert!(matches!(run(&mut folder, read), Ok(DiskOutcome::Pairs { is_all: true, .. })));
        assert!(matches!(value(&folder), Some(1 | 2)));
        assert_eq!(run(&mut folder, DiskOperation::Delete { file: name() }), Ok(DiskOutcome::Done));
        assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
    }

    #[test]
    fn a_full_disk_takes_no_commit_and_lists_no_table_that_never_was() {
        let mut folder = Folder::new(&[], 4_100, Random::stream(1, "folder"));
        assert_eq!(run(&mut folder, commit(1)), Err(DiskError::Full));
        assert_eq!(run(&mut folder, DiskOperation::List), Ok(DiskOutcome::Listed(vec![])));
    }

    #[test]
    fn a_power_loss_takes_what_was_not_synced() {
        let lost = (0..40).filter(|&seed| {
            let mut folder = Folder::new(&[], 10_000, Random::stream(seed, "folder"));
            run(&mut folder, DiskOperation::Create { file: name() }).expect("room");
            run(&mut folder, write(0, b"lost")).expect("room");
            folder.crash(Crash::Power);
            folder.files()[&name()].live() != b"lost"
        });
        assert!((5..35).contains(&lost.count()), "what was not synced may be gone");
    }
}

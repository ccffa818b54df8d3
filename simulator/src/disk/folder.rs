//! A role's folder on a simulated disk.

mod harm;

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName, OperationId, TableChange};

use super::faults::{Faults, take};
use super::file::{File, SECTOR_BYTES};
use super::table::TableFile;
use crate::{Kind, Moment, Random, Tally};

pub use harm::Crash;

/// How many times longer a sync takes on a disk that hoards what it was given.
const SLOW_SYNC: u32 = 100;

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
}

#[cfg(test)]
mod tests;

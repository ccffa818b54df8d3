//! A flat folder with the crash semantics of `step::DiskOperation`.

use super::Chance;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName, Table, TableChange};

const SECTOR: usize = 512;

#[derive(Default)]
struct File {
    /// What a read gives.
    bytes: Vec<u8>,
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// Sectors that a power cut may leave in either state.
    dirty: BTreeSet<usize>,
}

/// The folder.
pub(crate) struct Disk {
    files: BTreeMap<FileName, File>,
    pub(crate) tables: BTreeMap<FileName, Table>,
    /// Tables that nothing can be read of.
    pub(crate) damaged: BTreeSet<FileName>,
    /// Bytes that all files may have.
    pub(crate) room: Option<usize>,
    /// The next sync fails, and loses what it should have written.
    pub(crate) fail_sync: bool,
}

impl Default for Disk {
    /// A folder that was just made.
    fn default() -> Self {
        let mut disk = Disk::lost();
        disk.files.insert(kv::new_file(), File::default());
        disk
    }
}

impl Disk {
    /// A folder that has nothing of what it had.
    pub(crate) fn lost() -> Self {
        Disk {
            files: BTreeMap::new(),
            tables: BTreeMap::new(),
            damaged: BTreeSet::new(),
            room: None,
            fail_sync: false,
        }
    }

    pub(crate) fn used(&self) -> usize {
        let files: usize = self.files.values().map(|file| file.bytes.len()).sum();
        files + self.tables.values().map(|table| table.bytes() as usize).sum::<usize>()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().chain(self.tables.keys()).map(ToString::to_string).collect()
    }

    /// What a read of the last file with such a name gives.
    pub(crate) fn last(&self, name: &str) -> Option<Bytes> {
        let mut files = self.files.iter().rev();
        let (_, file) = files.find(|(file, _)| file.as_str().starts_with(name))?;
        Some(Bytes::copy_from_slice(&file.bytes))
    }

    /// Carries out an operation.
    pub(crate) fn run(&mut self, what: DiskOperation) -> DiskResult {
        let room = self.room.map_or(usize::MAX, |room| room.saturating_sub(self.used()));
        match what {
            DiskOperation::List => {
                let files = self.files.iter().map(|(name, file)| (*name, file.bytes.len() as u64));
                let tables = self.tables.iter().map(|(name, table)| (*name, table.bytes()));
                return Ok(DiskOutcome::Listed(files.chain(tables).collect()));
            }
            DiskOperation::Create { .. } if room == 0 => return Err(DiskError::Full),
            DiskOperation::Create { file } => drop(self.files.insert(file, File::default())),
            DiskOperation::Commit { table, .. } | DiskOperation::ReadOn { table, .. }
                if self.damaged.contains(&table) =>
            {
                return Err(DiskError::Damaged);
            }
            DiskOperation::Delete { file } if self.damaged.remove(&file) => drop(self.tables.remove(&file)),
            DiskOperation::Delete { file } => drop((self.files.remove(&file), self.tables.remove(&file))),
            DiskOperation::Read { file, offset, length } => {
                let bytes = &self.files.get(&file).ok_or(DiskError::NotFound)?.bytes;
                let start = bytes.len().min(offset as usize);
                let end = bytes.len().min((offset + length) as usize);
                return Ok(DiskOutcome::Read(Bytes::copy_from_slice(&bytes[start..end])));
            }
            DiskOperation::Write { file, offset, pieces } => {
                let file = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
                let data = pieces.concat();
                let grows = (offset as usize + data.len()).saturating_sub(file.bytes.len());
                let fits = if grows > room { data.len() - (grows - room) } else { data.len() };
                file.write(offset as usize, &data[..fits], |_| true);
                if fits < data.len() {
                    return Err(DiskError::Full);
                }
            }
            DiskOperation::WriteThrough { file, offset, pieces } => {
                self.run(DiskOperation::Write { file, offset, pieces })?;
                return self.run(DiskOperation::Sync { file });
            }
            DiskOperation::Sync { file } => {
                let file = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
                // As on Linux: what a failed sync should have written counts as written from then on.
                let dirty = std::mem::take(&mut file.dirty);
                if std::mem::take(&mut self.fail_sync) {
                    return Err(DiskError::Failed);
                }
                dirty.into_iter().for_each(|sector| persist(&mut file.durable, &file.bytes, sector));
            }
            DiskOperation::Commit { table, changes } => {
                let before = self.tables.get(&table).cloned().unwrap_or_default();
                let mut after = before.clone();
                changes.iter().for_each(|change| after.change(change));
                if after.bytes().saturating_sub(before.bytes()) as usize > room {
                    return Err(DiskError::Full);
                }
                let fails = std::mem::take(&mut self.fail_sync);
                // All of it is done, or nothing; who failed doesn't know which.
                if !fails || changes.len() % 2 == 0 {
                    self.tables.insert(table, after);
                }
                if fails {
                    return Err(DiskError::Failed);
                }
            }
            DiskOperation::ReadOn { table, after, bytes_max } => {
                let table = self.tables.get(&table).ok_or(DiskError::NotFound)?;
                return Ok(table.read_on(after.as_deref(), bytes_max));
            }
            DiskOperation::Space => return Ok(DiskOutcome::Space { free: room as u64, total: u64::MAX }),
        }
        Ok(DiskOutcome::Done)
    }

    /// An operation was under way when the process died: it is done, or not, or a write in part.
    pub(crate) fn interrupt(&mut self, what: DiskOperation, chance: &mut Chance) {
        match what {
            DiskOperation::Write { file, offset, pieces }
            | DiskOperation::WriteThrough { file, offset, pieces } => {
                if let Some(file) = self.files.get_mut(&file) {
                    file.write(offset as usize, &pieces.concat(), |_| chance.one_in(2));
                }
            }
            DiskOperation::Sync { .. } if self.fail_sync => {}
            other => {
                if chance.one_in(2) {
                    let _ = self.run(other);
                }
            }
        }
    }

    /// The power goes: of what was not synced, any subset of sectors stays.
    pub(crate) fn cut_power(&mut self, chance: &mut Chance) {
        for file in self.files.values_mut() {
            let (bytes, mut left) = (std::mem::take(&mut file.bytes), file.durable.clone());
            for sector in std::mem::take(&mut file.dirty) {
                if chance.one_in(2) {
                    persist(&mut left, &bytes, sector);
                }
            }
            (file.bytes, file.durable) = (left.clone(), left);
        }
    }

    /// Copies every file, changed.
    pub(crate) fn copy_to(&self, other: &mut Disk, change: impl Fn(&mut Vec<u8>)) {
        other.tables.clone_from(&self.tables);
        for (name, file) in &self.files {
            let mut bytes = file.bytes.clone();
            change(&mut bytes);
            let copy = File { durable: bytes.clone(), bytes, dirty: BTreeSet::new() };
            other.files.insert(*name, copy);
        }
    }

    /// A bit of some file rots.
    pub(crate) fn rot(&mut self, chance: &mut Chance) {
        let place = chance.below(self.used());
        let mut before = 0;
        for file in self.files.values_mut() {
            if let Some(byte) = file.bytes.get_mut(place - before) {
                *byte ^= 1 << chance.below(8);
                file.durable.clone_from(&file.bytes);
                return;
            }
            before += file.bytes.len();
        }
        for table in self.tables.values_mut() {
            rot_table(table, chance);
        }
    }
}

/// A bit of some pair rots, or a pair is gone.
pub(crate) fn rot_table(table: &mut Table, chance: &mut Chance) {
    let Some(hit) = table.pairs().len().checked_sub(1).map(|last| chance.below(last + 1)) else { return };
    let (key, value) = table.pairs().nth(hit).expect("drawn below their number");
    let (mut key, mut value) = (key.to_vec(), value.to_vec());
    table.change(&TableChange::Delete { key: key.clone().into() });
    if !chance.one_in(4) {
        let at = chance.below(key.len() + value.len());
        let split = at.checked_sub(key.len());
        *split.map_or_else(|| &mut key[at], |at| &mut value[at]) ^= 1 << chance.below(8);
        table.change(&TableChange::Set { key: key.into(), value: value.into() });
    }
}

fn persist(durable: &mut Vec<u8>, bytes: &[u8], sector: usize) {
    let start = bytes.len().min(sector * SECTOR);
    let end = bytes.len().min(start + SECTOR);
    durable.resize(durable.len().max(end), 0);
    durable[start..end].copy_from_slice(&bytes[start..end]);
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8], mut lands: impl FnMut(usize) -> bool) {
        for (index, chunk) in data.chunks(SECTOR).enumerate() {
            let at = offset + index * SECTOR;
            if lands(index) {
                self.bytes.resize(self.bytes.len().max(at + chunk.len()), 0);
                self.bytes[at..at + chunk.len()].copy_from_slice(chunk);
                self.dirty.insert(at / SECTOR);
            }
        }
    }
}

//! A disk in memory with the semantics of `step::DiskOperation`: what completed and was not synced survives a
//! crash of the process, and of a crash of the machine any subset of its 512-byte sectors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, Entropy, FileName};

const SECTOR: usize = 512;

/// A file: what programs see, and what a power cut leaves for sure.
#[derive(Clone, Debug, Default)]
struct File {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that a sync will make durable. A failed one forgets them, as kernels do.
    dirty: BTreeSet<usize>,
}

/// What goes wrong with operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The next write or creation finds no room; of a write the first half is there.
    Full,
    /// The next write fails; the first half is there.
    WriteFails,
    /// The next sync fails.
    SyncFails,
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<FileName, File>,
    pub(crate) fault: Option<Fault>,
    /// Bytes that may be stored; none: no bound.
    pub(crate) room: Option<u64>,
}

impl Disk {
    /// One that holds this file, which is empty.
    pub(crate) fn new(file: FileName) -> Self {
        Disk { files: [(file, File::default())].into(), ..Disk::default() }
    }

    /// Executes an operation.
    pub(crate) fn execute(&mut self, what: &DiskOperation) -> DiskResult {
        match what {
            DiskOperation::List => Ok(DiskOutcome::Listed(
                self.files.iter().map(|(name, file)| (*name, file.current.len() as u64)).collect(),
            )),
            DiskOperation::Create { file } => {
                if self.fault == Some(Fault::Full) {
                    self.fault = None;
                    return Err(DiskError::Full);
                }
                self.files.insert(*file, File::default());
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Delete { file } => {
                self.files.remove(file);
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Read { file, offset, length } => {
                let bytes = &self.files.get(file).ok_or(DiskError::NotFound)?.current;
                let start = (*offset as usize).min(bytes.len());
                let end = (start + *length as usize).min(bytes.len());
                Ok(DiskOutcome::Read(Bytes::copy_from_slice(&bytes[start..end])))
            }
            DiskOperation::Write { file, offset, pieces } => self.write(*file, *offset, &pieces.concat()),
            DiskOperation::Sync { file } => self.sync(*file),
            DiskOperation::WriteThrough { .. } => panic!("an ASD syncs many writes together"),
            DiskOperation::Commit { .. } | DiskOperation::ReadOn { .. } => panic!("an ASD has no tables"),
            DiskOperation::Space => {
                let used = self.used();
                let total = self.room.unwrap_or(1 << 40);
                Ok(DiskOutcome::Space { free: total.saturating_sub(used), total })
            }
        }
    }

    fn write(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> DiskResult {
        let end = offset + bytes.len() as u64;
        let grows = end.saturating_sub(self.files.get(&file).map_or(0, |file| file.current.len() as u64));
        let is_full = self.room.is_some_and(|room| self.used() + grows > room);
        let error = match self.fault {
            Some(Fault::Full) => Some(DiskError::Full),
            Some(Fault::WriteFails) => Some(DiskError::Failed),
            _ => is_full.then_some(DiskError::Full),
        };
        let target = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        if let Some(error) = error {
            target.write(offset as usize, &bytes[..bytes.len() / 2]);
            self.fault = None;
            return Err(error);
        }
        target.write(offset as usize, bytes);
        Ok(DiskOutcome::Done)
    }

    fn sync(&mut self, file: FileName) -> DiskResult {
        let fails = self.fault == Some(Fault::SyncFails);
        let file = self.files.get_mut(&file).ok_or(DiskError::NotFound)?;
        if fails {
            self.fault = None;
            file.dirty.clear();
            return Err(DiskError::Failed);
        }
        file.sync();
        Ok(DiskOutcome::Done)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.current.len() as u64).sum()
    }

    /// An operation that was in flight when everything stopped: it may have been done, in part, or not.
    pub(crate) fn interrupt(&mut self, what: &DiskOperation, entropy: &mut Entropy) {
        self.fault = None;
        match what {
            DiskOperation::Write { file, offset, pieces } => {
                let bytes = pieces.concat();
                let Some(file) = self.files.get_mut(file) else { return };
                for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                    if entropy.below(2) == 0 {
                        file.write(*offset as usize + index * SECTOR, sector);
                    }
                }
            }
            DiskOperation::Create { .. } | DiskOperation::Delete { .. } | DiskOperation::Sync { .. }
                if entropy.below(2) == 0 =>
            {
                let _ = self.execute(what);
            }
            _ => {}
        }
    }

    /// The power goes: of what wasn't synced, any subset of sectors stays.
    pub(crate) fn cut_power(&mut self, entropy: &mut Entropy) {
        for file in self.files.values_mut() {
            let mut after = file.durable.clone();
            for (index, sector) in file.current.chunks(SECTOR).enumerate() {
                let at = index * SECTOR;
                let is_same = file.durable.get(at..at + sector.len()) == Some(sector);
                if !is_same && entropy.below(2) == 0 {
                    after.resize(after.len().max(at + sector.len()), 0);
                    after[at..at + sector.len()].copy_from_slice(sector);
                }
            }
            *file = File { current: after.clone(), durable: after, dirty: BTreeSet::new() };
        }
    }

    /// The power goes, and nothing of what wasn't synced stays.
    pub(crate) fn lose_unsynced(&mut self) {
        for file in self.files.values_mut() {
            let durable = core::mem::take(&mut file.durable);
            *file = File { current: durable.clone(), durable, dirty: BTreeSet::new() };
        }
    }

    /// Flips a bit of a file, on the medium.
    pub(crate) fn rot(&mut self, file: FileName, bit: usize) {
        let file = self.files.get_mut(&file).expect("there");
        for bytes in [&mut file.current, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// A newer program wrote the file: version 3, and the check holds.
    pub(crate) fn make_newer(&mut self, file: FileName) {
        let file = self.files.get_mut(&file).expect("there");
        for bytes in [&mut file.current, &mut file.durable] {
            let mut header = bytes[..4096].to_vec();
            header[8] = 3;
            formats::journal::FileHeader::seal(&mut header);
            *bytes = header.into_iter().chain(bytes[4096..].iter().copied()).collect();
        }
    }

    /// A file loses its end, on the medium.
    pub(crate) fn truncate(&mut self, file: FileName, length: usize) {
        let file = self.files.get_mut(&file).expect("there");
        file.current.truncate(length);
        file.durable.truncate(length);
    }

    pub(crate) fn names(&self) -> Vec<FileName> {
        self.files.keys().copied().collect()
    }

    pub(crate) fn bytes(&self, file: FileName) -> &[u8] {
        &self.files[&file].current
    }

    /// What a power cut would leave of a file for sure; nothing of one that isn't there.
    pub(crate) fn durable(&self, file: FileName) -> Bytes {
        self.files.get(&file).map_or(Bytes::new(), |file| Bytes::copy_from_slice(&file.durable))
    }

    pub(crate) fn remove(&mut self, file: FileName) {
        self.files.remove(&file);
    }
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.current.resize(self.current.len().max(end), 0);
        self.current[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.current.len());
            self.durable.resize(self.durable.len().max(end), 0);
            self.durable[start..end].copy_from_slice(&self.current[start..end]);
        }
    }
}

//! What is done to a folder: bits that rot, crashes, disks that are wiped.

use step::{DiskOperation, FileName};

use super::{File, Folder};
use crate::Kind;

/// How a node's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies: the kernel keeps what completed.
    Process,
    /// The machine loses its power: the disk keeps what was synced.
    Power,
}

impl Folder {
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

//! Files in memory, that do everything at once.

use std::collections::BTreeMap;

use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, FileName, Table};

#[derive(Default)]
pub(super) struct Disk(BTreeMap<FileName, Vec<u8>>, BTreeMap<FileName, Table>);

impl Disk {
    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(FileName::parse(name).expect("a name"), bytes);
    }

    pub(super) fn perform(&mut self, what: DiskOperation) -> DiskResult {
        match what {
            DiskOperation::List => {
                let files = self.0.iter().map(|(name, bytes)| (*name, bytes.len() as u64));
                let tables = self.1.iter().map(|(name, table)| (*name, table.bytes()));
                return Ok(DiskOutcome::Listed(files.chain(tables).collect()));
            }
            DiskOperation::Create { file } => drop(self.0.insert(file, Vec::new())),
            DiskOperation::Delete { file } => drop((self.0.remove(&file), self.1.remove(&file))),
            DiskOperation::Read { file, offset, length } => {
                let bytes = self.0.get(&file).ok_or(DiskError::NotFound)?;
                let from = (offset as usize).min(bytes.len());
                let to = ((offset + length) as usize).min(bytes.len());
                return Ok(DiskOutcome::Read(bytes[from..to].to_vec().into()));
            }
            DiskOperation::Write { file, offset, pieces }
            | DiskOperation::WriteThrough { file, offset, pieces } => {
                let bytes = self.0.get_mut(&file).ok_or(DiskError::NotFound)?;
                let mut at = offset as usize;
                for piece in pieces {
                    let end = at + piece.len();
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[at..end].copy_from_slice(&piece);
                    at = end;
                }
            }
            DiskOperation::Sync { .. } => {}
            DiskOperation::Commit { table, changes } => {
                let table = self.1.entry(table).or_default();
                changes.iter().for_each(|change| table.change(change));
            }
            DiskOperation::ReadOn { table, after, bytes_max } => {
                let table = self.1.get(&table).ok_or(DiskError::NotFound)?;
                return Ok(table.read_on(after.as_deref(), bytes_max));
            }
            DiskOperation::Space => return Ok(DiskOutcome::Space { free: 1 << 40, total: 1 << 40 }),
        }
        Ok(DiskOutcome::Done)
    }
}

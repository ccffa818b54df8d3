//! A folder of files that crashes by the rules of `step::DiskOperation`.

use std::collections::BTreeMap;
use step::{DiskError, DiskOperation, DiskOutcome, DiskResult, Entropy, FileName, OperationId};

const SECTOR: usize = 512;

#[derive(Default)]
pub(crate) struct Disk {
    live: BTreeMap<FileName, Vec<u8>>,
    durable: BTreeMap<FileName, Vec<u8>>,
    open: Vec<(OperationId, DiskOperation)>,
    /// So many reads of the identity file fail.
    pub(crate) identity_fails: u32,
}

impl Disk {
    pub(crate) fn put(&mut self, name: &str, bytes: &[u8]) {
        let name = FileName::parse(name).expect("a name");
        self.live.insert(name, bytes.to_vec());
        self.durable.insert(name, bytes.to_vec());
    }

    /// Flips a bit of one of such files, cuts it, or removes it. Gives what it did, if there is such a file.
    pub(crate) fn damage(&mut self, random: &mut Entropy, such: impl Fn(&str) -> bool) -> Option<String> {
        let names: Vec<FileName> = self.live.keys().copied().filter(|name| such(name.as_str())).collect();
        let name = names.get(random.below(names.len().max(1) as u64) as usize)?;
        let bytes = self.live.get_mut(name)?;
        let at = random.below(bytes.len().max(1) as u64) as usize;
        let what = match random.below(3) {
            0 if !bytes.is_empty() => {
                bytes[at] ^= 1 << random.below(8);
                format!("flips a bit of {name:?} at {at}")
            }
            1 => {
                bytes.truncate(at);
                format!("cuts {name:?} at {at}")
            }
            _ => {
                self.live.remove(name);
                format!("removes {name:?}")
            }
        };
        self.durable.clone_from(&self.live);
        Some(what)
    }

    pub(crate) fn remove_all(&mut self, such: impl Fn(&str) -> bool) {
        self.live.retain(|name, _| !such(name.as_str()));
        self.durable.retain(|name, _| !such(name.as_str()));
    }

    pub(crate) fn start(&mut self, operation: OperationId, what: DiskOperation) {
        self.open.push((operation, what));
    }

    /// Lets any operation that is under way end.
    pub(crate) fn finish_one(&mut self, random: &mut Entropy) -> Option<(OperationId, DiskResult)> {
        if self.open.is_empty() {
            return None;
        }
        let index = random.below(self.open.len() as u64) as usize;
        let (operation, what) = self.open.swap_remove(index);
        Some((operation, self.perform(what)))
    }

    fn perform(&mut self, what: DiskOperation) -> DiskResult {
        match what {
            DiskOperation::List => Ok(DiskOutcome::Listed(
                self.live.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect(),
            )),
            DiskOperation::Create { file } => {
                self.live.insert(file, Vec::new());
                self.durable.insert(file, Vec::new());
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Delete { file } => {
                self.live.remove(&file);
                self.durable.remove(&file);
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Read { file, .. } if self.identity_fails > 0 && file.as_str() == "identity" => {
                self.identity_fails -= 1;
                Err(DiskError::Failed)
            }
            DiskOperation::Read { file, offset, length } => {
                let bytes = self.live.get(&file).ok_or(DiskError::NotFound)?;
                let from = (offset as usize).min(bytes.len());
                let to = ((offset + length) as usize).min(bytes.len());
                Ok(DiskOutcome::Read(bytes[from..to].to_vec().into()))
            }
            DiskOperation::Write { file, offset, pieces } => {
                let bytes = self.live.get_mut(&file).ok_or(DiskError::NotFound)?;
                let data = pieces.concat();
                let end = offset as usize + data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[offset as usize..end].copy_from_slice(&data);
                Ok(DiskOutcome::Done)
            }
            DiskOperation::Sync { file } => {
                let bytes = self.live.get(&file).ok_or(DiskError::NotFound)?;
                self.durable.insert(file, bytes.clone());
                Ok(DiskOutcome::Done)
            }
            DiskOperation::WriteThrough { .. } => panic!("a volume syncs many writes together"),
            DiskOperation::Commit { .. } | DiskOperation::ReadOn { .. } => panic!("a volume has no tables"),
            DiskOperation::Space => Ok(DiskOutcome::Space { free: 1 << 40, total: 1 << 40 }),
        }
    }

    /// The process dies: what completed stays; of writes under way any sectors.
    pub(crate) fn process_crash(&mut self, random: &mut Entropy) {
        for (_, what) in std::mem::take(&mut self.open) {
            if let DiskOperation::Write { file, offset, pieces } = what {
                let Some(bytes) = self.live.get_mut(&file) else { continue };
                let data = pieces.concat();
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    if random.below(2) == 0 {
                        let at = offset as usize + index * SECTOR;
                        bytes.resize(bytes.len().max(at + sector.len()), 0);
                        bytes[at..at + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }

    /// The machine dies: what was synced stays; of the rest any sectors.
    pub(crate) fn power_cut(&mut self, random: &mut Entropy) {
        self.process_crash(random);
        for (name, durable) in &mut self.durable {
            let Some(live) = self.live.get(name) else { continue };
            for at in (0..live.len()).step_by(SECTOR) {
                let end = (at + SECTOR).min(live.len());
                if random.below(2) == 0 {
                    durable.resize(durable.len().max(end), 0);
                    durable[at..end].copy_from_slice(&live[at..end]);
                }
            }
        }
        self.live = self.durable.clone();
    }
}

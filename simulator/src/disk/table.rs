//! A table of a simulated disk. What it holds is durable: of a commit that a crash met all is there, or nothing.

use bytes::Bytes;
use step::{DiskError, DiskOutcome, DiskResult, Table, TableChange};

use crate::Random;

/// What a pair takes on the disk beside key and value.
const PAIR_BYTES: u64 = 16;

/// One that nobody committed to takes so much as well.
const EMPTY_BYTES: u64 = 4096;

/// Pairs, and whether anything can be made of them.
#[derive(Clone, Debug, Default)]
pub struct TableFile {
    table: Table,
    /// Rot hit what leads to the pairs: the whole is damaged.
    is_damaged: bool,
    /// A commit came to nothing certain in this life: nobody trusts it before the next.
    pub(super) is_distrusted: bool,
}

impl TableFile {
    /// A table with pairs in it.
    pub fn durable(table: Table) -> Self {
        TableFile { table, ..TableFile::default() }
    }

    /// What it holds; none where that can't be told any more.
    pub fn table(&self) -> Option<&Table> {
        (!self.is_damaged).then_some(&self.table)
    }

    /// Whether it holds anything that can be read.
    pub fn has_pairs(&self) -> bool {
        self.table().is_some_and(|table| table.pairs().len() > 0)
    }

    /// What it takes on the disk, in bytes.
    pub fn len(&self) -> u64 {
        EMPTY_BYTES + self.table.bytes() + PAIR_BYTES * self.table.pairs().len() as u64
    }

    /// Whether it takes nothing: it never does.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn trusted(&self) -> Result<(), DiskError> {
        match (self.is_distrusted, self.is_damaged) {
            (true, _) => Err(DiskError::Failed),
            (_, true) => Err(DiskError::Damaged),
            _ => Ok(()),
        }
    }

    /// Makes all changes, unless the table would then be longer than `length_max`.
    pub(super) fn commit(&mut self, changes: &[TableChange], length_max: u64) -> DiskResult {
        self.trusted()?;
        let mut after = TableFile::durable(self.table.clone());
        changes.iter().for_each(|change| after.table.change(change));
        if after.len() > length_max {
            return Err(DiskError::Full);
        }
        *self = after;
        Ok(DiskOutcome::Done)
    }

    pub(super) fn read_on(&self, after: Option<&[u8]>, bytes_max: u64) -> DiskResult {
        self.trusted().map(|()| self.table.read_on(after, bytes_max))
    }

    /// Rots somewhere: a bit of a pair flips, a pair is gone, or nothing can be read any more.
    pub(super) fn rot(&mut self, random: &mut Random) {
        let pairs = self.table.pairs().len() as u64;
        if pairs == 0 || random.chance(1_250) {
            self.is_damaged = true;
            return;
        }
        let hit = random.below(pairs) as usize;
        let (key, value) = self.table.pairs().nth(hit).expect("drawn below their number");
        let (mut key, mut value) = (key.to_vec(), value.to_vec());
        let gone = TableChange::Delete { key: Bytes::from(key.clone()) };
        self.table.change(&gone);
        let length = key.len() + value.len();
        if length > 0 && !random.chance(2_500) {
            let at = random.below(length as u64) as usize;
            let bit = 1 << random.below(8);
            let split = at.checked_sub(key.len());
            *split.map_or_else(|| &mut key[at], |at| &mut value[at]) ^= bit;
            self.table.change(&TableChange::Set { key: key.into(), value: value.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableFile {
        let mut table = TableFile::default();
        let set = |key: u8| TableChange::Set { key: vec![key].into(), value: vec![key; 9].into() };
        table.commit(&[set(1), set(2), set(3)], u64::MAX).expect("there is room");
        table
    }

    #[test]
    fn a_commit_that_finds_no_room_changes_nothing() {
        let mut table = table();
        let before = table.clone();
        let set = TableChange::Set { key: vec![9].into(), value: vec![0; 100].into() };
        let delete = TableChange::Delete { key: vec![1].into() };
        let changes = [delete, set];
        assert_eq!(table.commit(&changes, before.len() + 50), Err(DiskError::Full));
        assert_eq!(table.table(), before.table());
        assert_eq!(table.commit(&changes, before.len() + 150), Ok(DiskOutcome::Done));
        assert_eq!(table.table().expect("it is whole").pairs().len(), 3);
    }

    #[test]
    fn rot_takes_a_pair_changes_one_or_damages_all() {
        let (mut gone, mut changed, mut damaged) = (0, 0, 0);
        for seed in 0..100 {
            let mut rotten = table();
            rotten.rot(&mut Random::stream(seed, "rot"));
            match rotten.table() {
                None => damaged += 1,
                Some(left) if left.pairs().len() < 3 => gone += 1,
                Some(left) => {
                    assert_ne!(Some(left), table().table());
                    changed += 1;
                }
            }
            let read = rotten.read_on(None, u64::MAX);
            assert_eq!(read == Err(DiskError::Damaged), rotten.table().is_none());
        }
        assert!(gone > 5 && changed > 5 && damaged > 2, "{gone} {changed} {damaged}");
    }
}

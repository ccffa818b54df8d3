//! A file as a kernel and a disk hold it: what a reader sees now, and what a power cut may leave.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Random;

/// Bytes that a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

type Sector = Option<Box<[u8; SECTOR_BYTES]>>;

/// Live contents, and for every sector that isn't durable what else may be found after a power cut.
#[derive(Clone, Debug, Default)]
pub struct File {
    live: Vec<u8>,
    durable_length: u64,
    unsynced: BTreeMap<u64, Unsynced>,
    /// Lengths that the file took since the last sync, each with the write that brought it.
    lengths: Vec<(u64, u64)>,
    /// Numbers writes, so that a sync covers those that completed before it.
    writes: u64,
}

/// A sector written since it was last durable. `None` contents are zeros.
#[derive(Clone, Debug)]
struct Unsynced {
    /// What is durable for sure.
    durable: Sector,
    /// Contents between that and the live one, each with its write.
    between: Vec<(u64, Sector)>,
    /// The write that brought the live content.
    written: u64,
    /// A sync failed over it: the kernel takes it for clean, and no later sync writes it.
    forgotten: bool,
}

impl File {
    /// A file with durable contents.
    pub fn durable(contents: &[u8]) -> Self {
        File { live: contents.to_vec(), durable_length: contents.len() as u64, ..File::default() }
    }

    /// Its length as a reader sees it, in bytes.
    pub fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Whether a reader sees nothing in it.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Its contents as a reader sees them.
    pub fn live(&self) -> &[u8] {
        &self.live
    }

    /// Its contents after a power cut in which nothing unsynced survives.
    pub fn durable_contents(&self) -> Vec<u8> {
        let mut contents = self.live.clone();
        for (&sector, unsynced) in &self.unsynced {
            put_sector(&mut contents, sector, &unsynced.durable);
        }
        contents.resize(self.durable_length as usize, 0);
        contents
    }

    /// Reads; shorter where the file ends.
    pub fn read(&self, offset: u64, length: u64) -> Bytes {
        let start = offset.min(self.len()) as usize;
        let end = offset.saturating_add(length).min(self.len()) as usize;
        Bytes::copy_from_slice(&self.live[start..end])
    }

    /// Writes, but only those sectors that `keep` takes, counted from the first one touched.
    pub fn write(&mut self, offset: u64, data: &[u8], mut keep: impl FnMut(usize) -> bool) {
        self.writes += 1;
        let mut at = offset as usize;
        let mut rest = data;
        let mut index = 0;
        while !rest.is_empty() {
            let take = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
            if keep(index) {
                self.write_in_sector(at, &rest[..take]);
            }
            (at, rest, index) = (at + take, &rest[take..], index + 1);
        }
    }

    fn write_in_sector(&mut self, at: usize, data: &[u8]) {
        let sector = (at / SECTOR_BYTES) as u64;
        let before = get_sector(&self.live, sector);
        match self.unsynced.get_mut(&sector) {
            Some(unsynced) => {
                unsynced.between.push((unsynced.written, before));
                (unsynced.written, unsynced.forgotten) = (self.writes, false);
            }
            None => {
                let fresh =
                    Unsynced { durable: before, between: Vec::new(), written: self.writes, forgotten: false };
                self.unsynced.insert(sector, fresh);
            }
        }
        let end = at + data.len();
        if end > self.live.len() {
            self.live.resize(end, 0);
            self.lengths.push((self.writes, end as u64));
        }
        self.live[at..end].copy_from_slice(data);
    }

    /// Changes what is durable and what is seen alike, as a disk does that fails silently.
    pub fn corrupt(&mut self, offset: u64, data: &[u8]) {
        let end = (offset as usize + data.len()).min(self.live.len());
        let start = (offset as usize).min(end);
        self.live[start..end].copy_from_slice(&data[..end - start]);
        for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let live = get_sector(&self.live, sector as u64);
            if let Some(unsynced) = self.unsynced.get_mut(&(sector as u64)) {
                (unsynced.durable, unsynced.between) = (live, Vec::new());
            }
        }
    }

    /// The mark that a sync issued now covers.
    pub fn sync_mark(&self) -> u64 {
        self.writes
    }

    /// Makes everything up to a mark durable, except what a failed sync forgot.
    pub fn synced(&mut self, mark: u64) {
        let live = &self.live;
        self.unsynced.retain(|&sector, unsynced| {
            if unsynced.forgotten {
                return true;
            }
            if unsynced.written <= mark {
                return false;
            }
            while unsynced.between.first().is_some_and(|(write, _)| *write <= mark) {
                unsynced.durable = unsynced.between.remove(0).1;
            }
            debug_assert!(sector * SECTOR_BYTES as u64 <= live.len() as u64, "sectors lie in the file");
            true
        });
        while self.lengths.first().is_some_and(|(write, _)| *write <= mark) {
            self.durable_length = self.lengths.remove(0).1;
        }
    }

    /// A write that went through to the disk: what it wrote is durable, and the file's length with it. It was the last.
    pub fn written_through(&mut self, offset: u64, length: u64) {
        let sectors = offset / SECTOR_BYTES as u64..(offset + length).div_ceil(SECTOR_BYTES as u64);
        self.unsynced.retain(|sector, unsynced| unsynced.forgotten || !sectors.contains(sector));
        // A length that another write brought is durable with that one.
        self.durable_length = self.durable_length.max(offset + length);
        self.lengths.retain(|(_, more)| *more > self.durable_length);
    }

    /// A sync up to a mark failed: it is forgotten, and no later sync brings it back.
    pub fn sync_failed(&mut self, mark: u64) {
        for unsynced in self.unsynced.values_mut() {
            unsynced.forgotten |= unsynced.written <= mark;
        }
    }

    /// A power cut: what is durable stays, and of the rest any part. Says whether something was lost.
    pub fn cut_power(&mut self, random: &mut Random) -> bool {
        let mut lost = false;
        // Some cuts take all, some nothing, most a part.
        let survival = *random.pick(&[0, 2_000, 5_000, 9_000, 10_000]);
        for (sector, unsynced) in core::mem::take(&mut self.unsynced) {
            if random.chance(survival) {
                continue;
            }
            lost = true;
            let older = random.below(unsynced.between.len() as u64 + 1) as usize;
            let content = match older {
                0 => unsynced.durable,
                index => unsynced.between.into_iter().nth(index - 1).expect("drawn below its length").1,
            };
            put_sector(&mut self.live, sector, &content);
        }
        let lengths = core::mem::take(&mut self.lengths);
        if !lengths.is_empty() && !random.chance(survival) {
            lost = true;
            let kept = random.below(lengths.len() as u64) as usize;
            let length = if kept == 0 { self.durable_length } else { lengths[kept - 1].1 };
            self.live.truncate(length as usize);
        }
        self.durable_length = self.len();
        lost
    }

    /// What a failed sync forgot may leave the kernel's memory at any time: readers then see what is durable.
    pub fn evict_forgotten(&mut self, random: &mut Random) {
        for (&sector, unsynced) in &self.unsynced {
            if unsynced.forgotten && random.coin() {
                put_sector(&mut self.live, sector, &unsynced.durable);
            }
        }
    }
}

fn get_sector(contents: &[u8], sector: u64) -> Sector {
    let start = sector as usize * SECTOR_BYTES;
    let rest = contents.get(start..).filter(|rest| !rest.is_empty())?;
    let mut copy = Box::new([0; SECTOR_BYTES]);
    let length = rest.len().min(SECTOR_BYTES);
    copy[..length].copy_from_slice(&rest[..length]);
    Some(copy)
}

fn put_sector(contents: &mut [u8], sector: u64, content: &Sector) {
    let start = (sector as usize * SECTOR_BYTES).min(contents.len());
    let end = (start + SECTOR_BYTES).min(contents.len());
    match content {
        Some(content) => contents[start..end].copy_from_slice(&content[..end - start]),
        None => contents[start..end].fill(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::stream(1, "file")
    }

    #[test]
    fn synced_is_durable_and_the_rest_is_not() {
        let mut file = File::default();
        file.write(0, &[1; 1024], |_| true);
        let mark = file.sync_mark();
        file.write(512, &[2; 1024], |_| true);
        file.synced(mark);
        assert_eq!(file.read(0, 2000).len(), 1536);
        assert_eq!(file.durable_contents(), [1; 1024]);
        file.synced(file.sync_mark());
        assert_eq!(file.durable_contents(), file.live());
    }

    #[test]
    fn what_was_written_through_is_durable_and_nothing_else_is() {
        let mut file = File::durable(&[1; 1024]);
        file.write(0, &[2; 1024], |_| true);
        file.write(512, &[3; 1024], |_| true);
        file.written_through(512, 1024);
        assert_eq!(file.durable_contents(), [[1; 512], [3; 512], [3; 512]].concat());
        file.write(2048, &[4; 512], |_| true);
        file.write(0, &[5; 512], |_| true);
        file.written_through(0, 512);
        assert_eq!(
            file.durable_contents().len(),
            1536,
            "what another write brought is not durable with this one"
        );
    }

    #[test]
    fn a_power_cut_keeps_any_part_of_the_unsynced_sectors_and_all_of_the_synced() {
        let mut seen = std::collections::BTreeSet::new();
        let mut random = random();
        for _ in 0..200 {
            let mut file = File::durable(&[1; 1024]);
            file.write(512, &[2; 1024], |_| true);
            file.cut_power(&mut random);
            assert_eq!(file.read(0, 512)[..], [1; 512]);
            let sector = |index: u64| file.read(index * 512, 512).first().copied();
            seen.insert((file.len(), sector(1), sector(2)));
            assert_eq!(file.durable_contents(), file.live());
        }
        let expected = [
            (1024, Some(1), None),
            (1024, Some(2), None),
            (1536, Some(1), Some(0)),
            (1536, Some(1), Some(2)),
            (1536, Some(2), Some(0)),
            (1536, Some(2), Some(2)),
        ];
        assert_eq!(seen, expected.into());
    }

    #[test]
    fn a_sector_written_twice_may_come_back_as_any_of_its_contents() {
        let mut seen = std::collections::BTreeSet::new();
        let mut random = random();
        for _ in 0..100 {
            let mut file = File::durable(&[1; 512]);
            file.write(0, &[2; 512], |_| true);
            file.write(0, &[3; 512], |_| true);
            file.cut_power(&mut random);
            seen.insert(file.read(0, 1)[0]);
        }
        assert_eq!(seen, [1, 2, 3].into());
    }

    #[test]
    fn a_failed_sync_forgets_for_good() {
        let mut file = File::durable(&[1; 512]);
        file.write(0, &[2; 512], |_| true);
        file.sync_failed(file.sync_mark());
        file.synced(file.sync_mark());
        assert_eq!(file.live(), [2; 512]);
        assert_eq!(file.durable_contents(), [1; 512]);
        // Written anew, it is dirty again.
        file.write(0, &[3; 512], |_| true);
        file.synced(file.sync_mark());
        assert_eq!(file.durable_contents(), [3; 512]);
    }

    #[test]
    fn half_a_write_is_whole_sectors() {
        let mut file = File::durable(&[1; 1024]);
        file.write(256, &[2; 512], |index| index == 1);
        assert_eq!(file.read(0, 512)[..], [1; 512]);
        assert_eq!(file.read(512, 256)[..], [2; 256]);
    }
}

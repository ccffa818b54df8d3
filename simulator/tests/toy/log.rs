//! Records.

use bytes::Bytes;
use checksum::crc32c;

use super::SIZE;

const MAGIC: u32 = 0x7079_6f74;
const SECTOR: usize = 512;

/// A change: none of data is a discard.
pub(crate) struct Change {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) data: Option<Bytes>,
}

impl Change {
    pub(crate) fn apply(&self, image: &mut [u8]) {
        let range = self.offset as usize..(self.offset + self.length) as usize;
        match &self.data {
            Some(data) => image[range].copy_from_slice(data),
            None => image[range].fill(0),
        }
    }

    pub(crate) fn encode(&self, number: u64) -> Bytes {
        let data = self.data.as_deref().unwrap_or_default();
        let mut record = vec![0; SECTOR + data.len().next_multiple_of(SECTOR)];
        record[..4].copy_from_slice(&MAGIC.to_le_bytes());
        record[8..16].copy_from_slice(&number.to_le_bytes());
        record[16] = u8::from(self.data.is_some());
        record[24..32].copy_from_slice(&self.offset.to_le_bytes());
        record[32..40].copy_from_slice(&self.length.to_le_bytes());
        record[SECTOR..SECTOR + data.len()].copy_from_slice(data);
        let check = crc32c(&record[8..]);
        record[4..8].copy_from_slice(&check.to_le_bytes());
        record.into()
    }
}

/// The image that a log describes. `checks`: whether data must have its check; `stops`: whether the first bad
/// record is the end.
pub(crate) fn replay(log: &[u8], checks: bool, stops: bool) -> Vec<u8> {
    let mut image = vec![0; SIZE as usize];
    let mut at = 0;
    let mut number = 0;
    while at + SECTOR <= log.len() {
        let word =
            |from: usize| u64::from_le_bytes(log[at + from..at + from + 8].try_into().expect("8 bytes"));
        let is_header = log[at..at + 4] == MAGIC.to_le_bytes() && word(8) == number + 1;
        let (offset, length, holds_data) = (word(24), word(32), log[at + 16] == 1);
        let stored = if holds_data { (length as usize).next_multiple_of(SECTOR) } else { 0 };
        let end = at + SECTOR + stored;
        let fits = is_header && offset + length <= SIZE && end <= log.len();
        let is_good = fits && (!checks || log[at + 4..at + 8] == crc32c(&log[at + 8..end]).to_le_bytes());
        if is_good {
            let data = Bytes::copy_from_slice(&log[at + SECTOR..end])
                .slice(..if holds_data { length as usize } else { 0 });
            Change { offset, length, data: holds_data.then_some(data) }.apply(&mut image);
            (at, number) = (end, number + 1);
        } else if stops {
            break;
        } else {
            // A bug: whatever looks like a record further on is taken.
            at += SECTOR;
            let next = log.get(at..at + 16).filter(|next| next[..4] == MAGIC.to_le_bytes());
            let next = next.map(|next| u64::from_le_bytes(next[8..].try_into().expect("8 bytes")));
            number = next.map_or(number, |next| next.saturating_sub(1).max(number));
        }
    }
    image
}

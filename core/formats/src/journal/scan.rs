//! Reading a journal file: what checks, where it first doesn't, and which marks survive beyond.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;

use super::batch::{BATCH_HEADER, BATCH_MAGIC, CHECK_AT, header_check};
use super::header::fixed;
use super::{FileHeader, HeaderError, Kind, MAX_BODY, Mark, PAGE};

/// A batch that checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where it starts, in bytes.
    pub position: u64,
    /// Where the next one starts.
    pub end: u64,
    /// Up to where the log was synced when it was written.
    pub synced: Mark,
    /// Its check, which the next batch names.
    pub check: u32,
    /// Its body.
    pub body: Bytes,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileScan {
    /// Its header.
    pub header: FileHeader,
    /// The check of the header.
    pub header_check: u32,
    /// The batches from the start on that check, each following the one before.
    pub batches: Vec<Batch>,
    /// Where the first one that doesn't check would be.
    pub end: u64,
    /// The highest mark in any batch header of this file that checks by itself, those beyond `end`
    /// included; the header's predecessor counts too.
    pub synced: Mark,
}

/// A file whose header doesn't check, and what its batches tell all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headless {
    /// What is wrong with the header.
    pub error: HeaderError,
    /// The highest mark in any batch header of this file that checks by itself. When it lies in this file, the
    /// header was synced once and is damaged; else the file may be a creation that a power cut tore.
    pub synced: Mark,
}

/// Scans the bytes of a file whose name says that it is `sequence` of `owner`.
pub fn scan(bytes: &Bytes, kind: Kind, owner: &[u8; 16], sequence: u64) -> Result<FileScan, Headless> {
    let own = FileHeader::decode(bytes, kind).and_then(|(header, check)| {
        let is_own = header.owner == *owner && header.sequence == sequence;
        if is_own { Ok((header, check)) } else { Err(HeaderError::Foreign) }
    });
    let (header, header_check) =
        own.map_err(|error| Headless { error, synced: lone_marks(bytes, owner, sequence, PAGE) })?;
    let mut synced = header.predecessor.map_or(Mark::default(), |p| p.end);
    let (mut batches, mut check, mut position) = (Vec::new(), header_check, PAGE);
    while let Some(batch) = read_batch(bytes, owner, sequence, position, Some(check)) {
        (check, position) = (batch.check, batch.end);
        synced = synced.max(batch.synced);
        batches.push(batch);
    }
    // Beyond the first bad batch nothing is taken; but what still checks there may tell that this was damage.
    synced = synced.max(lone_marks(bytes, owner, sequence, position));
    Ok(FileScan { header, header_check, batches, end: position, synced })
}

fn read_batch(
    bytes: &Bytes,
    owner: &[u8; 16],
    sequence: u64,
    position: u64,
    previous: Option<u32>,
) -> Option<Batch> {
    let at = usize::try_from(position).ok()?;
    let header = bytes.get(at..at.checked_add(BATCH_HEADER)?)?;
    let check = u32::from_le_bytes(fixed(header, CHECK_AT));
    let own_place = u32::from_le_bytes(fixed(header, 0)) == BATCH_MAGIC
        && u64::from_le_bytes(fixed(header, 8)) == sequence
        && u64::from_le_bytes(fixed(header, 16)) == position
        && previous.is_none_or(|previous| u32::from_le_bytes(fixed(header, 40)) == previous)
        && header_check(owner, header) == check;
    if !own_place {
        return None;
    }
    let length = u32::from_le_bytes(fixed(header, 4));
    if length > MAX_BODY {
        return None;
    }
    let synced = Mark {
        sequence: u64::from_le_bytes(fixed(header, 24)),
        position: u64::from_le_bytes(fixed(header, 32)),
    };
    let end = (position + BATCH_HEADER as u64 + u64::from(length)).next_multiple_of(PAGE);
    if previous.is_none() {
        return Some(Batch { position, end, synced, check, body: Bytes::new() });
    }
    let start = at + BATCH_HEADER;
    let body_range = start..start.checked_add(length as usize)?;
    let body = bytes.get(body_range.clone())?;
    if crc32c(body) != u32::from_le_bytes(fixed(header, 44)) {
        return None;
    }
    Some(Batch { position, end, synced, check, body: bytes.slice(body_range) })
}

/// The highest mark from `position` on in batch headers that check by themselves, whatever came before them and
/// whatever their bodies are.
fn lone_marks(bytes: &Bytes, owner: &[u8; 16], sequence: u64, position: u64) -> Mark {
    let positions = (position..bytes.len() as u64).step_by(PAGE as usize);
    let marks =
        positions.filter_map(|at| read_batch(bytes, owner, sequence, at, None)).map(|batch| batch.synced);
    marks.fold(Mark::default(), Mark::max)
}

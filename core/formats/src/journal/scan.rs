//! Reading a journal file: what checks, where it first doesn't, and which marks survive beyond.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;

use super::batch::{BATCH_HEADER, BATCH_MAGIC, CHECK_AT, header_check};
use super::header::fixed;
use super::{FileHeader, HeaderError, Kind, MAX_BODY, Mark, PAGE};

/// A batch.
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
    /// Whether the body checks. One that doesn't is here only where the reader proved what it was.
    pub is_whole: bool,
}

/// A body that doesn't check, under a header that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBody {
    /// What is there; as long as what was written.
    pub bytes: Bytes,
    /// The check of what was written.
    pub check: u32,
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
    scan_past(bytes, kind, owner, sequence, |_| false)
}

/// The same, and goes on past a batch whose body doesn't check where `is_proven` says that the body itself tells
/// what of it is as it was written. Only what lies below a mark may then be believed: above all marks such a
/// batch is a torn one, and whoever asked cuts it off.
pub fn scan_past(
    bytes: &Bytes,
    kind: Kind,
    owner: &[u8; 16],
    sequence: u64,
    is_proven: impl Fn(&DamagedBody) -> bool,
) -> Result<FileScan, Headless> {
    let own = FileHeader::decode(bytes, kind).and_then(|(header, check)| {
        let is_own = header.owner == *owner && header.sequence == sequence;
        if is_own { Ok((header, check)) } else { Err(HeaderError::Foreign) }
    });
    let (header, header_check) =
        own.map_err(|error| Headless { error, synced: lone_marks(bytes, owner, sequence, PAGE) })?;
    let mut synced = header.predecessor.map_or(Mark::default(), |p| p.end);
    let (mut batches, mut check, mut position) = (Vec::new(), header_check, PAGE);
    while let Some(batch) = read_batch(bytes, owner, sequence, position, Some((check, &is_proven))) {
        (check, position) = (batch.check, batch.end);
        synced = synced.max(batch.synced);
        batches.push(batch);
    }
    // Beyond the first bad batch nothing is taken; but what still checks there may tell that this was damage.
    synced = synced.max(lone_marks(bytes, owner, sequence, position));
    Ok(FileScan { header, header_check, batches, end: position, synced })
}

/// The check that a batch must name, and what judges a body that doesn't check.
type Chain<'a> = (u32, &'a dyn Fn(&DamagedBody) -> bool);

fn read_batch(
    bytes: &Bytes,
    owner: &[u8; 16],
    sequence: u64,
    position: u64,
    chain: Option<Chain<'_>>,
) -> Option<Batch> {
    let at = usize::try_from(position).ok()?;
    let header = bytes.get(at..at.checked_add(BATCH_HEADER)?)?;
    let check = u32::from_le_bytes(fixed(header, CHECK_AT));
    let own_place = u32::from_le_bytes(fixed(header, 0)) == BATCH_MAGIC
        && u64::from_le_bytes(fixed(header, 8)) == sequence
        && u64::from_le_bytes(fixed(header, 16)) == position
        && chain.is_none_or(|(previous, _)| u32::from_le_bytes(fixed(header, 40)) == previous)
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
    let Some((_, is_proven)) = chain else {
        return Some(Batch { position, end, synced, check, body: Bytes::new(), is_whole: false });
    };
    let start = at + BATCH_HEADER;
    let body_range = start..start.checked_add(length as usize)?;
    bytes.get(body_range.clone())?;
    let body = bytes.slice(body_range);
    let body_check = u32::from_le_bytes(fixed(header, 44));
    let is_whole = crc32c(&body) == body_check;
    if !is_whole && !is_proven(&DamagedBody { bytes: body.clone(), check: body_check }) {
        return None;
    }
    Some(Batch { position, end, synced, check, body, is_whole })
}

/// The highest mark from `position` on in batch headers that check by themselves, whatever came before them and
/// whatever their bodies are.
fn lone_marks(bytes: &Bytes, owner: &[u8; 16], sequence: u64, position: u64) -> Mark {
    let positions = (position..bytes.len() as u64).step_by(PAGE as usize);
    let marks =
        positions.filter_map(|at| read_batch(bytes, owner, sequence, at, None)).map(|batch| batch.synced);
    marks.fold(Mark::default(), Mark::max)
}

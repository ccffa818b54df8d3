//! A segment that was read: its batches and what the index needs of them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::asd_record::{BODY_AT, records};
use formats::journal::{FileScan, HeaderError, Headless, Kind, scan};

use crate::index::Logged;

/// What a segment holds.
pub(crate) struct SegmentScan {
    /// Its batches, without their bodies.
    pub(crate) scan: Result<FileScan, Headless>,
    /// The records of each batch.
    pub(crate) batches: Vec<Vec<Logged>>,
}

/// Reads the bytes of a segment; nothing from `cut` on counts. Fails, with a reason, where it isn't this
/// ASD's or isn't to be understood.
pub(crate) fn read(
    bytes: &Bytes,
    owner: &[u8; 16],
    sequence: u64,
    cut: Option<u64>,
    is_torn_taken: bool,
) -> Result<SegmentScan, String> {
    let mut scan = match scan(bytes, Kind::ASD_SEGMENT, owner, sequence) {
        Ok(scan) => scan,
        Err(headless) => {
            return match headless.error {
                HeaderError::Damaged => Ok(SegmentScan { scan: Err(headless), batches: Vec::new() }),
                HeaderError::Foreign => Err("it is no segment of this ASD".into()),
                error @ HeaderError::Newer(_) => Err(format!("{error}")),
            };
        }
    };
    if let Some(cut) = cut {
        scan.batches.retain(|batch| batch.position < cut);
        scan.end = scan.end.min(cut);
    }
    let mut batches = Vec::with_capacity(scan.batches.len());
    for batch in &mut scan.batches {
        let body = core::mem::take(&mut batch.body);
        let found = logged(sequence, batch.position, &body);
        batches.push(found.ok_or_else(|| format!("the batch at byte {} holds no records", batch.position))?);
    }
    if is_torn_taken {
        batches.push(torn(bytes, sequence, scan.end));
    }
    Ok(SegmentScan { scan: Ok(scan), batches })
}

/// The records in the body of the batch at `position`.
fn logged(segment: u64, position: u64, body: &[u8]) -> Option<Vec<Logged>> {
    let place = |at: usize| u32::try_from(position + BODY_AT + at as u64).ok();
    let record = |found: Option<(usize, formats::asd_record::Record<'_>)>| {
        let (at, record) = found?;
        Some(Logged {
            kind: record.kind,
            key: record.key.into(),
            position: place(at)?,
            length: record.length,
            crc: record.crc,
        })
    };
    records(segment, body).map(record).collect()
}

/// A planted bug's way to read a torn batch: whatever looks like a record.
fn torn(bytes: &Bytes, segment: u64, position: u64) -> Vec<Logged> {
    let body = bytes.get((position + BODY_AT) as usize..).unwrap_or_default();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(Some((_, record))) = records(segment, body.get(at..).unwrap_or_default()).next() {
        found.extend(logged(segment, position + at as u64, &body[at..at + record.stored_bytes() as usize]));
        at += record.stored_bytes() as usize;
    }
    found.into_iter().flatten().collect()
}

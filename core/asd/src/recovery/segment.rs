//! A segment that was read: its batches and what the index needs of them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;
use formats::asd_record::{RecordKind, heads_are_whole, records};
use formats::journal::{BODY_AT, FileScan, HeaderError, Headless, Kind, Mark, scan_past};

use crate::index::Logged;

/// What a segment holds.
pub(crate) struct SegmentScan {
    /// Its batches, without their bodies.
    pub(crate) scan: Result<FileScan, Headless>,
    /// The records of each batch.
    pub(crate) batches: Vec<Vec<Logged>>,
}

impl SegmentScan {
    /// Ends the segment before its first batch with damaged values that nothing vouches for: it was never synced,
    /// and what of it is there is no more than a tail (L3).
    pub(crate) fn cut_torn(scan: &mut FileScan, batches: &mut Vec<Vec<Logged>>, synced: Mark) {
        let sequence = scan.header.sequence;
        let is_torn = |end: u64| Mark { sequence, position: end } > synced;
        if let Some(at) = scan.batches.iter().position(|batch| !batch.is_whole && is_torn(batch.end)) {
            scan.end = scan.batches[at].position;
            scan.batches.truncate(at);
            batches.truncate(at);
        }
    }
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
    // A value that rotted is lost, but the heads around it prove that they are as they were written.
    let scan = scan_past(bytes, Kind::ASD_SEGMENT, owner, sequence, |body| {
        !is_torn_taken && heads_are_whole(sequence, &body.bytes, body.check)
    });
    let mut scan = match scan {
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
        let found = logged(sequence, batch.position, &body, batch.is_whole);
        batches.push(found.ok_or_else(|| format!("the batch at byte {} holds no records", batch.position))?);
    }
    if is_torn_taken {
        batches.push(torn(bytes, sequence, scan.end));
    }
    Ok(SegmentScan { scan: Ok(scan), batches })
}

/// The records in the body of the batch at `position`. Where it isn't whole, values that don't check are lost.
fn logged(segment: u64, position: u64, body: &[u8], is_whole: bool) -> Option<Vec<Logged>> {
    let place = |at: usize| u32::try_from(position + BODY_AT + at as u64).ok();
    let record = |found: Option<(usize, formats::asd_record::Record<'_>)>| {
        let (at, record) = found?;
        let value = at + record.head_bytes()..at + record.stored_bytes() as usize;
        let is_lost = !is_whole && record.kind == RecordKind::Put && crc32c(&body[value]) != record.crc;
        Some(Logged {
            kind: if is_lost { RecordKind::Lost } else { record.kind },
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
        found.extend(logged(
            segment,
            position + at as u64,
            &body[at..at + record.stored_bytes() as usize],
            true,
        ));
        at += record.stored_bytes() as usize;
    }
    found.into_iter().flatten().collect()
}

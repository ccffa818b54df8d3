//! The log files of an earlier life, as they were read, and what they say of themselves. What they come to is in
//! `recover.rs`.

use alloc::vec::Vec;
use bytes::Bytes;
use core::cmp::Ordering;
use formats::journal::{FileScan, HeaderError, Headless, Judgement, Kind, PAGE, scan};
use formats::kv_store::{LogRecord, decode_records, decode_records_2};
use glossary::GroupId;
use step::FileName;

use crate::disk::log_name;
use crate::refusals::{Refusal, unusable};

/// The version of files that knew no group.
pub(crate) const NO_GROUP: u16 = 1;

/// The version of log files that knew the root group alone.
const ONE_GROUP: u16 = 2;

/// A log file of an earlier life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) sequence: u64,
    pub(crate) bytes: Bytes,
    pub(crate) scan: Result<FileScan, Headless>,
}

/// Reads a log file.
pub(crate) fn read_log(bytes: Bytes, owner: &[u8; 16], sequence: u64) -> Result<LogFile, Refusal> {
    let scan = scan(&bytes, Kind::KV_LOG, owner, sequence);
    match scan {
        Err(Headless { error: error @ (HeaderError::Foreign | HeaderError::Newer(_)), .. }) => {
            Err(unusable(log_name(sequence), error))
        }
        // Its header was synced before anything behind it was written.
        Err(Headless { error: HeaderError::Damaged, .. }) if bytes.len() as u64 > PAGE => {
            Err(unusable(log_name(sequence), HeaderError::Damaged))
        }
        scan => Ok(LogFile { sequence, bytes, scan }),
    }
}

/// The log file that goes on from a snapshot: its first record says so.
pub(crate) fn upon(logs: &[LogFile], snapshot: u64) -> Option<u64> {
    let says_so = |log: &&LogFile| {
        let scan = log.scan.as_ref().ok()?;
        let records = records(&scan.batches.first()?.body, scan.header.kind.version)?;
        records.first()?.1.upon.filter(|upon| *upon == snapshot)
    };
    logs.iter().find(|log| says_so(log).is_some()).map(|log| log.sequence)
}

/// Whether the first log file goes on from another, which is gone.
pub(crate) fn has_lost_its_begin(logs: &[LogFile]) -> bool {
    let first = logs.iter().find_map(|log| log.scan.as_ref().ok());
    first.is_some_and(|first| first.header.predecessor.is_some())
}

/// The last log file that says all again, and what its entries follow upon.
pub(crate) fn last_anew(logs: &[LogFile]) -> Option<u64> {
    let says_so = |log: &&LogFile| {
        let scan = log.scan.as_ref().ok()?;
        let records = records(&scan.batches.first()?.body, scan.header.kind.version)?;
        let (_, first) = records.into_iter().find(|(group, _)| *group == GroupId::ROOT)?;
        first.upon.and(first.install)
    };
    logs.iter().rev().find(|log| says_so(log).is_some()).map(|log| log.sequence)
}

/// The records of a batch, and whose they are. Version 1 has none.
pub(crate) fn records(body: &[u8], version: u16) -> Option<Vec<(GroupId, LogRecord)>> {
    match version {
        NO_GROUP => None,
        ONE_GROUP => {
            let records = decode_records_2(body)?.into_iter();
            Some(records.map(|record| (GroupId::ROOT, record)).collect())
        }
        _ => decode_records(body),
    }
}

/// The parts of the kept files that no surviving mark vouches for: file, from where, and the bytes.
pub(crate) fn unmarked(logs: &[LogFile], judgement: &Judgement) -> Vec<(FileName, u64, Bytes)> {
    let mut parts = Vec::new();
    for (kept, log) in judgement.kept.iter().zip(logs) {
        let scan = log.scan.as_ref().expect("what is kept was read");
        let end = kept.batches.checked_sub(1).map_or(PAGE, |last| scan.batches[last].end);
        let from = match log.sequence.cmp(&judgement.synced.sequence) {
            Ordering::Less => end,
            Ordering::Equal => judgement.synced.position.min(end),
            Ordering::Greater => 0,
        };
        // The padding of the last batch may be missing.
        let end = end.min(log.bytes.len() as u64);
        if from < end {
            parts.push((log_name(log.sequence), from, log.bytes.slice(from as usize..end as usize)));
        }
    }
    parts
}

/// The body behind the last batch that checks, as it is, and its version.
pub(crate) fn torn_batch(log: &LogFile) -> Option<(&[u8], u16)> {
    let scan = log.scan.as_ref().ok()?;
    let rest = log.bytes.get(scan.end as usize..)?;
    let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?);
    Some((rest.get(56..)?.get(..length as usize)?, scan.header.kind.version))
}

//! What the segments say by themselves, without a checkpoint: a tombstone that is dropped too early shows
//! (PROTOCOLS F10).

use std::collections::BTreeMap;

use bytes::Bytes;
use formats::asd_record::checkpoint::{Entry, entries};
use formats::asd_record::{RecordKind, records};
use formats::journal::{BODY_AT, FileHeader, Kind, scan};
use step::FileName;

use crate::disk::Disk;
use crate::world::IDENTITY;

/// The keys that have values when all segments that are there are followed in order.
pub(crate) fn log_alone(disk: &Disk) -> Vec<Vec<u8>> {
    follow(disk).into_keys().collect()
}

/// The records of the values that are there by the same reading: file, start, length.
pub(crate) fn puts(disk: &Disk) -> Vec<(FileName, usize, usize)> {
    follow(disk).into_values().collect()
}

/// How many records say that a value is lost.
pub(crate) fn lost(disk: &Disk) -> u64 {
    let heads = |(name, start, length): &(FileName, usize, usize)| disk.bytes(*name)[*start..][..*length][0];
    puts(disk).iter().filter(|place| heads(place) == 3).count() as u64
}

/// Whether the newest whole checkpoint that is durable mentions a segment in any way (PROTOCOLS F10).
pub(crate) fn is_mentioned(disk: &Disk, segment: u64) -> bool {
    let mut newest = (0, false);
    for name in ["checkpoint-a", "checkpoint-b"] {
        let name = FileName::parse(name).expect("a name");
        let bytes = disk.durable(name);
        let Ok((header, _)) = FileHeader::decode(&bytes, Kind::ASD_CHECKPOINT) else { continue };
        let scan = scan(&bytes, Kind::ASD_CHECKPOINT, &IDENTITY.0, header.sequence).expect("a header");
        let (mut is_whole, mut mentions) = (false, false);
        for entry in scan.batches.iter().flat_map(|batch| entries(&batch.body)) {
            match entry.expect("entries") {
                Entry::Segment { sequence, .. } => mentions |= sequence == segment,
                Entry::Value(value) => mentions |= value.segment == segment && !value.damaged,
                Entry::Tombstone(tombstone) => mentions |= tombstone.segment == segment,
                Entry::End { .. } => is_whole = true,
            }
        }
        if is_whole && header.sequence > newest.0 {
            newest = (header.sequence, mentions);
        }
    }
    newest.1
}

fn follow(disk: &Disk) -> BTreeMap<Vec<u8>, (FileName, usize, usize)> {
    let mut keys = BTreeMap::new();
    for name in disk.names() {
        let Some(digits) = name.as_str().strip_prefix("segment-") else { continue };
        let sequence = u64::from_str_radix(digits, 16).expect("hex");
        let bytes = Bytes::copy_from_slice(disk.bytes(name));
        let Ok(scan) = scan(&bytes, Kind::ASD_SEGMENT, &IDENTITY.0, sequence) else { continue };
        for batch in &scan.batches {
            for record in records(sequence, &batch.body) {
                let (at, record) = record.expect("records");
                let start = (batch.position + BODY_AT) as usize + at;
                match record.kind {
                    RecordKind::Put | RecordKind::Lost => {
                        keys.insert(record.key.to_vec(), (name, start, record.stored_bytes() as usize));
                    }
                    RecordKind::Delete => {
                        keys.remove(record.key);
                    }
                }
            }
        }
    }
    keys
}

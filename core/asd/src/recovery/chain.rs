//! Which files are no part of the log.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use formats::journal::{FileScan, Headless};

/// Files that a later one passes over: its header names an older predecessor. Their creation was torn, or a
/// write to them failed; nothing in them was ever acknowledged.
pub(crate) fn passed_over(files: &[(u64, Result<FileScan, Headless>)]) -> BTreeSet<u64> {
    let mut passed = Vec::new();
    let mut predecessor = u64::MAX;
    for (sequence, scan) in files.iter().rev() {
        if *sequence > predecessor {
            passed.push(*sequence);
        } else if let Ok(scan) = scan {
            predecessor = scan.header.predecessor.map_or(0, |before| before.end.sequence);
        }
    }
    passed.into_iter().collect()
}

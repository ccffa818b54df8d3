//! Judging a log that was found: what is kept, and whether what is missing is a tail or damage (L3).

use alloc::vec::Vec;

use super::{FileScan, Headless, Mark, PAGE, Predecessor};

/// What of a file is part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its sequence.
    pub sequence: u64,
    /// How many of its batches, from the first.
    pub batches: usize,
}

/// Synced parts of the log that are gone: not a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first place that doesn't check.
    pub at: Mark,
    /// Up to where the log was once synced, as surviving marks tell.
    pub synced: Mark,
}

/// What a log comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is kept of each file, in order, without gaps.
    pub kept: Vec<Kept>,
    /// Where the log ends, and what a new file names as its predecessor. None for a log without files.
    pub end: Option<Predecessor>,
    /// The highest surviving mark: below it everything was synced once.
    pub synced: Mark,
    /// Set when the log ends below a surviving mark: halt, or fetch the rest from elsewhere.
    pub damage: Option<Damage>,
}

/// Judges the files of a log, ordered by sequence. `first` is the place where the log must begin, as the
/// user's own record tells (a checkpoint, a snapshot): the file of that sequence must be there, and files
/// before it must not be passed. `known_synced` is a mark from elsewhere; the default one says nothing.
///
/// A file whose header doesn't check is passed as `Err`: as the last one it may be a creation that a power
/// cut tore, since nothing in it can have been acknowledged before its header was synced. When a mark in it
/// says that it was, it is damage.
pub fn judge(
    files: &[(u64, Result<FileScan, Headless>)],
    first: Option<u64>,
    known_synced: Mark,
) -> Judgement {
    let surviving = files
        .iter()
        .map(|(_, scan)| scan.as_ref().map_or_else(|headless| headless.synced, |scan| scan.synced));
    let synced = surviving.fold(known_synced, Mark::max);
    let mut kept: Vec<Kept> = Vec::new();
    let mut end: Option<Predecessor> = None;
    let mut stop: Option<Mark> = None;
    for (index, (sequence, scan)) in files.iter().enumerate() {
        let Some(scan) = scan.as_ref().ok().filter(|scan| follows(scan, end, first)) else {
            stop = Some(end.map_or(Mark { sequence: *sequence, position: 0 }, |end| end.end));
            break;
        };
        let limit = files[index + 1..].iter().find_map(|(_, next)| next.as_ref().ok()?.header.predecessor);
        let (part, part_end) = keep(scan, limit);
        kept.push(part);
        end = Some(part_end);
        if limit.is_some_and(|limit| limit != part_end) {
            stop = Some(part_end.end);
            break;
        }
    }
    if files.is_empty() && first.is_some() {
        stop = first.map(|sequence| Mark { sequence, position: 0 });
    }
    let at = stop.or(end.map(|end| end.end)).unwrap_or_default();
    // A missing first file is damage whatever the marks say: its creation was durable before it was named.
    let missing_first = first.is_some() && kept.is_empty();
    let damage = (at < synced || missing_first).then_some(Damage { at, synced });
    Judgement { kept, end, synced, damage }
}

/// Whether a file continues what was kept so far. Its predecessor may end before the last batch that checks:
/// [`keep`] has looked at that already.
fn follows(scan: &FileScan, end: Option<Predecessor>, first: Option<u64>) -> bool {
    match end {
        Some(end) => scan.header.predecessor == Some(end),
        None => first.is_none_or(|first| scan.header.sequence == first),
    }
}

/// The batches of a file up to where its successor says that it ends.
fn keep(scan: &FileScan, limit: Option<Predecessor>) -> (Kept, Predecessor) {
    let sequence = scan.header.sequence;
    let within = |position: u64| match limit {
        Some(limit) if limit.end.sequence == sequence => position < limit.end.position,
        _ => true,
    };
    let batches = scan.batches.iter().take_while(|batch| within(batch.position)).count();
    let (position, check) = match batches {
        0 => (PAGE, scan.header_check),
        count => (scan.batches[count - 1].end, scan.batches[count - 1].check),
    };
    (Kept { sequence, batches }, Predecessor { end: Mark { sequence, position }, check })
}

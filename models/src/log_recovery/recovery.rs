//! Finding the log again: from the newest checkpoint, file by file, entry by entry, and then the question whether
//! what is missing is the end or damage.

use super::bytes::{End, EntryHeader, FILES, FileHeader, Mark, RECORDS};
use super::disk::Content;
use super::{Rule, Rules};

/// A record and where it stands; the default place for one that a checkpoint holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The record.
    pub record: u8,
    /// Its page.
    pub at: Mark,
}

/// A log that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its records, from the first.
    pub entries: Vec<Entry>,
    /// Where it ends.
    pub end: End,
    /// The sequence numbers of the files that it needs, by place; 0 where none is needed.
    pub live: [u8; FILES],
}

/// Finds the log, or None: part of what was synced is gone.
pub(super) fn recover(rules: Rules, disk: &Content) -> Option<Found> {
    let checkpoint = disk.newest_checkpoint()?;
    let held = checkpoint.records.iter().take(usize::from(checkpoint.count));
    let entries = held.map(|record| Entry { record: *record, at: Mark::default() }).collect();
    let mut found = Found { entries, end: checkpoint.end, live: [0; FILES] };
    let files = files_after(disk, checkpoint.end.mark.sequence);
    if rules.hold(Rule::CheckCoversPredecessor) {
        while let Some((place, header)) = successor(&files, found.end.mark.sequence) {
            if header.predecessor != found.end {
                break;
            }
            let limit = successor(&files, header.sequence).map(|(_, next)| next.predecessor.mark.page);
            read_file(rules, disk, place, &header, limit, &mut found);
        }
    } else {
        files.iter().for_each(|(place, header)| read_file(rules, disk, *place, header, None, &mut found));
    }
    let damaged = rules.hold(Rule::MarksTellDamage) && found.end.mark < highest_mark(rules, disk, &found);
    (!damaged).then_some(found)
}

/// The files that a checkpoint doesn't cover, in order.
fn files_after(disk: &Content, sequence: u8) -> Vec<(usize, FileHeader)> {
    let headers = disk.files.iter().enumerate().filter_map(|(place, file)| Some((place, file.header?)));
    let mut files: Vec<_> = headers.filter(|(_, header)| header.sequence > sequence).collect();
    files.sort_by_key(|(_, header)| header.sequence);
    files
}

/// The newest file that says that it follows `sequence`.
fn successor(files: &[(usize, FileHeader)], sequence: u8) -> Option<(usize, FileHeader)> {
    files.iter().rfind(|(_, header)| header.predecessor.mark.sequence == sequence).copied()
}

/// Takes a file's entries up to the first bad one, or up to where its successor says that it ends.
fn read_file(
    rules: Rules,
    disk: &Content,
    place: usize,
    header: &FileHeader,
    limit: Option<u8>,
    found: &mut Found,
) {
    found.live[place] = header.sequence;
    found.end = End { mark: Mark { sequence: header.sequence, page: 1 }, check: header.check() };
    let last = limit.map_or(RECORDS, |limit| usize::from(limit).saturating_sub(1));
    for page in disk.files[place].pages.iter().take(last) {
        let at = found.end.mark;
        let Some(record) = page.follow(rules, at, found.end.check) else { return };
        let check = page.header.map_or(0, |header| header.check(rules));
        found.entries.push(Entry { record, at });
        found.end = End { mark: Mark { page: at.page + 1, ..at }, check };
    }
}

/// The highest mark that survives: below it everything was synced once.
fn highest_mark(rules: Rules, disk: &Content, found: &Found) -> Mark {
    let mut highest = Mark::default();
    for (location, entry) in disk.entries() {
        let standing_in = disk.standing_at(location.file);
        let Some((at, synced)) = mark_of(rules, location.page as u8, entry, standing_in) else { continue };
        if rules.hold(Rule::MarksBeyondDamageCount) || at < found.end.mark {
            highest = highest.max(synced);
        }
    }
    if rules.hold(Rule::CheckCoversPredecessor) {
        let headers = disk.files.iter().filter_map(|file| file.header);
        highest = headers.fold(highest, |highest, header| highest.max(header.predecessor.mark));
    }
    highest
}

/// Where an entry belongs and what it says of the log, if it proves that it stands where it belongs.
fn mark_of(rules: Rules, page: u8, entry: EntryHeader, standing_in: Option<u8>) -> Option<(Mark, Mark)> {
    let sequence = if rules.hold(Rule::CheckCoversLog) { entry.sequence } else { standing_in? };
    let at = Mark { sequence, page };
    let counts =
        standing_in.map_or(rules.hold(Rule::MarksWithoutHeaderCount), |standing| standing == sequence);
    if !counts || !entry.proves(rules, at) {
        return None;
    }
    // An entry that doesn't tell its log speaks of whatever file it stands in.
    let of_itself = entry.synced.sequence == entry.sequence;
    let synced = if of_itself { Mark { sequence, ..entry.synced } } else { entry.synced };
    Some((at, synced))
}

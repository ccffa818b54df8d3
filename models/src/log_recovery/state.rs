//! The state of a run: the disk, the program that writes the log, and what an onlooker remembers.

use super::bytes::{
    Checkpoint, End, EntryHeader, FILES, File, FileHeader, Mark, NO_BODY, Page, RECORDS, WRITES,
};
use super::disk::{Content, Disk, Location};
use super::recovery::{Entry, Found};
use super::{Rule, Rules, Verdict};

/// A state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) disk: Disk,
    pub(super) writer: Writer,
    pub(super) history: History,
    pub(super) spent: Spent,
    /// Set when the run has ended.
    pub(super) verdict: Option<Verdict>,
}

/// The program that writes the log, as long as it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Writer {
    /// The place of the file that it writes to.
    pub(super) file: usize,
    /// Where that file's header says that the file before it ends.
    pub(super) begin: End,
    /// Where the next entry goes.
    pub(super) end: End,
    /// Up to where the log is synced.
    pub(super) synced: Mark,
    /// The sequence numbers of the files that are needed, by place; 0 where none is.
    pub(super) live: [u8; FILES],
}

/// What an onlooker remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    entries: [Entry; WRITES],
    /// How many entries there are; all were acknowledged as written.
    pub(super) count: u8,
    /// How many of them a FLUSH acknowledged.
    pub(super) flushed: u8,
    /// How many of them need no file any more.
    covered: u8,
    /// Where a fault struck what was written; no sequence 0 exists.
    struck: [Mark; 2],
}

/// What of the run's bounds is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Spent {
    pub(super) writes: u8,
    pub(super) crashes: u8,
    pub(super) moves: u8,
    pub(super) checkpoints: u8,
    pub(super) faults: u8,
}

impl History {
    /// The entries, from the first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.count)]
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.count)] = entry;
        self.count += 1;
    }

    pub(super) fn strike(&mut self, at: Mark) {
        let free = self.struck.iter_mut().find(|mark| mark.sequence == 0);
        *free.expect("one fault strikes two pages at most") = at;
    }

    fn was_struck(&self) -> bool {
        self.struck[0].sequence != 0
    }

    /// How many entries must be there: a fault that no surviving mark betrays looks like the end of the log.
    fn owed(&self, promised: u8, disk: &Content) -> usize {
        let silent = self.struck.iter().filter(|mark| mark.sequence != 0 && !disk.vouches_for(**mark));
        let before = silent.map(|mark| self.entries().iter().filter(|entry| entry.at < *mark).count());
        before.fold(usize::from(promised), usize::min)
    }

    /// Compares what was found with what was promised.
    pub(super) fn judge(
        &self,
        disk: &Content,
        found: Option<&Found>,
        power_was_cut: bool,
    ) -> Option<Verdict> {
        let Some(found) = found else {
            return Some(if self.was_struck() { Verdict::Halted } else { Verdict::FalseAlarm });
        };
        let mut pairs = found.entries.iter().zip(self.entries());
        if found.entries.len() > self.entries().len() || pairs.any(|(one, other)| one.record != other.record)
        {
            return Some(Verdict::NotABeginning);
        }
        if found.entries.len() < self.owed(self.flushed, disk) {
            return Some(Verdict::FlushedIsLost);
        }
        if !power_was_cut && found.entries.len() < self.owed(self.count, disk) {
            return Some(Verdict::WrittenIsLost);
        }
        None
    }

    /// From now on the log is what was found.
    pub(super) fn continue_from(&mut self, found: &Found) {
        self.count = 0;
        self.covered = 0;
        self.entries = Default::default();
        for entry in &found.entries {
            self.covered += u8::from(entry.at.sequence == 0);
            self.push(*entry);
        }
        self.flushed = self.flushed.min(self.count);
    }
}

impl State {
    /// A live log without records, an older one that was never wiped, and a checkpoint between them.
    pub(super) fn first(rules: Rules) -> Self {
        let mut content = Content::default();
        let old = older_log(rules, &mut content.files[1]);
        content.checkpoints[0] =
            Some(Checkpoint { number: 1, count: 0, records: [NO_BODY; WRITES], end: old });
        let header = FileHeader { sequence: 2, predecessor: old };
        content.files[0].header = Some(header);
        let end = End { mark: Mark { sequence: 2, page: 1 }, check: header.check() };
        Self {
            disk: Disk::holding(content),
            writer: Writer { file: 0, begin: old, end, synced: end.mark, live: [2, 0, 0] },
            history: History::default(),
            spent: Spent::default(),
            verdict: None,
        }
    }

    /// This run's end, with nothing but what the promises ask for.
    pub(super) fn ended(&self, verdict: Verdict) -> Self {
        let history = History { flushed: self.history.flushed, ..History::default() };
        Self {
            disk: Disk::default(),
            writer: Writer::default(),
            history,
            spent: Spent::default(),
            verdict: Some(verdict),
        }
    }

    /// Whether the current file has a page for another entry.
    pub(super) fn has_page(&self) -> bool {
        usize::from(self.writer.end.mark.page) <= RECORDS
    }

    /// The place where the next entry belongs.
    pub(super) fn next_location(&self) -> Location {
        Location { file: self.writer.file, page: usize::from(self.writer.end.mark.page) }
    }

    /// The places that hold nothing that is needed.
    pub(super) fn free_files(&self) -> impl Iterator<Item = usize> {
        let live = self.writer.live;
        (0..FILES).filter(move |file| live[*file] == 0)
    }

    /// Writes an entry; a device that misdirects it puts it elsewhere.
    pub(super) fn append(&mut self, rules: Rules, variant: u8, elsewhere: Option<Location>) {
        let at = self.writer.end.mark;
        let record = (self.history.count + 1) | variant << 4;
        let synced = self.writer.synced;
        let header = EntryHeader {
            sequence: at.sequence,
            page: at.page,
            synced,
            previous: self.writer.end.check,
            body: record,
        };
        match elsewhere {
            None => self.disk.write_entry(self.next_location(), header),
            Some(wrong) => self.disk.misdirect_entry(wrong, header),
        }
        self.writer.end = End { mark: Mark { page: at.page + 1, ..at }, check: header.check(rules) };
        self.history.push(Entry { record, at });
        self.spent.writes += 1;
    }

    /// Syncs everything that is not synced yet.
    pub(super) fn sync(&mut self) {
        let live = self.writer.live;
        (0..FILES).filter(|file| live[*file] != 0).for_each(|file| self.disk.sync_file(file));
        self.writer.synced = self.writer.end.mark;
    }

    /// Creates a file that follows the end of the log.
    pub(super) fn create_file(&mut self, file: usize, sequence: u8) {
        let header = FileHeader { sequence, predecessor: self.writer.end };
        self.disk.write_header(file, header);
        self.writer.live[file] = sequence;
        self.writer.file = file;
        self.writer.begin = header.predecessor;
        self.writer.end = End { mark: Mark { sequence, page: 1 }, check: header.check() };
    }

    /// Writes a checkpoint of all that stands in files before the current one.
    pub(super) fn write_checkpoint(&mut self, rules: Rules) {
        let newest = self.disk.cache.newest_checkpoint().map_or(0, |checkpoint| checkpoint.number);
        let current = self.writer.end.mark.sequence;
        let mut records = [NO_BODY; WRITES];
        let held = self.history.entries().iter().filter(|entry| entry.at.sequence < current);
        let count = held.zip(&mut records).map(|(entry, slot)| *slot = entry.record).count() as u8;
        let place = if rules.hold(Rule::CheckpointsAlternate) { usize::from(newest) % 2 } else { 0 };
        let checkpoint = Checkpoint { number: newest + 1, count, records, end: self.writer.begin };
        self.disk.write_checkpoint(place, checkpoint);
        if !rules.hold(Rule::ReuseAfterCheckpoint) {
            self.free_covered();
        }
    }

    /// Lets go of the files that the newest checkpoint covers.
    pub(super) fn free_covered(&mut self) {
        let Some(checkpoint) = self.disk.cache.newest_checkpoint() else { return };
        self.history.covered = checkpoint.count;
        for sequence in &mut self.writer.live {
            if *sequence <= checkpoint.end.mark.sequence {
                *sequence = 0;
            }
        }
    }

    /// Whether every record that is read by its location is right or an error.
    pub(super) fn reads_are_right(&self, rules: Rules) -> bool {
        let in_files = self.history.entries().iter().skip(usize::from(self.history.covered));
        in_files.into_iter().all(|entry| {
            let Some(file) = self.writer.live.iter().position(|live| *live == entry.at.sequence) else {
                return true;
            };
            let page = &self.disk.cache.files[file].pages[usize::from(entry.at.page) - 1];
            page.read(rules, entry.at).is_none_or(|record| record == entry.record)
        })
    }
}

/// Fills a file with three synced records of a log that a checkpoint has long covered.
fn older_log(rules: Rules, file: &mut File) -> End {
    let header = FileHeader { sequence: 1, predecessor: End::default() };
    file.header = Some(header);
    let mut end = End { mark: Mark { sequence: 1, page: 1 }, check: header.check() };
    for page in &mut file.pages {
        let at = end.mark;
        let entry =
            EntryHeader { sequence: 1, page: at.page, synced: at, previous: end.check, body: at.page };
        *page = Page { header: Some(entry), body: entry.body };
        end = End { mark: Mark { page: at.page + 1, ..at }, check: entry.check(rules) };
    }
    end
}

//! The disk: what programs see, what is on the platters, and what a power cut makes of the difference.

use std::fmt;

use super::bytes::{Checkpoint, EntryHeader, FILES, File, FileHeader, Mark, NO_BODY, Page, RECORDS};

/// Places for checkpoints.
pub(super) const PLACES: usize = 2;
/// Pages of a file's place: header and records.
const PAGES: usize = 1 + RECORDS;
/// Everything that can be written by itself: pages of files, then checkpoints.
const ITEMS: usize = FILES * PAGES + PLACES;

/// The content of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// Files, by place.
    pub files: [File; FILES],
    /// Checkpoints, by place; None when it was never written or doesn't check.
    pub checkpoints: [Option<Checkpoint>; PLACES],
}

/// A disk with a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Disk {
    /// What reads see.
    pub cache: Content,
    /// What a power cut leaves.
    platter: Content,
    /// A bit for each item that a sync would write.
    dirty: u16,
}

/// A page of a place for files: 0 is the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The place.
    pub file: usize,
    /// The page in it.
    pub page: usize,
}

impl Location {
    /// Every page of every place.
    pub(super) fn all() -> impl Iterator<Item = Location> {
        (0..FILES).flat_map(|file| (0..PAGES).map(move |page| Location { file, page }))
    }

    fn item(self) -> usize {
        self.file * PAGES + self.page
    }
}

/// What became of an item that was not synced when power was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is as it was.
    Old = 0,
    /// It was written.
    New = 1,
    /// Its header was written, its body was not; of a checkpoint some part, so that it doesn't check.
    Head = 2,
    /// Its body was written, its header was not.
    Body = 3,
}

impl Fate {
    const ALL: [Fate; 4] = [Fate::Old, Fate::New, Fate::Head, Fate::Body];
}

/// What became of everything: two bits for each item.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates(u32);

impl Fates {
    fn of(self, item: usize) -> Fate {
        Fate::ALL[(self.0 >> (2 * item) & 3) as usize]
    }

    fn with(self, item: usize, fate: Fate) -> Self {
        Fates(self.0 | (fate as u32) << (2 * item))
    }
}

/// Only what persisted is worth reading.
impl fmt::Debug for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let persisted = (0..ITEMS).filter(|item| self.of(*item) != Fate::Old);
        let name = |item: usize| match item.checked_sub(FILES * PAGES) {
            Some(place) => format!("checkpoint place {place}: {:?}", self.of(item)),
            None => format!("file place {} page {}: {:?}", item / PAGES, item % PAGES, self.of(item)),
        };
        f.debug_list().entries(persisted.map(name)).finish()
    }
}

impl Disk {
    /// A disk on which everything was synced.
    pub(super) fn holding(content: Content) -> Self {
        Self { cache: content, platter: content, dirty: 0 }
    }

    pub(super) fn write_header(&mut self, file: usize, header: FileHeader) {
        self.cache.files[file].header = Some(header);
        self.touch(Location { file, page: 0 });
    }

    /// Writes an entry at a record page.
    pub(super) fn write_entry(&mut self, at: Location, header: EntryHeader) {
        put(&mut self.cache, at, header);
        self.touch(at);
    }

    /// The device writes an entry to the wrong page, at once; over a header page it destroys the header.
    pub(super) fn misdirect_entry(&mut self, at: Location, header: EntryHeader) {
        put(&mut self.cache, at, header);
        put(&mut self.platter, at, header);
        self.dirty &= !(1 << at.item());
    }

    pub(super) fn write_checkpoint(&mut self, place: usize, checkpoint: Checkpoint) {
        self.cache.checkpoints[place] = Some(checkpoint);
        self.dirty |= 1 << (FILES * PAGES + place);
    }

    /// Writes what is dirty of a file; what isn't is taken to be on the platter.
    pub(super) fn sync_file(&mut self, file: usize) {
        let dirty = (0..PAGES).map(|page| Location { file, page }).filter(|at| self.is_dirty(*at));
        let written = dirty.fold(Fates::default(), |fates, at| fates.with(at.item(), Fate::New));
        self.platter = self.after(written);
        self.forget_dirt(file);
    }

    /// A sync that fails as Linux's does: what it could not write counts as written from then on.
    pub(super) fn fail_sync(&mut self, file: usize) {
        self.forget_dirt(file);
    }

    pub(super) fn sync_checkpoints(&mut self) {
        self.platter.checkpoints = self.cache.checkpoints;
        self.dirty &= (1 << (FILES * PAGES)) - 1;
    }

    pub(super) fn has_dirty_checkpoint(&self) -> bool {
        self.dirty >> (FILES * PAGES) != 0
    }

    pub(super) fn is_dirty(&self, at: Location) -> bool {
        self.dirty >> at.item() & 1 == 1
    }

    /// Everything that a power cut may make of what was not synced.
    pub(super) fn fates(&self) -> Vec<Fates> {
        let mut all = vec![Fates::default()];
        for item in (0..ITEMS).filter(|item| self.dirty >> item & 1 == 1) {
            let possible = self.possible(item);
            all = all.iter().flat_map(|fates| possible.iter().map(|fate| fates.with(item, *fate))).collect();
        }
        all
    }

    /// The fates of an item, without those that come to the same.
    fn possible(&self, item: usize) -> Vec<Fate> {
        let (file, page) = (item / PAGES, item % PAGES);
        let Some(index) = page.checked_sub(1).filter(|_| file < FILES) else {
            return if file < FILES {
                vec![Fate::Old, Fate::New]
            } else {
                vec![Fate::Old, Fate::New, Fate::Head]
            };
        };
        let (old, new) = (self.platter.files[file].pages[index], self.cache.files[file].pages[index]);
        let mut possible: Vec<Fate> = Vec::with_capacity(Fate::ALL.len());
        for fate in Fate::ALL {
            if possible.iter().all(|other| meet(old, new, *other) != meet(old, new, fate)) {
                possible.push(fate);
            }
        }
        possible
    }

    /// Cuts the power.
    pub(super) fn cut_power(&mut self, fates: Fates) {
        *self = Disk::holding(self.after(fates));
    }

    fn after(&self, fates: Fates) -> Content {
        let mut content = self.platter;
        for at in Location::all() {
            let (fate, new) = (fates.of(at.item()), &self.cache.files[at.file]);
            let file = &mut content.files[at.file];
            match at.page.checked_sub(1) {
                Some(index) => file.pages[index] = meet(file.pages[index], new.pages[index], fate),
                None if fate == Fate::Old => {}
                None => file.header = new.header,
            }
        }
        for place in 0..PLACES {
            match fates.of(FILES * PAGES + place) {
                Fate::Old => {}
                Fate::New => content.checkpoints[place] = self.cache.checkpoints[place],
                Fate::Head | Fate::Body => content.checkpoints[place] = None,
            }
        }
        content
    }

    /// A page rots: its header, or its body alone.
    pub(super) fn rot(&mut self, at: Location, only_body: bool) {
        for content in [&mut self.cache, &mut self.platter] {
            let file = &mut content.files[at.file];
            match at.page.checked_sub(1) {
                Some(index) if only_body => file.pages[index].body = NO_BODY,
                Some(index) => file.pages[index] = Page::default(),
                None => file.header = None,
            }
        }
    }

    fn touch(&mut self, at: Location) {
        self.dirty |= 1 << at.item();
    }

    fn forget_dirt(&mut self, file: usize) {
        self.dirty &= !(((1 << PAGES) - 1) << (file * PAGES));
    }
}

fn put(content: &mut Content, at: Location, header: EntryHeader) {
    let file = &mut content.files[at.file];
    match at.page.checked_sub(1) {
        Some(index) => file.pages[index] = Page { header: Some(header), body: header.body },
        None => file.header = None,
    }
}

/// What stands on a page of which parts were written.
fn meet(old: Page, new: Page, fate: Fate) -> Page {
    let (header, body) = match fate {
        Fate::Old => (old.header, old.body),
        Fate::New => (new.header, new.body),
        Fate::Head => (new.header, old.body),
        Fate::Body => (old.header, new.body),
    };
    // Without a header nobody ever looks at the body.
    Page { header, body: if header.is_some() { body } else { NO_BODY } }
}

impl Content {
    /// The entry headers that stand on the page that they were written for, with their place.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Location, EntryHeader)> + '_ {
        Location::all().filter_map(|at| {
            let header = self.files[at.file].pages.get(at.page.checked_sub(1)?)?.header?;
            Some((at, header))
        })
    }

    /// The newest checkpoint that checks.
    pub(super) fn newest_checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoints.iter().flatten().max_by_key(|checkpoint| checkpoint.number).copied()
    }

    /// The highest sequence number that stands anywhere.
    pub(super) fn highest_sequence(&self) -> u8 {
        let headers = self.files.iter().filter_map(|file| file.header).map(|header| header.sequence);
        let entries = self.entries().map(|(_, header)| header.sequence);
        let checkpoints = self.checkpoints.iter().flatten().map(|checkpoint| checkpoint.end.mark.sequence);
        headers.chain(entries).chain(checkpoints).max().unwrap_or(0)
    }

    /// The log file that stands at a place: none where its header is gone or still that of a file that a
    /// checkpoint covers.
    pub(super) fn standing_at(&self, place: usize) -> Option<u8> {
        let covered = self.newest_checkpoint().map_or(0, |checkpoint| checkpoint.end.mark.sequence);
        self.files[place].header.map(|header| header.sequence).filter(|sequence| *sequence > covered)
    }

    /// Whether something other than the page at `at` is left that says that `at` was synced.
    pub(super) fn vouches_for(&self, at: Mark) -> bool {
        let entries = self.entries().filter(|(location, header)| {
            let stands_right =
                self.standing_at(location.file).is_none_or(|sequence| sequence == header.sequence);
            stands_right && usize::from(header.page) == location.page
        });
        let entries = entries.filter(|(_, header)| (header.sequence, header.page) != (at.sequence, at.page));
        let headers = self.files.iter().filter_map(|file| file.header);
        let mut marks = entries
            .map(|(_, header)| header.synced)
            .chain(headers.map(|header| header.predecessor.mark))
            .chain(self.checkpoints.iter().flatten().map(|checkpoint| checkpoint.end.mark));
        marks.any(|mark| at < mark)
    }
}

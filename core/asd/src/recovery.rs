//! Reading the log back: the newest whole checkpoint, then every segment from its mark on (PROTOCOLS L3, F10).
//!
//! A value that rotted below a mark is known as damaged, and the rest serves: the check of a batch is made of
//! those of its records, each head names its value's, so heads prove themselves without the values.
//!
//! Files are read whole, one at a time, and only what the index needs of them is kept. Damage below any mark
//! that survives is never taken for the end of the log: then the ASD doesn't serve rather than forget a key.
//!
//! What is found may never have been synced, and a sync alone wouldn't help: after one that failed, a second may
//! find nothing to write (L4). So the part of the log that no mark vouches for is written again. And of two
//! whole checkpoints the newer is read, but the older is the one that is built on: it was durable before the
//! newer was begun, and the log from its mark on is still there.
//!
//! Without a whole checkpoint the log itself tells everything, when it is there from its very first segment.

mod chain;
mod image;
mod segment;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::journal::{
    FileHeader, FileScan, HeaderError, Headless, Judgement, Kind, Mark, PAGE, Predecessor, judge,
};
use step::{Bug, DiskOperation, DiskOutcome, DiskResult, FileName};

use self::chain::passed_over;
use self::image::Image;
use self::segment::SegmentScan;
use crate::checkpoint::Durable;
use crate::config::Config;
use crate::index::{Index, Key, Logged, Slot};
use crate::names::{Place, new_file, parse_segment, segment_file};
use crate::segments::Segments;

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) index: Index,
    pub(crate) segments: Segments,
    /// Where the log ends.
    pub(crate) end: Option<Predecessor>,
    /// What of it no mark vouches for.
    pub(crate) again: Option<Again>,
    pub(crate) next_sequence: u64,
    /// The newest checkpoint that is durable for sure.
    pub(crate) durable: Option<Durable>,
    pub(crate) next_number: u64,
    /// Files that nothing mentions, and tails that were cut.
    pub(crate) junk: Vec<FileName>,
    /// Whether the folder says that it has no log yet.
    pub(crate) is_new: bool,
    /// How many values are known to be lost.
    pub(crate) lost: u64,
    /// Bytes of log that the checkpoint lacks.
    pub(crate) logged: u64,
}

/// A part of a segment to be written again as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    Disk(DiskOperation),
    Found(Box<Found>),
    Trouble(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Listing,
    /// Reading the header of the checkpoint at this place.
    CheckpointHead(Place),
    /// Reading the checkpoint at this place.
    Checkpoint(Place),
    /// Reading the segment of this place in the list.
    Segment(usize),
}

/// The state of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    owner: [u8; 16],
    bug: Option<Bug>,
    /// Where the log ends, when this life knows.
    cut: Option<Predecessor>,
    next_sequence: u64,
    stage: Stage,
    /// Whether the folder says that it has no log yet.
    is_new: bool,
    /// The segments that are there, with the lengths of their files.
    lengths: BTreeMap<u64, u64>,
    /// The checkpoints that are there.
    checkpoints: BTreeMap<Place, u64>,
    /// Those not read yet, with their numbers.
    candidates: Vec<(u64, Place)>,
    next_number: u64,
    image: Option<(Place, Image)>,
    /// The older checkpoint, when both are whole, and the segments that it mentions.
    older: Option<(Durable, BTreeSet<u64>)>,
    /// The last segment that was read and has a header.
    newest: (u64, Bytes),
    /// The segments to read, in order.
    to_read: Vec<u64>,
    scans: Vec<(u64, Result<FileScan, Headless>)>,
    /// What the batches of each segment hold.
    batches: BTreeMap<u64, Vec<Vec<Logged>>>,
    /// Up to where the log was synced, as checkpoint and life know.
    marks: Mark,
}

impl Recovery {
    /// A recovery that waits for the list of files.
    pub(crate) fn new(config: &Config, cut: Option<Predecessor>, next_sequence: u64) -> Self {
        Recovery {
            owner: config.identity.0,
            bug: config.bug,
            cut,
            next_sequence,
            stage: Stage::Listing,
            is_new: false,
            lengths: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            candidates: Vec::new(),
            next_number: 1,
            image: None,
            older: None,
            newest: (0, Bytes::new()),
            to_read: Vec::new(),
            scans: Vec::new(),
            batches: BTreeMap::new(),
            marks: cut.map_or(Mark::default(), |cut| cut.end),
        }
    }

    /// Takes in what an operation came to.
    pub(crate) fn on_disk(&mut self, result: DiskResult) -> Next {
        let next = match (self.stage, result) {
            (Stage::Listing, Ok(DiskOutcome::Listed(files))) => Ok(self.on_listed(&files)),
            (Stage::CheckpointHead(place), result) => self.on_checkpoint_head(place, read(result)),
            (Stage::Checkpoint(place), result) => Ok(self.on_checkpoint(place, read(result))),
            (Stage::Segment(at), Ok(DiskOutcome::Read(bytes))) => self.on_segment(at, bytes),
            (Stage::Listing, _) => Err("its folder can't be listed".into()),
            (Stage::Segment(at), _) => Err(format!("{} can't be read", segment_file(self.to_read[at]))),
        };
        next.unwrap_or_else(Next::Trouble)
    }

    fn on_listed(&mut self, files: &[(FileName, u64)]) -> Next {
        self.is_new = files.iter().any(|(file, _)| *file == new_file());
        for (file, length) in files {
            if let Some(sequence) = parse_segment(*file) {
                self.lengths.insert(sequence, *length);
            } else if let Some(place) = Place::BOTH.into_iter().find(|place| place.file() == *file) {
                self.checkpoints.insert(place, *length);
            }
        }
        let has_log = !self.lengths.is_empty() || !self.checkpoints.is_empty();
        if !has_log && !self.is_new {
            return Next::Trouble("its log is gone: its folder holds no segment and no checkpoint".into());
        }
        self.next_head(None)
    }

    /// Reads the head of the next checkpoint after `last`, or goes on to the newest.
    fn next_head(&mut self, last: Option<Place>) -> Next {
        match self.checkpoints.keys().find(|place| Some(**place) > last) {
            Some(&place) => {
                self.stage = Stage::CheckpointHead(place);
                Next::Disk(DiskOperation::Read { file: place.file(), offset: 0, length: PAGE })
            }
            None => self.next_checkpoint(),
        }
    }

    fn on_checkpoint_head(&mut self, place: Place, bytes: Option<Bytes>) -> Result<Next, String> {
        let header = bytes.map(|bytes| FileHeader::decode(&bytes, Kind::ASD_CHECKPOINT));
        match header {
            Some(Ok((header, _))) if header.owner != self.owner => {
                return Err(format!("{} belongs to another ASD", place.file()));
            }
            Some(Ok((header, _))) => {
                self.candidates.push((header.sequence, place));
                self.candidates.sort_unstable();
                self.next_number = self.next_number.max(header.sequence.saturating_add(1));
            }
            // What a newer program wrote is not to be passed over.
            Some(Err(error @ HeaderError::Newer(_))) => return Err(format!("{}: {error}", place.file())),
            Some(Err(HeaderError::Foreign | HeaderError::Damaged)) | None => {}
        }
        Ok(self.next_head(Some(place)))
    }

    /// Reads the newer checkpoint not read yet, or goes on to the segments.
    fn next_checkpoint(&mut self) -> Next {
        match self.candidates.last() {
            Some(&(_, place)) => {
                self.stage = Stage::Checkpoint(place);
                let length = self.checkpoints.get(&place).copied().unwrap_or_default();
                Next::Disk(DiskOperation::Read { file: place.file(), offset: 0, length })
            }
            None => self.begin_segments(),
        }
    }

    fn on_checkpoint(&mut self, place: Place, bytes: Option<Bytes>) -> Next {
        let number = self.candidates.pop().map_or(0, |(number, _)| number);
        if let Some(image) = bytes.and_then(|bytes| Image::read(&bytes, &self.owner, number)) {
            self.marks = self.marks.max(image.synced);
            if self.image.is_none() {
                self.image = Some((place, image));
            } else {
                self.older = Some((Durable { place, mark: image.mark }, image.segments));
            }
        }
        self.next_checkpoint()
    }

    fn begin_segments(&mut self) -> Next {
        let from = self.image.as_ref().map_or(0, |(_, image)| image.mark.sequence);
        let to = self.cut.map_or(u64::MAX, |cut| cut.end.sequence);
        self.to_read = self.lengths.keys().copied().filter(|s| (from..=to).contains(s)).collect();
        self.next_segment(0)
    }

    fn next_segment(&mut self, at: usize) -> Next {
        match self.to_read.get(at) {
            Some(&sequence) => {
                self.stage = Stage::Segment(at);
                let length = self.lengths.get(&sequence).copied().unwrap_or_default();
                Next::Disk(DiskOperation::Read { file: segment_file(sequence), offset: 0, length })
            }
            None => self.conclude().map_or_else(Next::Trouble, |found| Next::Found(Box::new(found))),
        }
    }

    fn on_segment(&mut self, at: usize, bytes: Bytes) -> Result<Next, String> {
        let sequence = self.to_read[at];
        let cut = self.cut.filter(|cut| cut.end.sequence == sequence).map(|cut| cut.end.position);
        let is_torn_taken = self.bug == Some(Bug::TornTailAccepted);
        let SegmentScan { scan, batches } = segment::read(&bytes, &self.owner, sequence, cut, is_torn_taken)
            .map_err(|why| format!("{}: {why}", segment_file(sequence)))?;
        if scan.is_ok() {
            self.newest = (sequence, bytes);
        }
        self.batches.insert(sequence, batches);
        self.scans.push((sequence, scan));
        Ok(self.next_segment(at + 1))
    }

    /// All has been read: what does it come to?
    fn conclude(&mut self) -> Result<Found, String> {
        let skipped = passed_over(&self.scans);
        self.scans.retain(|(sequence, _)| !skipped.contains(sequence));
        self.cut_torn();
        let first = self.image.as_ref().map(|(_, image)| image.mark.sequence);
        let mut judgement = judge(&self.scans, first, self.marks);
        if self.bug == Some(Bug::DamageTakenForTail) {
            judgement.damage = None;
        }
        if let Some(damage) = judgement.damage {
            return Err(format!(
                "{} is damaged or missing from byte {} on, and the log was synced up to byte {} of {}",
                segment_file(damage.at.sequence.max(1)),
                damage.at.position,
                damage.synced.position,
                segment_file(damage.synced.sequence.max(1)),
            ));
        }
        if self.image.is_none() {
            self.check_beginning(&judgement)?;
        }
        Ok(self.rebuild(&judgement))
    }

    /// Damaged values count as such only below a mark: above, their batch is a torn one.
    fn cut_torn(&mut self) {
        let scans =
            || self.scans.iter().map(|(_, scan)| scan.as_ref().map_or_else(|e| e.synced, |s| s.synced));
        let synced = scans().fold(self.marks, Mark::max);
        for (sequence, scan) in &mut self.scans {
            if let (Ok(scan), Some(batches)) = (scan, self.batches.get_mut(sequence)) {
                SegmentScan::cut_torn(scan, batches, synced);
            }
        }
    }

    /// Without a checkpoint the log must be whole from its very first segment, or never have begun.
    fn check_beginning(&self, judgement: &Judgement) -> Result<(), String> {
        let Some(first) = judgement.kept.first() else {
            // A first segment whose creation was torn by a power cut has at most its header.
            let is_new = self.checkpoints.is_empty() && self.lengths.values().all(|length| *length <= PAGE);
            return if is_new { Ok(()) } else { Err("no checkpoint and no segment is whole".into()) };
        };
        let scan = self.scans.iter().find(|(sequence, _)| *sequence == first.sequence);
        let header = scan.and_then(|(_, scan)| scan.as_ref().ok()).map(|scan| &scan.header);
        if header.is_some_and(|header| header.predecessor.is_none()) {
            return Ok(());
        }
        Err(format!(
            "no checkpoint is whole, and the segments before {} are gone",
            segment_file(first.sequence)
        ))
    }

    /// The part of the log that no mark vouches for. It lies in the last segment: the one before was synced to
    /// its end before that was created, as its header says.
    fn again(&self, judgement: &Judgement) -> Option<Again> {
        let end = judgement.end?.end;
        let (segment, bytes) = &self.newest;
        if end <= judgement.synced || *segment != end.sequence {
            return None;
        }
        let is_within = judgement.synced.sequence == end.sequence;
        let offset = if is_within { judgement.synced.position } else { 0 };
        let length = bytes.len() as u64;
        let range = offset.min(length) as usize..end.position.min(length) as usize;
        Some(Again { segment: *segment, offset, bytes: bytes.slice(range) })
    }

    fn rebuild(&mut self, judgement: &Judgement) -> Found {
        let again = self.again(judgement);
        let (place, image) = match self.image.take() {
            Some((place, image)) => (Some(place), image),
            None => (None, Image::default()),
        };
        let mark = image.mark;
        let newest = place.map(|place| Durable { place, mark });
        let (durable, older_segments) = match self.older.take() {
            Some((older, segments)) => (Some(older), segments),
            None => (newest, BTreeSet::new()),
        };
        let kept: BTreeSet<u64> = judgement.kept.iter().map(|kept| kept.sequence).collect();
        let is_kept = |sequence: u64| {
            let is_old = image.segments.contains(&sequence) || older_segments.contains(&sequence);
            if sequence >= mark.sequence { kept.contains(&sequence) } else { is_old }
        };
        let (mut segments, mut junk) = (Segments::default(), Vec::new());
        for (sequence, length) in &self.lengths {
            if is_kept(*sequence) {
                segments.add(*sequence, (*length).max(PAGE));
            } else {
                junk.push(segment_file(*sequence));
            }
        }
        let mentioned = image.segments.iter().next_back().copied().unwrap_or_default();
        let present = self.lengths.keys().next_back().copied().unwrap_or_default();
        let used = mentioned.max(present).max(mark.sequence);
        let logged = segments.iter().filter(|(s, _)| *s >= mark.sequence).map(|(_, s)| s.bytes).sum();
        let mut index = Index::default();
        load(&mut index, image.slots, &mut segments);
        self.follow(&mut index, judgement, mark, &mut segments);
        index.mark_lost(&mut segments);
        let lost = index.damaged();
        Found {
            index,
            segments,
            end: judgement.end,
            again,
            next_sequence: self.next_sequence.max(used.saturating_add(1)),
            durable,
            next_number: self.next_number,
            junk,
            is_new: self.is_new,
            lost,
            logged,
        }
    }

    /// Follows the log from the checkpoint's mark on. The last record of each key decides.
    fn follow(&mut self, index: &mut Index, judgement: &Judgement, mark: Mark, segments: &mut Segments) {
        for kept in &judgement.kept {
            let scan = self.scans.iter().find(|(sequence, _)| *sequence == kept.sequence);
            let Some((_, Ok(scan))) = scan else { continue };
            let batches = self.batches.remove(&kept.sequence).unwrap_or_default();
            for (at, records) in batches.into_iter().enumerate() {
                let position = scan.batches.get(at).map_or(scan.end, |batch| batch.position);
                let is_later = Mark { sequence: kept.sequence, position } >= mark;
                // Records without a batch of their own are there only by a planted bug.
                let is_kept = at < kept.batches || at == scan.batches.len();
                if is_later && is_kept {
                    records.into_iter().for_each(|record| index.follow(kept.sequence, record, segments));
                }
            }
        }
    }
}

fn load(index: &mut Index, slots: Vec<(Key, Slot)>, segments: &mut Segments) {
    for (key, slot) in slots {
        // A checkpoint names a key once; should it not, the last one stands.
        index.forget(&key, segments);
        index.load(key, slot, segments);
    }
}

/// What was read. A checkpoint that can't be read is as good as damaged: there are two.
fn read(result: DiskResult) -> Option<Bytes> {
    match result {
        Ok(DiskOutcome::Read(bytes)) => Some(bytes),
        Ok(_) | Err(_) => None,
    }
}

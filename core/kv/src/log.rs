//! The end of the log that is written: one batch at a time, in one write that is durable when it ends.
//!
//! A file that could not be written for lack of room is left as it is (L4): its successor names where the last
//! batch that was synced ends, and with that cuts the rest off for ever; then the batch goes to the successor.
//! So a command that was under way is neither lost nor doubled, and it is not answered until room is back.
//!
//! Small batches go where zeros were written before: a file system syncs what it overwrites without a word to its own
//! journal, in little more than half the time where several servers share a disk. To a start zeros are an end.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::Effect;
use formats::journal::{FileHeader, Kind, Mark, Predecessor, Writer};
use formats::payload::zero_pieces;
use glossary::GroupId;
use step::{Bug, DiskError, DiskOperation, DiskResult, Effects};

use crate::disk::{Disk, Purpose, log_name};

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    owner: [u8; 16],
    bug: Option<Bug>,
    /// The file that is open, or being opened.
    sequence: u64,
    writer: Writer,
    /// Where the log ends, as far as it is synced.
    end: Option<Predecessor>,
    stage: Stage,
    /// Ticks since the operation began that is awaited.
    waited: u32,
    /// Lack of room was met, and no file was opened since.
    full: bool,
    /// What is being written, until it is synced.
    batch: Option<Writing>,
    /// Nothing was written to the file yet.
    is_fresh: bool,
    /// The highest number that a file was given.
    last: u64,
    /// Bytes written since this was last set to 0, without zeros ahead.
    pub(crate) grown: u64,
    /// Where the file ends that is open, zeros ahead included.
    filled: u64,
    /// So many zeros are written ahead.
    pub(crate) ahead: u64,
}

/// What takes so many ticks hangs, about 2 s: a disk that is only slow, or that is written much to, has long answered then.
const HANGS_AFTER: u32 = 40;

/// A batch of at most this part of what would be written ahead has zeros written behind it. A larger one takes long in any
/// case, and they would be used up at once.
const SMALL_PART: u64 = 16;

/// A batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Writing {
    pub(crate) body: Bytes,
    /// What is durable with it: groups, and the number of each.
    pub(crate) through: Vec<(GroupId, u64)>,
    /// Whether nobody waits for it: it is there to say that the batch before is synced.
    pub(crate) is_mark: bool,
    /// Set where it says all again: a checkpoint follows, upon which the log goes on from the file of this number.
    pub(crate) begins: Option<u64>,
}

/// Named for what is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The file that could not be opened is being deleted.
    Clearing,
    Creating,
    Header,
    /// A batch.
    Ready,
    Batch,
    /// Where a mistake is planted that is about syncs.
    BatchSync,
    /// Room. The file that was being opened, if any, goes first: nothing may follow its remains.
    Room {
        opened: bool,
    },
}

/// What the end of an operation means for the KV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing yet.
    None,
    /// A file was opened.
    Opened,
    /// A batch is durable.
    Durable(Writing),
    /// There is no room. Call [`Log::try_again`] after a while.
    Full,
    /// The file can't be trusted any more.
    Failed(DiskError),
}

impl Log {
    /// Opens a file that continues a log at `end`.
    pub(crate) fn open(
        (owner, bug, ahead): ([u8; 16], Option<Bug>, u64),
        next: u64,
        end: Option<Predecessor>,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Self {
        let sequence = next - 1;
        let (writer, _) = begin(owner, next, end);
        let stage = Stage::Creating;
        let (full, batch, is_fresh, last) = (false, None, true, sequence);
        let (grown, filled) = (0, 0);
        let mut log = Log {
            owner,
            bug,
            sequence,
            writer,
            end,
            stage,
            waited: 0,
            full,
            batch,
            is_fresh,
            last,
            grown,
            filled,
            ahead,
        };
        log.create(disk, effects);
        log
    }

    /// Whether a batch can be written now.
    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether the log waits for room.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// A tick is over.
    pub(crate) fn on_tick(&mut self) {
        if !matches!(self.stage, Stage::Ready | Stage::Room { .. }) {
            self.waited = self.waited.saturating_add(1);
        }
    }

    /// Whether the disk has not answered for so long that nobody knows whether it will.
    pub(crate) fn hangs(&self) -> bool {
        self.waited >= HANGS_AFTER
    }

    /// Whether a batch is being written, or waits for a file to be written to.
    pub(crate) fn is_writing(&self) -> bool {
        self.batch.is_some()
    }

    /// Whether a checkpoint begins with the batch that is being written.
    pub(crate) fn is_beginning(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.begins.is_some())
    }

    /// Whether the file that is open has nothing yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// A number for a file, higher than any before.
    pub(crate) fn reserve(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The file that is written.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Goes on to the next file.
    pub(crate) fn rotate(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        assert!(self.is_ready() && self.batch.is_none(), "a log is rotated between batches");
        self.create(disk, effects);
    }

    /// Writes a batch; behind it zeros, where there are none left and `may_fill`. Says how many bytes in all.
    pub(crate) fn write(
        &mut self,
        batch: Writing,
        may_fill: bool,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> u64 {
        assert!(self.is_ready() && self.batch.is_none(), "one batch at a time");
        self.batch = Some(batch);
        self.write_batch(may_fill, disk, effects)
    }

    /// Writes the batch that met no room to the file that was opened since.
    pub(crate) fn write_again(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        self.write_batch(false, disk, effects);
    }

    fn write_batch(&mut self, may_fill: bool, disk: &mut Disk, effects: &mut Effects<Effect>) -> u64 {
        let body = self.batch.as_ref().expect("a batch waits").body.clone();
        self.is_fresh = false;
        let offset = self.writer.end().position;
        let synced = self.end.map_or(Mark::default(), |end| end.end);
        let mut pieces = self.writer.batch(synced, vec![body]);
        let end = self.writer.end().position;
        self.grown += end - offset;
        let is_worth_it = end > self.filled && end - offset <= self.ahead / SMALL_PART;
        let zeros = if may_fill && is_worth_it { self.ahead } else { 0 };
        pieces.extend(zero_pieces(zeros as usize));
        self.filled = self.filled.max(end + zeros);
        self.stage = Stage::Batch;
        let file = log_name(self.sequence);
        let what = match self.syncs_apart() {
            true => DiskOperation::Write { file, offset, pieces },
            false => DiskOperation::WriteThrough { file, offset, pieces },
        };
        disk.start(Purpose::Log, what, effects);
        end - offset + zeros
    }

    /// Looks whether there is room by now.
    pub(crate) fn try_again(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        match self.stage {
            Stage::Room { opened: true } => self.create(disk, effects),
            Stage::Room { opened: false } => {
                self.stage = Stage::Clearing;
                disk.start(Purpose::Log, DiskOperation::Delete { file: log_name(self.sequence) }, effects);
            }
            _ => {}
        }
    }

    /// An operation of the log ended.
    pub(crate) fn on_done(
        &mut self,
        result: DiskResult,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Progress {
        self.waited = 0;
        match result {
            Ok(_) => self.on_success(disk, effects),
            Err(DiskError::Full) => {
                self.full = true;
                self.stage = Stage::Room { opened: matches!(self.stage, Stage::Batch | Stage::BatchSync) };
                Progress::Full
            }
            Err(_) if self.stage == Stage::BatchSync && self.bug == Some(Bug::SyncRetried) => {
                self.sync_batch(disk, effects);
                Progress::None
            }
            Err(error) => Progress::Failed(error),
        }
    }

    fn on_success(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) -> Progress {
        match self.stage {
            Stage::Clearing => self.create(disk, effects),
            Stage::Creating => {
                let (writer, page) = begin(self.owner, self.sequence, self.end);
                (self.writer, self.filled) = (writer, 0);
                self.stage = Stage::Header;
                let (file, pieces) = (log_name(self.sequence), vec![page]);
                disk.start(Purpose::Log, DiskOperation::WriteThrough { file, offset: 0, pieces }, effects);
            }
            Stage::Header => {
                self.end = Some(self.writer.as_predecessor());
                (self.stage, self.full, self.is_fresh) = (Stage::Ready, false, true);
                return Progress::Opened;
            }
            Stage::Batch if self.syncs_apart() => {
                self.sync_batch(disk, effects);
                if self.bug == Some(Bug::KvAnswersBeforeSync) {
                    return Progress::Durable(self.batch.take().unwrap_or_default());
                }
            }
            Stage::Batch | Stage::BatchSync => {
                self.end = Some(self.writer.as_predecessor());
                self.stage = Stage::Ready;
                return self.batch.take().map_or(Progress::None, Progress::Durable);
            }
            Stage::Ready | Stage::Room { .. } => unreachable!("no operation is awaited"),
        }
        Progress::None
    }

    /// Whether a batch is written and then synced, for a planted mistake.
    fn syncs_apart(&self) -> bool {
        matches!(self.bug, Some(Bug::KvAnswersBeforeSync | Bug::SyncRetried))
    }

    fn sync_batch(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        self.stage = Stage::BatchSync;
        disk.start(Purpose::Log, DiskOperation::Sync { file: log_name(self.sequence) }, effects);
    }

    fn create(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        self.sequence = self.reserve();
        self.stage = Stage::Creating;
        disk.start(Purpose::Log, DiskOperation::Create { file: log_name(self.sequence) }, effects);
    }
}

/// What to tell when the log can't go on.
pub(crate) fn failure(error: DiskError) -> String {
    alloc::format!(
        "the disk under the KV's log failed ({error:?}): what was answered is synced, but nothing more is \
         written to it; check the disk, then start again, and the log is read anew"
    )
}

fn begin(owner: [u8; 16], sequence: u64, predecessor: Option<Predecessor>) -> (Writer, Bytes) {
    let label = Vec::new();
    Writer::begin(&FileHeader { kind: Kind::KV_LOG, owner, sequence, predecessor, label })
}

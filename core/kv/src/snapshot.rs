//! A snapshot in the making: the state as it was when a log file began, written in bounded batches while
//! commands go on. The sessions are copied at its beginning; of the map, what changes meanwhile is kept once.

use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use consensus::SnapshotMark;
use formats::Effect;
use formats::journal::{FileHeader, Kind, Mark, Writer};
use formats::kv_store::{SessionRecord, SnapshotPart, encode_part};
use step::{DiskError, DiskOperation, DiskResult, Effects};

use crate::disk::{Disk, Purpose, snapshot_name};
use crate::map::Map;
use crate::sessions::answer_bytes;

/// A batch takes no further session or pair once it has so many bytes.
const PART_BYTES: usize = 1 << 20;

/// What a session counts for beside its answers.
const SESSION_BYTES: usize = 32;

/// The snapshot that is written.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What its operations are for.
    purpose: Purpose,
    sequence: u64,
    mark: SnapshotMark,
    is_marked: bool,
    index: u64,
    sessions: u64,
    pairs: u64,
    sessions_left: Vec<(u64, SessionRecord)>,
    forgotten: Vec<u64>,
    page: Bytes,
    writer: Writer,
    stage: Stage,
}

/// Named for what is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Creating,
    /// The header page, or a part.
    Write,
    /// The last part.
    EndWrite,
    Sync,
}

/// What the end of an operation means for the KV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing yet.
    None,
    /// It is durable: what it replaces can go.
    Durable,
    /// There is no room for it, so it is given up; its file can go.
    Full,
    /// The disk failed.
    Failed(DiskError),
}

impl Snapshot {
    /// Begins the snapshot of a state after `index` commands, which stands for `mark`; its map is frozen from now on.
    pub(crate) fn begin(
        purpose: Purpose,
        owner: [u8; 16],
        sequence: u64,
        (mark, index): (SnapshotMark, u64),
        (mut sessions_left, forgotten): (Vec<(u64, SessionRecord)>, Vec<u64>),
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Self {
        let label = Vec::new();
        let header = FileHeader { kind: Kind::KV_SNAPSHOT, owner, sequence, predecessor: None, label };
        let (writer, page) = Writer::begin(&header);
        let file = snapshot_name(sequence);
        disk.start(purpose, DiskOperation::Create { file }, effects);
        let sessions = sessions_left.len() as u64;
        // They are taken from the end.
        sessions_left.reverse();
        let stage = Stage::Creating;
        let (is_marked, pairs) = (false, 0);
        Snapshot {
            purpose,
            sequence,
            mark,
            is_marked,
            index,
            sessions,
            pairs,
            sessions_left,
            forgotten,
            page,
            writer,
            stage,
        }
    }

    /// The length of its file, in bytes, once all is written.
    pub(crate) fn length(&self) -> u64 {
        self.writer.end().position
    }

    /// What it stands for.
    pub(crate) fn mark(&self) -> &SnapshotMark {
        &self.mark
    }

    /// Its number.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// An operation of the snapshot ended.
    pub(crate) fn on_done(
        &mut self,
        result: DiskResult,
        map: &mut Map,
        disk: &mut Disk,
        effects: &mut Effects<Effect>,
    ) -> Progress {
        match (result, self.stage) {
            (Err(DiskError::Full), _) => return Progress::Full,
            (Err(error), _) => return Progress::Failed(error),
            (Ok(_), Stage::Creating) => {
                self.stage = Stage::Write;
                self.write(0, vec![self.page.clone()], disk, effects);
            }
            (Ok(_), Stage::Write) => {
                let part = self.next_part(map);
                if matches!(part, SnapshotPart::End { .. }) {
                    self.stage = Stage::EndWrite;
                }
                let offset = self.writer.end().position;
                let pieces = self.writer.batch(Mark::default(), vec![encode_part(&part).into()]);
                self.write(offset, pieces, disk, effects);
            }
            (Ok(_), Stage::EndWrite) => {
                self.stage = Stage::Sync;
                let file = snapshot_name(self.sequence);
                disk.start(self.purpose, DiskOperation::Sync { file }, effects);
            }
            (Ok(_), Stage::Sync) => return Progress::Durable,
        }
        Progress::None
    }

    fn write(&self, offset: u64, pieces: Vec<Bytes>, disk: &mut Disk, effects: &mut Effects<Effect>) {
        let file = snapshot_name(self.sequence);
        disk.start(self.purpose, DiskOperation::Write { file, offset, pieces }, effects);
    }

    fn next_part(&mut self, map: &mut Map) -> SnapshotPart {
        if !core::mem::replace(&mut self.is_marked, true) {
            return SnapshotPart::Mark(self.mark.clone());
        }
        if !self.sessions_left.is_empty() {
            return SnapshotPart::Sessions(self.next_sessions());
        }
        if !self.forgotten.is_empty() {
            return SnapshotPart::Forgotten(core::mem::take(&mut self.forgotten));
        }
        let pairs = map.next_frozen(PART_BYTES);
        self.pairs += pairs.len() as u64;
        if !pairs.is_empty() {
            return SnapshotPart::Pairs(pairs);
        }
        SnapshotPart::End { index: self.index, sessions: self.sessions, pairs: self.pairs }
    }

    fn next_sessions(&mut self) -> Vec<(u64, SessionRecord)> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while bytes < PART_BYTES {
            let Some((session, record)) = self.sessions_left.pop() else { break };
            bytes += SESSION_BYTES;
            bytes += record.answers.iter().map(|(_, answer)| answer_bytes(answer)).sum::<usize>();
            part.push((session, record));
        }
        part
    }
}

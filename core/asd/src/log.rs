//! The end of the log, and the one batch that may be on its way there.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::{combine, crc32c};
use formats::asd_record::Record;
use formats::journal::{BODY_AT, FileHeader, Kind, Mark, PAGE, Predecessor, Writer};
use glossary::OsdIdentity;

use crate::batch::{Answer, Draft, Tally};
use crate::index::Logged;
use crate::queue::Change;

/// What the batch in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Creating,
    Writing,
    Syncing,
}

/// A batch on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) stage: Stage,
    pub(crate) segment: u64,
    /// Whether the segment begins with it.
    pub(crate) is_new: bool,
    pub(crate) offset: u64,
    /// What to write, until it is being written.
    pub(crate) pieces: Vec<Bytes>,
    /// The log's end once it is synced.
    pub(crate) after: Writer,
    pub(crate) records: Vec<Logged>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) tally: Tally,
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    owner: [u8; 16],
    segment_bytes: u64,
    /// The writing end, all of it synced; none where no segment is open.
    writer: Option<Writer>,
    /// The same as a successor names it; none before the first segment.
    end: Option<Predecessor>,
    /// The sequence of the next segment.
    next_sequence: u64,
    pub(crate) in_flight: Option<InFlight>,
}

impl Log {
    pub(crate) fn new(
        owner: OsdIdentity,
        segment_bytes: u64,
        end: Option<Predecessor>,
        next_sequence: u64,
    ) -> Self {
        Log { owner: owner.0, segment_bytes, writer: None, end, next_sequence, in_flight: None }
    }

    /// Up to where it is synced.
    pub(crate) fn synced(&self) -> Mark {
        self.end.map_or(Mark::default(), |end| end.end)
    }

    /// Up to where it is written or being written.
    pub(crate) fn written(&self) -> Mark {
        self.in_flight.as_ref().map_or(self.synced(), |in_flight| in_flight.after.end())
    }

    /// Where the synced part ends, for whoever reads the log again or follows it.
    pub(crate) fn end(&self) -> Option<Predecessor> {
        self.end
    }

    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    /// The open segment; 0 where there is none.
    pub(crate) fn open_segment(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.end().sequence)
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Bytes that a batch with so long a body takes.
    pub(crate) fn framed(body_bytes: u64) -> u64 {
        (BODY_AT + body_bytes).next_multiple_of(PAGE)
    }

    /// Starts a segment that holds only its header.
    pub(crate) fn begin_segment(&mut self) -> &InFlight {
        assert!(self.in_flight.is_none(), "one batch at a time");
        let (after, page) = self.header();
        self.in_flight.insert(InFlight {
            stage: Stage::Creating,
            segment: after.end().sequence,
            is_new: true,
            offset: 0,
            pieces: alloc::vec![page],
            after,
            records: Vec::new(),
            answers: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// Starts a batch, in a new segment where it doesn't fit the open one. Shares the values.
    pub(crate) fn begin_batch(&mut self, draft: Draft) -> &InFlight {
        assert!(self.in_flight.is_none(), "one batch at a time");
        let framed = Self::framed(draft.bytes);
        let open = self.writer.clone().filter(|writer| writer.end().position + framed <= self.segment_bytes);
        let (mut after, mut pieces, is_new) = match open {
            Some(writer) => (writer, Vec::new(), false),
            None => {
                let (writer, page) = self.header();
                (writer, alloc::vec![page], true)
            }
        };
        let start = after.end();
        let (records, body, check) = encode(start, draft.changes);
        pieces.extend(after.batch_with_check(self.synced(), body, check));
        self.in_flight.insert(InFlight {
            stage: if is_new { Stage::Creating } else { Stage::Writing },
            segment: start.sequence,
            is_new,
            offset: if is_new { 0 } else { start.position },
            pieces,
            after,
            records,
            answers: draft.answers,
            tally: draft.tally,
        })
    }

    /// The batch in flight is synced: the log ends behind it.
    pub(crate) fn advance(&mut self, after: Writer) {
        assert!(after.end() > self.synced(), "a log grows");
        self.end = Some(after.as_predecessor());
        self.writer = Some(after);
    }

    /// The header of the next segment, whose sequence is used up whatever becomes of it.
    fn header(&mut self) -> (Writer, Bytes) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Writer::begin(&FileHeader {
            kind: Kind::ASD_SEGMENT,
            owner: self.owner,
            sequence,
            predecessor: self.end,
            label: Vec::new(),
        })
    }
}

/// Lays records out from `start` on: where they are, their bytes, and the checksum of these. The values' part in
/// it is made of their own checksums: nothing is certified anew (F1).
fn encode(start: Mark, changes: Vec<Change>) -> (Vec<Logged>, Vec<Bytes>, u32) {
    let (mut records, mut body) = (Vec::with_capacity(changes.len()), Vec::new());
    let mut check = 0;
    let mut at = start.position + BODY_AT;
    for change in changes {
        let Change { kind, key, length, crc, pieces } = change;
        let record = Record { kind, key: &key, length, crc };
        let bytes = record.stored_bytes();
        let head = record.encode(start.sequence);
        check = combine(check, crc32c(&head), head.len() as u64);
        body.push(head);
        if !pieces.is_empty() {
            check = combine(check, crc, u64::from(length));
            body.extend(pieces);
        }
        let position = u32::try_from(at).expect("segments are at most 1 GiB");
        records.push(Logged { kind, key, position, length, crc });
        at += bytes;
    }
    (records, body, check)
}

//! The end of the log: the open SCO and TLog, what is gathered, and what is on its way to the disk.
//!
//! At most one flight is in the air: the SCO writes and the TLog batch of everything gathered, all at once.
//! What comes meanwhile gathers for the next (Nagle). Nothing orders the SCO before the TLog: recovery checks
//! each entry's clusters.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use formats::journal::{Mark, Writer};
use formats::sco::cluster_position;
use formats::tlog::Entry;
use glossary::{CLUSTER_BYTES, ClientId, Generation, LogNumber, SCO_BLOCK, ScoId, TlogId};
use step::{Acknowledgement, Bug, DiskOperation, DiskResult, DtlPromise, InWriteBuffer};

use super::change::{Change, ReplyTo};
use super::roll::Roll;
use super::{Operation, Serving};
use crate::context::Context;
use crate::counters::Counter;
use crate::files::LocalFile;

/// Bytes of SCO data that one flight takes at most; the rest goes with the next.
const FLIGHT_BYTES: u64 = 8 << 20;

/// The end of a volume's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) generation: Generation,
    pub(crate) tlog: TlogId,
    pub(crate) writer: Writer,
    /// The open TLog's entries, written or on their way.
    pub(crate) entries: Vec<Entry>,
    pub(crate) scos: Vec<ScoId>,
    pub(crate) open: Option<OpenSco>,
    pub(crate) spare: Spare,
    pub(crate) block: ScoBlock,
    pub(crate) sco_clusters: u64,
    next_number: u64,
    gathered: Gathered,
    flight: Option<Flight>,
    pub(crate) acknowledgements: VecDeque<Waiting>,
    /// The last entry in the write buffer, with everything before it.
    pub(crate) completed: u64,
    pub(crate) completed_end: Mark,
    /// The last entry on stable storage, with everything before it.
    pub(crate) synced: u64,
    pub(crate) synced_end: Mark,
    pub(crate) dirty: BTreeSet<ScoId>,
    pub(crate) roll: Roll,
    /// The last mark that a batch carries.
    pub(crate) marked: Mark,
}

/// The SCO that takes clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenSco {
    pub(crate) sco: ScoId,
    pub(crate) next: u64,
}

/// The next SCO's file, made ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spare {
    None,
    Making,
    Ready(ScoId),
}

/// SCO numbers taken from the registry and not used yet (L5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScoBlock {
    pub(crate) next: u64,
    pub(crate) end: u64,
    /// The block after this one is wanted.
    pub(crate) asked: bool,
    /// The first number of the block after this one.
    pub(crate) after: Option<u64>,
}

/// A change that is acknowledged when entry `number` is in the write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    pub(crate) reply: ReplyTo,
    pub(crate) client: ClientId,
    pub(crate) change: u64,
    pub(crate) fua: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Gathered {
    body: Vec<u8>,
    through: u64,
    data: Vec<(ScoId, u64, Vec<Bytes>, u64)>,
    data_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    scos: usize,
    tlog: bool,
    through: u64,
    end: Mark,
}

impl ScoBlock {
    /// A block that starts with this number.
    pub(crate) fn new(first: u64) -> Self {
        ScoBlock { next: first, end: first + SCO_BLOCK, asked: false, after: None }
    }

    /// The next number, if one is left. Asks for another block well ahead of the end.
    pub(crate) fn take(&mut self) -> Option<ScoId> {
        if self.next == self.end
            && let Some(first) = self.after.take()
        {
            *self = ScoBlock::new(first);
        }
        self.asked |= self.end - self.next < SCO_BLOCK / 8 && self.after.is_none();
        let sco = (self.next < self.end).then_some(ScoId(self.next))?;
        self.next += 1;
        Some(sco)
    }
}

impl Log {
    /// The log right after a take-over: an empty TLog whose header is synced.
    pub(crate) fn new(tlog: TlogId, writer: Writer, sco_clusters: u64, block: ScoBlock) -> Self {
        let end = writer.end();
        Log {
            generation: tlog.generation,
            tlog,
            writer,
            entries: Vec::new(),
            scos: Vec::new(),
            open: None,
            spare: Spare::None,
            block,
            sco_clusters,
            next_number: 1,
            gathered: Gathered::default(),
            flight: None,
            acknowledgements: VecDeque::new(),
            completed: 0,
            completed_end: end,
            synced: 0,
            synced_end: end,
            dirty: BTreeSet::new(),
            roll: Roll::No,
            marked: end,
        }
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    pub(crate) fn last_number(&self) -> u64 {
        self.next_number - 1
    }

    pub(crate) fn rolling(&self) -> bool {
        self.roll != Roll::No
    }

    /// The number of the last entry, across generations.
    pub(crate) fn last_log_number(&self) -> LogNumber {
        LogNumber { generation: self.generation, number: self.last_number() }
    }

    /// Whether nothing is gathered or in the air.
    pub(crate) fn is_quiet(&self) -> bool {
        self.flight.is_none() && self.gathered.body.is_empty()
    }

    pub(crate) fn tlog_bytes(&self) -> u64 {
        self.writer.end().position
    }

    pub(crate) fn gather_entry(&mut self, entry: Entry) {
        entry.encode(&mut self.gathered.body);
        self.gathered.through = entry.number;
        self.next_number = entry.number + 1;
        self.entries.push(entry);
    }

    /// Adds clusters to the next flight; those that follow the last ones in their SCO become one write.
    pub(crate) fn gather_data(&mut self, sco: ScoId, offset: u64, pieces: &[Bytes]) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        self.gathered.data_bytes += bytes as u64;
        let clusters = bytes as u64 / CLUSTER_BYTES;
        match self.gathered.data.last_mut() {
            Some((last, first, gathered, count)) if *last == sco && *first + *count == offset => {
                gathered.extend_from_slice(pieces);
                *count += clusters;
            }
            _ => self.gathered.data.push((sco, offset, pieces.to_vec(), clusters)),
        }
    }

    pub(crate) fn acknowledge_when_written(&mut self, change: &Change, number: u64) {
        let Change { reply, client, number: change, fua, .. } = *change;
        self.acknowledgements.push_back(Waiting { number, reply, client, change, fua });
    }

    pub(crate) fn sco_is_full(&self) -> bool {
        self.open.is_some_and(|open| open.next == self.sco_clusters)
    }

    /// The open SCO, its next place, and how many places are left.
    pub(crate) fn open_place(&self) -> Option<(ScoId, u64, u64)> {
        self.open.map(|open| (open.sco, open.next, self.sco_clusters - open.next))
    }

    pub(crate) fn take_clusters(&mut self, count: u64) {
        let open = self.open.as_mut().expect("a SCO is open");
        open.next += count;
        assert!(open.next <= self.sco_clusters, "a SCO has a bound");
    }

    /// Whether another block of SCO numbers is wanted.
    pub(crate) fn wants_block(&self) -> bool {
        self.block.asked
    }

    pub(crate) fn block_taken(&mut self, first: u64) {
        self.block.asked = false;
        self.block.after = Some(first);
    }

    pub(crate) fn check_invariants(&self) {
        debug_assert!(self.synced <= self.completed && self.completed < self.next_number, "invariant 1");
        debug_assert!(
            self.acknowledgements.iter().all(|waiting| waiting.number < self.next_number),
            "invariant 1"
        );
    }
}

impl Serving {
    /// Sends everything gathered to the disk, if nothing is on its way.
    pub(crate) fn launch_flight(&mut self, context: &mut Context<'_>) {
        if self.log.flight.is_some() || self.log.gathered.body.is_empty() {
            return;
        }
        // The next flight is about as large: its bytes need not move while it gathers.
        let next = Gathered { body: Vec::with_capacity(self.log.gathered.body.len()), ..Gathered::default() };
        let gathered = core::mem::replace(&mut self.log.gathered, next);
        let scos = gathered.data.len();
        for (sco, offset, pieces, clusters) in gathered.data {
            let file = LocalFile::Sco(sco).name(self.id);
            let what = DiskOperation::Write { file, offset: cluster_position(offset), pieces };
            self.operations.start(Operation::FlightSco { sco, through: offset + clusters }, what, context);
        }
        self.write_batch(gathered.body.into(), scos, gathered.through, context);
    }

    /// Writes a batch of the TLog as (a part of) a flight.
    fn write_batch(&mut self, body: Bytes, scos: usize, through: u64, context: &mut Context<'_>) {
        context.count(Counter::Batches, 1);
        let offset = self.log.writer.end().position;
        self.log.marked = self.log.synced_end;
        let pieces = self.log.writer.batch(self.log.synced_end, alloc::vec![body]);
        let end = self.log.writer.end();
        context.room.count(end.position - offset);
        let file = LocalFile::Tlog(self.log.tlog).name(self.id);
        self.operations.start(Operation::FlightTlog, DiskOperation::Write { file, offset, pieces }, context);
        self.log.flight = Some(Flight { scos, tlog: true, through, end });
    }

    /// Writes an empty batch, so that its mark tells that everything before it was synced.
    pub(crate) fn write_mark(&mut self, context: &mut Context<'_>) {
        self.mark_timer = false;
        let worth_it = self.log.is_quiet() && !self.log.rolling() && self.log.marked < self.log.synced_end;
        if worth_it && self.stop.is_none() {
            self.write_batch(Bytes::new(), 0, self.log.completed, context);
        }
    }

    pub(crate) fn flight_sco_written(
        &mut self,
        sco: ScoId,
        through: u64,
        result: DiskResult,
        context: &mut Context<'_>,
    ) {
        if let Err(error) = result {
            self.log_failed(error, "writing a SCO");
            return;
        }
        if let Some(local) = self.local.get_mut(&sco) {
            local.on_written(through);
        }
        self.log.dirty.insert(sco);
        if let Some(flight) = &mut self.log.flight {
            flight.scos -= 1;
        }
        self.flight_landed(context);
    }

    pub(crate) fn flight_tlog_written(&mut self, result: DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            self.log_failed(error, "writing a TLog");
            return;
        }
        if let Some(flight) = &mut self.log.flight {
            flight.tlog = false;
        }
        self.flight_landed(context);
    }

    fn flight_landed(&mut self, context: &mut Context<'_>) {
        let Some(flight) = self.log.flight else { return };
        let early = context.config.has(Bug::TlogBeforeSco) && !flight.tlog;
        if flight.scos == 0 && !flight.tlog {
            self.log.flight = None;
            self.log.completed_end = flight.end;
        } else if !early {
            return;
        }
        self.log.completed = self.log.completed.max(flight.through);
        self.acknowledge(context);
    }

    /// Answers every change that the write buffer holds, in the order of the log.
    pub(crate) fn acknowledge(&mut self, context: &mut Context<'_>) {
        let through = LogNumber { generation: self.log.generation, number: self.log.completed };
        let buffered = InWriteBuffer::on_both_writes_completed(through);
        let acknowledgement = Acknowledgement::new(buffered, DtlPromise::Off);
        while let Some(waiting) = self.log.acknowledgements.front().copied() {
            if waiting.number > acknowledgement.through().number {
                return;
            }
            self.log.acknowledgements.pop_front();
            if waiting.fua && waiting.number > self.log.synced {
                self.flushes.wait(waiting.reply, waiting.number);
            } else {
                self.answer(waiting.reply, formats::message::edge::EdgeAnswer::Done, context);
            }
        }
    }

    /// Whether a flight may take more: a bound on what one round of writes carries.
    pub(crate) fn flight_is_full(&self) -> bool {
        self.log.gathered.data_bytes >= FLIGHT_BYTES
    }
}

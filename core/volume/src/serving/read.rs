//! Reading: the map says where clusters rest; they come from memory, a local file, or the backend.
//!
//! Every cluster is checked against the checksum it entered with (P6). A local file that doesn't check is
//! passed over for the backend; what is nowhere right is an error, never wrong bytes.

use alloc::vec::Vec;
use formats::message::edge::EdgeAnswer;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::ObjectName;
use formats::sco::cluster_position;
use formats::{Payload, payload};
use glossary::CLUSTER_BYTES;
use step::{Bug, DiskOperation, DiskOutcome, DiskResult, Timestamp};

use super::change::ReplyTo;
use super::{Operation, Retry, ScoState, Serving};
use crate::context::{Context, VolumeAsk};
use crate::counters::Counter;
use crate::files::LocalFile;
use crate::map::Run;

/// A read of whole clusters under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadJob {
    pub(crate) purpose: ReadPurpose,
    pub(crate) parts: Vec<Part>,
    waiting: usize,
    since: Timestamp,
}

/// What the clusters are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadPurpose {
    /// A guest asked.
    Guest(ReplyTo),
    /// The change at the head of the queue touches these clusters in part. The number tells this merge from one
    /// that was given up.
    Merge(u64),
}

/// A part of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    run: Run,
    data: Option<Payload>,
    /// The local file was tried and is not to be trusted.
    local_failed: bool,
}

impl Serving {
    pub(crate) fn guest_read(&mut self, reply: ReplyTo, offset: u64, length: u64, context: &mut Context<'_>) {
        let Some(end) = offset.checked_add(length).filter(|end| *end <= self.record.size.0) else {
            self.answer(reply, EdgeAnswer::Failed(formats::message::edge::EdgeError::OutOfBounds), context);
            return;
        };
        let (from, to) = (offset / CLUSTER_BYTES, end.div_ceil(CLUSTER_BYTES));
        self.start_read(ReadPurpose::Guest(reply), &[(from, to)], context);
    }

    /// Starts a read of ranges of clusters.
    pub(crate) fn start_read(
        &mut self,
        purpose: ReadPurpose,
        ranges: &[(u64, u64)],
        context: &mut Context<'_>,
    ) {
        self.read_since(context.now, purpose, ranges, context);
    }

    fn read_since(
        &mut self,
        since: Timestamp,
        purpose: ReadPurpose,
        ranges: &[(u64, u64)],
        context: &mut Context<'_>,
    ) {
        let runs = ranges.iter().flat_map(|(from, to)| self.look_up(*from, *to));
        let runs: Vec<Run> = runs.flat_map(|run| self.split_at_written(run)).collect();
        let parts: Vec<Part> =
            runs.into_iter().map(|run| Part { run, data: None, local_failed: false }).collect();
        let job = self.next_read;
        self.next_read += 1;
        let waiting = parts.len();
        self.reads.insert(job, ReadJob { purpose, parts, waiting, since });
        for part in 0..waiting {
            self.resolve_part(job, part, context);
        }
        if waiting == 0 {
            self.finish_read(job, context);
        }
    }

    /// Where the written part of a SCO ends, a run is in two places: on the disk and in memory.
    fn split_at_written(&self, run: Run) -> Vec<Run> {
        let offset = u64::from(run.location.offset().0);
        let written = self.local.get(&run.location.sco()).map_or(u64::MAX, |local| local.written);
        if run.location.is_none() || written <= offset || written >= offset + run.clusters {
            return alloc::vec![run];
        }
        let first = written - offset;
        let address = glossary::ClusterAddress(run.address.0 + first);
        let location = run.location.advanced(first);
        alloc::vec![Run { clusters: first, ..run }, Run { address, location, clusters: run.clusters - first }]
    }

    /// Gets a part from the nearest place that has it.
    pub(crate) fn resolve_part(&mut self, job: u64, part: usize, context: &mut Context<'_>) {
        let Some(Part { run, local_failed, .. }) = self.part(job, part) else { return };
        let (sco, offset) = (run.location.sco(), u64::from(run.location.offset().0));
        if run.location.is_none() {
            self.part_done(job, part, Payload::zeros(run.clusters), context);
            return;
        }
        let local = self.local.get(&sco).filter(|_| !local_failed);
        match local {
            Some(local) if local.written >= offset + run.clusters => {
                context.count(Counter::LocalParts, 1);
                let file = LocalFile::Sco(sco).name(self.id);
                let length = run.clusters * CLUSTER_BYTES;
                let what = DiskOperation::Read { file, offset: cluster_position(offset), length };
                self.operations.start(Operation::ReadPart { job, part }, what, context);
            }
            Some(local) => {
                context.count(Counter::LocalParts, 1);
                let data = local.recent_data(offset, run.clusters);
                self.part_done(job, part, data, context);
            }
            None => {
                context.count(Counter::BackendParts, 1);
                let body = ObjectBody::Get {
                    name: ObjectName::Sco(sco),
                    offset: offset * CLUSTER_BYTES,
                    length: run.clusters * CLUSTER_BYTES,
                };
                context.object(self.id, VolumeAsk::ReadPart { job, part }, self.record.namespace, body);
            }
        }
    }

    pub(crate) fn part_read(&mut self, job: u64, part: usize, result: DiskResult, context: &mut Context<'_>) {
        let Some(Part { run, .. }) = self.part(job, part) else { return };
        let (sco, offset) = (run.location.sco(), u64::from(run.location.offset().0));
        if self.local.contains_key(&sco)
            && let Ok(DiskOutcome::Read(bytes)) = result
            && bytes.len() as u64 == run.clusters * CLUSTER_BYTES
        {
            let crcs = if context.config.has(Bug::CrcUnchecked) {
                payload::Payload::entering(bytes.clone()).crcs().to_vec()
            } else {
                self.local[&sco].crcs_of(offset, run.clusters)
            };
            let data = Payload::with_crcs(alloc::vec![bytes], crcs).expect("a checksum for each cluster");
            if data.verify() {
                self.part_done(job, part, data, context);
                return;
            }
        }
        self.local_part_failed(job, part, run, context);
    }

    /// The local file is gone or damaged: the backend may have it.
    fn local_part_failed(&mut self, job: u64, part: usize, run: Run, context: &mut Context<'_>) {
        context.count(Counter::DamagedParts, 1);
        let state = self.local.get(&run.location.sco()).map(|local| local.state);
        if matches!(state, None | Some(ScoState::Found | ScoState::Stored { .. } | ScoState::Cached)) {
            self.part_mut(job, part).local_failed = true;
            self.resolve_part(job, part, context);
        } else {
            self.part_lost(
                job,
                run,
                "a SCO in the write buffer is damaged and was not yet on the ASDs",
                context,
            );
        }
    }

    /// The backend answered for a part.
    pub(crate) fn part_answered(
        &mut self,
        job: u64,
        part: usize,
        answer: ObjectAnswer,
        context: &mut Context<'_>,
    ) {
        let Some(Part { run, .. }) = self.part(job, part) else { return };
        match answer {
            ObjectAnswer::Data(data) if data.clusters() == Some(run.clusters) => {
                self.part_done(job, part, data, context);
            }
            ObjectAnswer::Failed(ObjectError::NotFound) if self.moved_on(&run) => {
                self.restart_read(job, context)
            }
            ObjectAnswer::Failed(ObjectError::NotFound | ObjectError::Lost) => {
                self.part_lost(
                    job,
                    run,
                    "more fragments are lost or damaged than the parity makes up for",
                    context,
                );
            }
            _ if self.waited_enough(job, context) => {
                let why = "too few ASDs have answered for too long; it is asked for again at the next read";
                self.read_failed(job, why, context);
            }
            _ => self.retry_later(Retry::ReadPart { job, part }, context),
        }
    }

    /// Whether a read has asked for as long as OSDs that may come back are waited for.
    fn waited_enough(&self, job: u64, context: &Context<'_>) -> bool {
        let since = self.reads.get(&job).map(|read| read.since);
        since.is_some_and(|since| context.now.since(since) >= context.config.read_patience)
    }

    /// Whether the map no longer says what it said when the read began: its SCO was garbage by then.
    fn moved_on(&self, run: &Run) -> bool {
        self.look_up(run.address.0, run.end()) != [*run]
    }

    fn restart_read(&mut self, job: u64, context: &mut Context<'_>) {
        let Some(read) = self.reads.remove(&job) else { return };
        let ranges: Vec<(u64, u64)> =
            read.parts.iter().map(|part| (part.run.address.0, part.run.end())).collect();
        self.read_since(read.since, read.purpose, &ranges, context);
    }

    fn part_done(&mut self, job: u64, part: usize, data: Payload, context: &mut Context<'_>) {
        let Some(read) = self.reads.get_mut(&job) else { return };
        let run = read.parts[part].run;
        let is_new = read.parts[part].data.replace(data).is_none();
        read.waiting -= usize::from(is_new);
        let is_finished = read.waiting == 0;
        self.not_lost(run.address.0, run.end());
        if is_finished {
            self.finish_read(job, context);
        }
    }

    fn finish_read(&mut self, job: u64, context: &mut Context<'_>) {
        let read = self.reads.remove(&job).expect("a finished read was under way");
        let mut data = Payload::default();
        read.parts.into_iter().for_each(|part| data.append(part.data.expect("every part is there")));
        match read.purpose {
            ReadPurpose::Guest(reply) => {
                context.count(Counter::Reads, 1);
                context.count(Counter::ReadBytes, data.len() as u64);
                self.answer(reply, EdgeAnswer::Data(data), context);
            }
            ReadPurpose::Merge(merge) => self.merge(merge, &data, context),
        }
    }

    /// A part is nowhere any more.
    fn part_lost(&mut self, job: u64, run: Run, why: &str, context: &mut Context<'_>) {
        // A survey names the clusters of it that are lost, not the others.
        if !self.survey.lost().any_in(run.address.0, run.end()) {
            self.lost.add(run.address.0, run.end());
        }
        self.read_failed(job, why, context);
    }

    fn read_failed(&mut self, job: u64, why: &str, context: &mut Context<'_>) {
        let Some(read) = self.reads.remove(&job) else { return };
        match read.purpose {
            ReadPurpose::Guest(reply) => self.answer_io_error(reply, why, context),
            ReadPurpose::Merge(merge) => self.merge_failed(merge, why, context),
        }
    }

    fn part(&self, job: u64, part: usize) -> Option<Part> {
        self.reads.get(&job)?.parts.get(part).filter(|part| part.data.is_none()).cloned()
    }

    fn part_mut(&mut self, job: u64, part: usize) -> &mut Part {
        &mut self.reads.get_mut(&job).expect("the read is under way").parts[part]
    }
}

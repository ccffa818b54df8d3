//! A vDisk in whatever state it is: being taken over, serving, halted, or being deleted.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use formats::message::admin::{AdminAnswer, Serves, VdiskStatus};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, Opening};
use formats::message::kv::KvAnswer;
use formats::message::object::ObjectAnswer;
use formats::registry::VdiskRecord;
use formats::work::Done;
use glossary::{BufferIdentity, ByteCount, CLUSTER_BYTES, NodeId, Policy, SessionId, VdiskId};
use step::{DiskResult, OperationId};

use crate::context::{Context, Purpose, VolumeAsk};
use crate::counters::Counter;
use crate::deletion::Deletion;
use crate::driver::send_edge;
use crate::files::LocalFile;
use crate::serving::{ReplyTo, Serving, Stop};
use crate::takeover::{Outcome, TakeOver};

/// A vDisk of this driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    id: VdiskId,
    /// What was last known of it, for listings.
    record: VdiskRecord,
    state: State,
    /// Numbers of disk operations below this one were used in earlier lives.
    operations_from: u64,
    /// To be taken over anew at the driver's next tick.
    restart_later: bool,
    /// To be listed now: for a take-over, or for a deletion of what is there.
    restart: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Waits for its take-over to begin.
    Waiting,
    TakingOver(Box<TakeOver>),
    Serving(Box<Serving>),
    Halted(String),
    Deleting(Deletion),
    Gone,
}

impl Volume {
    pub(crate) fn waiting(id: VdiskId, record: VdiskRecord) -> Self {
        Volume { id, record, state: State::Waiting, operations_from: 1, restart_later: false, restart: false }
    }

    pub(crate) fn take_over(
        &mut self,
        buffer: Option<BufferIdentity>,
        policies: Vec<Policy>,
        files: BTreeMap<LocalFile, u64>,
        context: &mut Context<'_>,
    ) {
        if let State::Deleting(deletion) = &mut self.state {
            deletion.delete_files(&files, context);
            self.operations_from = deletion.operations_next();
        }
        if self.state == State::Waiting {
            let from = self.operations_from;
            let take_over = TakeOver::begin(self.id, buffer, policies, files, from, context);
            self.state = State::TakingOver(Box::new(take_over));
        }
    }

    pub(crate) fn open(&mut self, reply: ReplyTo, opening: &Opening, context: &mut Context<'_>) {
        match &mut self.state {
            State::Serving(serving) => serving.open(reply, opening, context),
            State::Halted(_) | State::Deleting(_) | State::Gone => self.refuse(reply, context),
            // It will serve soon: the Edge asks again.
            State::Waiting | State::TakingOver(_) => {}
        }
    }

    pub(crate) fn request(&mut self, reply: ReplyTo, body: EdgeBody, context: &mut Context<'_>) {
        match &mut self.state {
            State::Serving(serving) => serving.request(reply, body, context),
            _ => self.refuse(reply, context),
        }
    }

    fn refuse(&self, to: ReplyTo, context: &mut Context<'_>) {
        let error = match &self.state {
            State::Halted(why) => EdgeError::Io(why.clone()),
            State::Deleting(_) | State::Gone => EdgeError::NotFound,
            State::Waiting | State::TakingOver(_) | State::Serving(_) => EdgeError::NoSession,
        };
        send_edge(to, self.record.generation, EdgeAnswer::Failed(error), context.effects);
    }

    pub(crate) fn kv(&mut self, ask: &VolumeAsk, answer: &KvAnswer, context: &mut Context<'_>) {
        match &mut self.state {
            State::TakingOver(take_over) => take_over.kv(ask, answer, context),
            State::Serving(serving) => {
                if matches!(ask, VolumeAsk::ClaimBuffer | VolumeAsk::ReleaseBuffer) {
                    serving.record_changed(matches!(answer, KvAnswer::Done(_)));
                }
            }
            State::Deleting(deletion) => deletion.kv(ask, answer, context),
            State::Waiting | State::Halted(_) | State::Gone => {}
        }
    }

    pub(crate) fn object(&mut self, ask: &VolumeAsk, answer: ObjectAnswer, context: &mut Context<'_>) {
        match &mut self.state {
            State::TakingOver(take_over) => {
                if let VolumeAsk::ChainTlog(tlog) = ask {
                    take_over.chain_fetched(*tlog, &answer, context);
                }
            }
            State::Serving(serving) => match ask {
                VolumeAsk::Upload(sco) => serving.uploaded(*sco, &answer, context),
                VolumeAsk::Redundancy(sco) => serving.redundancy_told(*sco, &answer, context),
                VolumeAsk::Survey(sco) => serving.surveyed(*sco, &answer),
                VolumeAsk::Publish(tlog) => serving.published(*tlog, &answer, context),
                VolumeAsk::DeleteScos => serving.garbage_deleted(&answer, context),
                VolumeAsk::ReadPart { job, part } => serving.part_answered(*job, *part, answer, context),
                _ => {}
            },
            State::Deleting(deletion) => deletion.object(&answer, context),
            State::Waiting | State::Halted(_) | State::Gone => {}
        }
    }

    pub(crate) fn disk(&mut self, operation: OperationId, result: DiskResult, context: &mut Context<'_>) {
        match &mut self.state {
            State::TakingOver(take_over) => take_over.disk(operation, result, context),
            State::Serving(serving) => serving.disk(operation, result, context),
            State::Waiting | State::Halted(_) | State::Deleting(_) | State::Gone => {}
        }
    }

    pub(crate) fn worked(&mut self, operation: OperationId, result: &Done, context: &mut Context<'_>) {
        if let State::Serving(serving) = &mut self.state {
            serving.worked(operation, result, context);
        }
    }

    pub(crate) fn turn_end(&mut self, context: &mut Context<'_>) {
        if let State::TakingOver(take_over) = &mut self.state {
            let outcome = take_over.take_outcome();
            self.operations_from = take_over.operations_next();
            if let Some(record) = take_over.known_record().filter(|_| outcome.is_some()) {
                self.record = record.clone();
            }
            if let Some(outcome) = outcome {
                self.taken_over(outcome, context);
            }
        }
        if let State::Serving(serving) = &mut self.state {
            serving.turn_end(context);
            if self.record != serving.record {
                self.record = serving.record.clone();
            }
            self.operations_from = serving.operations.next();
            if let Some(stop) = serving.stop.take() {
                self.stop(stop, context);
            }
        }
        if let State::Deleting(deletion) = &self.state
            && deletion.is_done()
        {
            self.state = State::Gone;
        }
    }

    fn taken_over(&mut self, outcome: Outcome, context: &mut Context<'_>) {
        // Answers to a take-over that is over find no question.
        let id = self.id;
        context.asks.forget(|purpose| matches!(purpose, Purpose::Volume(of, _) if *of == id));
        self.state = match outcome {
            Outcome::Serves(serving) => {
                // The operations of the take-over may still end; theirs are lower numbers.
                self.operations_from = serving.operations.next();
                context.count(Counter::TakeOvers, 1);
                context.room.count(serving.local_bytes());
                State::Serving(serving)
            }
            Outcome::Halts(why) => State::Halted(why),
            Outcome::Gone => State::Gone,
            Outcome::Deleting(record) => {
                self.restart = true;
                State::Deleting(Deletion::begin(self.id, record, self.operations_from, context))
            }
            Outcome::TryAgain => {
                self.restart_later = true;
                State::Waiting
            }
        };
    }

    /// Stops serving. Sessions end: their Edges open new ones, and send again what is not stable.
    fn stop(&mut self, stop: Stop, context: &mut Context<'_>) {
        let State::Serving(serving) = &self.state else { return };
        context.room.release(serving.local_bytes());
        self.operations_from = serving.operations.next();
        let id = self.id;
        context.asks.forget(|purpose| matches!(purpose, Purpose::Volume(of, _) if *of == id));
        self.state = match stop {
            Stop::Halt(why) => State::Halted(why),
            Stop::Restart => {
                self.restart_later = true;
                State::Waiting
            }
        };
    }

    /// Begins to delete: the registry has recorded it.
    pub(crate) fn delete(&mut self, record: VdiskRecord, context: &mut Context<'_>) {
        self.stop(Stop::Halt("being deleted".to_string()), context);
        self.record = record.clone();
        // What a take-over has asked is no answer to the deletion.
        let id = self.id;
        context.asks.forget(|purpose| matches!(purpose, Purpose::Volume(of, _) if *of == id));
        // Its files are listed as for a take-over.
        self.restart = true;
        self.state = State::Deleting(Deletion::begin(self.id, record, self.operations_from, context));
    }

    /// The registry has recorded a change of the record that the driver asked for. The record of a later generation
    /// was read after it, and has it.
    pub(crate) fn record_changed(&mut self, record: VdiskRecord) {
        if record.generation != self.record.generation {
            return;
        }
        if let State::Serving(serving) = &mut self.state {
            serving.record = record.clone();
        }
        self.record = record;
    }

    /// Whether a change of its record is under way.
    pub(crate) fn record_is_changing(&self) -> bool {
        match &self.state {
            State::Serving(serving) => serving.record_held || serving.proposed.is_some(),
            _ => false,
        }
    }

    /// While management changes the record, the vDisk itself doesn't.
    pub(crate) fn hold_record(&mut self, held: bool) {
        if let State::Serving(serving) = &mut self.state {
            serving.record_held = held;
        }
    }

    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        match &mut self.state {
            State::TakingOver(take_over) => take_over.tick(context),
            State::Serving(serving) => serving.tick(context),
            State::Deleting(deletion) => deletion.tick(context),
            State::Waiting => self.restart |= core::mem::take(&mut self.restart_later),
            State::Halted(_) | State::Gone => {}
        }
    }

    pub(crate) fn wants_tick(&self) -> bool {
        match &self.state {
            State::TakingOver(take_over) => take_over.wants_tick(),
            State::Serving(serving) => !serving.retries.is_empty(),
            State::Deleting(deletion) => deletion.wants_tick(),
            State::Waiting => self.restart_later,
            State::Halted(_) | State::Gone => false,
        }
    }

    pub(crate) fn write_mark(&mut self, context: &mut Context<'_>) {
        if let State::Serving(serving) = &mut self.state {
            serving.write_mark(context);
        }
    }

    /// Management asks to push everything; whether it could be noted.
    pub(crate) fn push(&mut self, node: NodeId, request: u64) -> bool {
        if let State::Serving(serving) = &mut self.state {
            serving.push(node, request);
            return true;
        }
        false
    }

    /// Whether it is to be taken over anew, once.
    pub(crate) fn take_restart(&mut self) -> bool {
        core::mem::take(&mut self.restart)
    }

    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        matches!(&self.state, State::Serving(serving) if serving.sessions.contains_key(&session))
    }

    /// Whether it is on its way out: no longer a vDisk to anybody.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Deleting(_) | State::Gone)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    pub(crate) fn wants_sco_block(&self) -> bool {
        match &self.state {
            State::TakingOver(take_over) => take_over.wants_sco_block(),
            State::Serving(serving) => serving.log.wants_block(),
            State::Waiting | State::Halted(_) | State::Deleting(_) | State::Gone => false,
        }
    }

    pub(crate) fn sco_block_taken(&mut self, first: u64, context: &mut Context<'_>) {
        match &mut self.state {
            State::TakingOver(take_over) => take_over.sco_block_taken(first, context),
            State::Serving(serving) => serving.log.block_taken(first),
            State::Waiting | State::Halted(_) | State::Deleting(_) | State::Gone => {}
        }
    }

    pub(crate) fn may_want_room(&self) -> bool {
        match &self.state {
            State::Serving(serving) => !serving.queue.is_empty() || !serving.local.is_empty(),
            _ => false,
        }
    }

    /// Its record, when that may be changed: nothing of it is in doubt. One whose take-over waits for OSDs may be
    /// deleted, and nothing else.
    pub(crate) fn record_to_change(&self, to_delete: bool) -> Option<&VdiskRecord> {
        match &self.state {
            // In the turn in which a change of its own was answered, it alone knows it.
            State::Serving(serving) => Some(&serving.record),
            State::Halted(_) => Some(&self.record),
            State::TakingOver(take_over) if to_delete && take_over.waits_for().is_some() => {
                take_over.known_record()
            }
            _ => None,
        }
    }

    /// What management is told that asks for more than a vDisk in this state does: to ask again while it is being
    /// taken over, unless that waits for others.
    pub(crate) fn refusal(&self) -> AdminAnswer {
        let waits = matches!(&self.state, State::TakingOver(take_over) if take_over.waits_for().is_some());
        let name = &self.record.name;
        match self.serves() {
            Serves::NotYet(why) if !waits => AdminAnswer::NotYet(alloc::format!("vDisk {name} is {why}")),
            Serves::NotYet(why) => AdminAnswer::Failed(alloc::format!("vDisk {name} is {why}")),
            Serves::No(why) => AdminAnswer::Failed(alloc::format!("vDisk {name} does not serve: {why}")),
            Serves::Yes => AdminAnswer::NotYet(alloc::format!("vDisk {name} is busy; try again")),
        }
    }

    pub(crate) fn size(&self) -> ByteCount {
        self.record.size
    }

    pub(crate) fn local_bytes(&self) -> u64 {
        match &self.state {
            State::Serving(serving) => serving.local_bytes(),
            _ => 0,
        }
    }

    /// Bytes that the write buffer holds and the ASDs lack.
    pub(crate) fn buffered(&self) -> u64 {
        match &self.state {
            State::Serving(serving) => serving.buffered().0,
            _ => 0,
        }
    }

    pub(crate) fn status(&self) -> VdiskStatus {
        let mut status = VdiskStatus {
            vdisk: self.id,
            name: self.record.name.clone(),
            size: self.record.size,
            generation: self.record.generation,
            stored: ByteCount(0),
            unsafe_bytes: ByteCount(0),
            serves: self.serves(),
            lost: Vec::new(),
        };
        if let State::Serving(serving) = &self.state {
            status.stored = ByteCount(serving.stored_clusters() * CLUSTER_BYTES);
            status.unsafe_bytes = serving.unsafe_bytes();
            status.lost = serving.lost_ranges().in_bytes();
        }
        status
    }

    pub(crate) fn serves(&self) -> Serves {
        match &self.state {
            State::Serving(_) => Serves::Yes,
            State::Halted(why) => Serves::No(why.clone()),
            State::TakingOver(take_over) => Serves::NotYet(being_taken_over(take_over.waits_for())),
            State::Waiting => Serves::NotYet(being_taken_over(None)),
            State::Deleting(_) | State::Gone => Serves::No("being deleted".to_string()),
        }
    }

    pub(crate) fn check_invariants(&self) {
        if let State::Serving(serving) = &self.state {
            serving.check_invariants();
        }
    }
}

/// What is said of a vDisk that doesn't serve yet.
fn being_taken_over(waits_for: Option<String>) -> String {
    let why = waits_for.map(|why| alloc::format!(": {why}"));
    alloc::format!("being taken over{}", why.unwrap_or_default())
}

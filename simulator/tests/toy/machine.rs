//! The node.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::guest::{GuestAnswer, GuestBody, GuestReply};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, NodeId, VdiskId};
use step::{
    DiskError, DiskOperation, DiskOutcome, Effects, FileName, Machine, OperationId, TimerId, Timestamp,
};

use super::SIZE;
use super::log::{Change, replay};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    Nothing,
    AcknowledgeBeforeWrite,
    FlushWithoutSync,
    TornTailAccepted,
    HolesInTheLog,
    DiscardNotLogged,
    OldReads,
    FlippedBit,
    AnswersSwapped,
    NeverAnswers,
    NoBound,
    SyncTriedAgain,
    /// Whom it owes an answer for longer than [`LONG`], by its clock, it takes for gone.
    TrustsItsClock,
}

/// Nobody waits so long, but where a clock leaps.
const LONG: Duration = Duration::from_secs(5);

/// What waits for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// A change: it is in the log when its write has ended.
    Change { is_written: bool, fua: bool },
    /// A read, with its answer.
    Read(GuestAnswer),
    /// A flush.
    Flush,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toy {
    bug: Bug,
    image: Vec<u8>,
    older: Vec<u8>,
    ready: bool,
    log: FileName,
    lives: u64,
    end: u64,
    number: u64,
    /// In the order of the log: who asked, under which number.
    entries: VecDeque<(u64, NodeId, u64, Entry)>,
    tickets: u64,
    /// Operations on the disk, kept to be tried again when the disk is full.
    disk: BTreeMap<u64, (DiskOperation, Then)>,
    operations: u64,
    waiting: Vec<Message>,
    reads: u64,
    swapped: Option<(NodeId, GuestReply)>,
    /// When something happened last.
    last: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Then {
    Listed,
    Recovered(Option<FileName>),
    Created(Option<FileName>),
    Snapshot(Option<FileName>),
    SnapshotSynced(Option<FileName>),
    Deleted,
    Written(u64),
    Synced(Vec<(NodeId, u64)>),
}

impl Machine for Toy {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        let is_long = self.last.replace(now).is_some_and(|last| now.since(last) > LONG);
        if self.bug == Bug::TrustsItsClock && is_long {
            self.entries.clear();
        }
        match event {
            Event::Start { .. } => self.start(DiskOperation::List, Then::Listed, effects),
            Event::Message { from, message } => self.on_message(from, message, effects),
            Event::Disk { operation, result } => {
                let (what, then) = self.disk.remove(&operation.0).expect("it was asked for");
                match result {
                    Ok(outcome) => self.on_disk(then, outcome, effects),
                    Err(DiskError::Full) => {
                        self.disk.insert(operation.0, (what, then));
                        effects.push(Effect::SetTimer {
                            timer: TimerId(operation.0),
                            after: Duration::from_millis(10),
                        });
                    }
                    Err(_)
                        if self.bug == Bug::SyncTriedAgain && matches!(what, DiskOperation::Sync { .. }) =>
                    {
                        self.start(what, then, effects);
                    }
                    Err(error) => effects.push(Effect::Halt { reason: format!("{what:?}: {error:?}") }),
                }
            }
            Event::Timer(timer) => {
                let (what, then) = self.disk.remove(&timer.0).expect("it waits");
                self.start(what, then, effects);
            }
            Event::Worked { .. } | Event::TurnEnd => {}
        }
    }
}

impl Toy {
    pub(crate) fn new(bug: Bug) -> Self {
        Toy {
            bug,
            image: vec![0; SIZE as usize],
            older: vec![0; SIZE as usize],
            ready: false,
            log: name(0),
            lives: 0,
            end: 0,
            number: 0,
            entries: VecDeque::new(),
            tickets: 0,
            disk: BTreeMap::new(),
            operations: 0,
            waiting: Vec::new(),
            reads: 0,
            swapped: None,
            last: None,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.entries.len() + if self.bug == Bug::NoBound { self.reads as usize } else { 0 }
    }

    fn start(&mut self, what: DiskOperation, then: Then, effects: &mut Effects<Effect>) {
        self.operations += 1;
        self.disk.insert(self.operations, (what.clone(), then));
        effects.push(Effect::Disk { operation: OperationId(self.operations), what });
    }

    fn on_disk(&mut self, then: Then, outcome: DiskOutcome, effects: &mut Effects<Effect>) {
        match (then, outcome) {
            (Then::Listed, DiskOutcome::Listed(files)) => match files.first() {
                Some(&(file, length)) => {
                    // The oldest is the one to trust: a newer one is deleted before another life writes it.
                    self.lives = number(&file);
                    let what = DiskOperation::Read { file, offset: 0, length };
                    self.start(what, Then::Recovered(Some(file)), effects);
                }
                None => self.begin_log(None, effects),
            },
            (Then::Recovered(old), DiskOutcome::Read(log)) => {
                let checks = self.bug != Bug::TornTailAccepted;
                self.image = replay(&log, checks, self.bug != Bug::HolesInTheLog);
                self.older = self.image.clone();
                self.begin_log(old, effects);
            }
            (Then::Created(old), _) => {
                let data = Some(Bytes::copy_from_slice(&self.image));
                let record = Change { offset: 0, length: SIZE, data }.encode(1);
                (self.number, self.end) = (1, record.len() as u64);
                let what = DiskOperation::Write { file: self.log, offset: 0, pieces: vec![record] };
                self.start(what, Then::Snapshot(old), effects);
            }
            (Then::Snapshot(old), _) => {
                self.start(DiskOperation::Sync { file: self.log }, Then::SnapshotSynced(old), effects);
            }
            (Then::SnapshotSynced(Some(old)), _) => {
                self.start(DiskOperation::Delete { file: old }, Then::Deleted, effects);
            }
            (Then::SnapshotSynced(None) | Then::Deleted, _) => self.serve(effects),
            (Then::Written(ticket), _) => {
                for (waiting, _, _, entry) in &mut self.entries {
                    if let (true, Entry::Change { is_written, .. }) = (*waiting == ticket, entry) {
                        *is_written = true;
                    }
                }
                self.answer(effects);
            }
            (Then::Synced(requests), _) => {
                for (from, request) in requests {
                    reply(from, request, GuestAnswer::Done, effects);
                }
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn begin_log(&mut self, old: Option<FileName>, effects: &mut Effects<Effect>) {
        self.log = name(self.lives + 1);
        self.start(DiskOperation::Create { file: self.log }, Then::Created(old), effects);
    }

    fn serve(&mut self, effects: &mut Effects<Effect>) {
        self.ready = true;
        for message in core::mem::take(&mut self.waiting) {
            self.on_message(NodeId(1000), message, effects);
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        if !self.ready {
            return self.waiting.push(message);
        }
        match message {
            Message::Admin(request) => {
                let answer = AdminReply { request: request.request, body: AdminAnswer::Done };
                effects.push(Effect::Send { to: from, message: Message::AdminReply(answer) });
            }
            Message::Guest(request) => self.on_guest(from, request.request, request.body, effects),
            _ => {}
        }
    }

    fn on_guest(&mut self, from: NodeId, request: u64, body: GuestBody, effects: &mut Effects<Effect>) {
        if self.bug == Bug::NeverAnswers && request % 200 == 199 {
            return;
        }
        match body {
            GuestBody::Attach { .. } => {
                let answer = GuestAnswer::Attached { vdisk: VdiskId(1), size: ByteCount(SIZE) };
                reply(from, request, answer, effects);
            }
            GuestBody::Read { offset, length, .. } => {
                let answer = self.read(offset as usize, length as usize);
                self.enter(from, request, Entry::Read(answer));
            }
            GuestBody::Write { offset, fua, payload, .. } => {
                let data = payload.contiguous();
                self.change(
                    from,
                    request,
                    fua,
                    Change { offset, length: data.len() as u64, data: Some(data) },
                    effects,
                );
            }
            GuestBody::Discard { offset, length, fua, .. } => {
                self.change(from, request, fua, Change { offset, length, data: None }, effects);
            }
            GuestBody::Flush { .. } => {
                self.enter(from, request, Entry::Flush);
            }
            GuestBody::Extents { length, .. } => {
                self.enter(from, request, Entry::Read(GuestAnswer::Extents(vec![(length, true)])));
            }
            GuestBody::List => {}
        }
        self.answer(effects);
    }

    fn read(&mut self, offset: usize, length: usize) -> GuestAnswer {
        self.reads += 1;
        let is_old = self.bug == Bug::OldReads && self.reads.is_multiple_of(16);
        let image = if is_old { &self.older } else { &self.image };
        let mut data = image[offset..offset + length].to_vec();
        if self.bug == Bug::FlippedBit && self.reads.is_multiple_of(64) {
            data[length / 2] ^= 1;
        }
        GuestAnswer::Data(Payload::entering(data.into()))
    }

    fn enter(&mut self, from: NodeId, request: u64, entry: Entry) -> u64 {
        self.tickets += 1;
        self.entries.push_back((self.tickets, from, request, entry));
        self.tickets
    }

    fn change(
        &mut self,
        from: NodeId,
        request: u64,
        fua: bool,
        change: Change,
        effects: &mut Effects<Effect>,
    ) {
        let before = self.image.clone();
        change.apply(&mut self.image);
        self.older = before;
        if self.bug == Bug::DiscardNotLogged && change.data.is_none() {
            return reply(from, request, GuestAnswer::Done, effects);
        }
        let ticket = if self.bug == Bug::AcknowledgeBeforeWrite && !fua {
            reply(from, request, GuestAnswer::Done, effects);
            0
        } else {
            self.enter(from, request, Entry::Change { is_written: false, fua })
        };
        self.number += 1;
        let record = change.encode(self.number);
        let (file, offset) = (self.log, self.end);
        self.end += record.len() as u64;
        self.start(
            DiskOperation::Write { file, offset, pieces: vec![record] },
            Then::Written(ticket),
            effects,
        );
    }

    /// Answers what is in front and through.
    fn answer(&mut self, effects: &mut Effects<Effect>) {
        let mut synced = Vec::new();
        while let Some((_, from, request, entry)) = self.entries.front().cloned() {
            match entry {
                Entry::Change { is_written: false, .. } => break,
                Entry::Change { fua: false, .. } => reply(from, request, GuestAnswer::Done, effects),
                Entry::Read(answer) => self.answer_read(from, request, answer, effects),
                Entry::Flush | Entry::Change { .. } => synced.push((from, request)),
            }
            self.entries.pop_front();
        }
        if synced.is_empty() {
            return;
        }
        if self.bug == Bug::FlushWithoutSync {
            return synced
                .into_iter()
                .for_each(|(from, request)| reply(from, request, GuestAnswer::Done, effects));
        }
        self.start(DiskOperation::Sync { file: self.log }, Then::Synced(synced), effects);
    }

    fn answer_read(
        &mut self,
        from: NodeId,
        request: u64,
        answer: GuestAnswer,
        effects: &mut Effects<Effect>,
    ) {
        let another = self.entries.iter().skip(1).any(|(_, _, _, entry)| matches!(entry, Entry::Read(_)));
        if self.bug == Bug::AnswersSwapped && another && self.swapped.is_none() {
            self.swapped = Some((from, GuestReply { request, body: answer }));
        } else if let Some((other, swapped)) = self.swapped.take() {
            reply(other, swapped.request, answer, effects);
            reply(from, request, swapped.body, effects);
        } else {
            reply(from, request, answer, effects);
        }
    }
}

fn reply(to: NodeId, request: u64, body: GuestAnswer, effects: &mut Effects<Effect>) {
    effects.push(Effect::Send { to, message: Message::GuestReply(GuestReply { request, body }) });
}

fn name(life: u64) -> FileName {
    FileName::new(format_args!("log-{life:08}"))
}

fn number(file: &FileName) -> u64 {
    file.as_str().trim_start_matches("log-").parse().expect("our names")
}

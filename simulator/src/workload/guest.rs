//! A guest: a node beside its Edge that reads and writes its vDisk, and writes its history down.

use std::collections::BTreeMap;

use core::time::Duration;

use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest};
use formats::message::guest::{GuestAnswer, GuestBody, GuestError, GuestReply, GuestRequest};
use formats::{Message, Payload};
use glossary::{ByteCount, NodeId, VdiskId};

use super::growth::Growth;
use super::history::{History, Outcome, Request};
use super::pattern;
use super::profile::{Action, Profile};
use crate::cluster::GuestSpec;
use crate::{Moment, Random};

/// What a guest is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing new.
    Rest,
    /// So many operations of its profile.
    Work(u32),
    /// One FLUSH.
    Flush,
    /// Reads everything from here on, in order.
    Audit(u64),
}

/// Where a guest stands with its Edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its vDisk isn't known to be there.
    Unmade,
    /// It asks for its vDisk to be made.
    Making,
    /// It waits for the Edge to live.
    Alone,
    /// It asked to be attached, under this number of its history.
    Attaching(u64),
    /// It may ask for anything.
    Attached(VdiskId),
}

/// A guest.
pub struct Guest {
    /// Its number among the nodes.
    pub id: NodeId,
    /// Whom it talks to, and about what.
    pub spec: GuestSpec,
    /// What it did.
    pub history: History,
    /// What it does.
    pub task: Task,
    profile: Profile,
    depth: usize,
    state: State,
    /// The size of its vDisk, as it saw it last.
    size: u64,
    growth: Growth,
    /// Room that it has not looked at since its vDisk grew: from, length.
    unseen: Option<(u64, u64)>,
    pending: BTreeMap<u64, u64>,
    requests: u64,
    at: u64,
    random: Random,
    outbox: Vec<(NodeId, Message)>,
}

/// Bytes that an audit reads at once.
const AUDIT_BYTES: u64 = 64 << 10;

impl Guest {
    /// A guest of a vDisk that isn't there yet, and how that grows.
    pub(crate) fn new(
        id: NodeId,
        spec: GuestSpec,
        profile: Profile,
        growth: Growth,
        mut random: Random,
    ) -> Self {
        let depth = *random.pick(&[1, 2, 4, 8, 16, 32]);
        let history = History::new(spec.size_bytes, id.0);
        Guest {
            id,
            size: spec.size_bytes,
            growth,
            unseen: None,
            spec,
            history,
            task: Task::Rest,
            profile,
            depth,
            state: State::Unmade,
            pending: BTreeMap::new(),
            requests: 0,
            at: 0,
            random,
            outbox: Vec::new(),
        }
    }

    /// Whether it waits for nothing and has nothing left to do.
    pub fn is_idle(&self) -> bool {
        let is_through = match self.task {
            Task::Rest | Task::Work(0) => true,
            Task::Work(_) | Task::Flush => false,
            Task::Audit(from) => from >= self.size,
        };
        is_through && self.pending.is_empty() && matches!(self.state, State::Attached(_))
    }

    /// How many operations have been asked for.
    pub fn operations(&self) -> usize {
        self.history.operations.len()
    }

    /// Its vDisk, once it is attached.
    pub fn vdisk(&self) -> Option<VdiskId> {
        if let State::Attached(vdisk) = self.state { Some(vdisk) } else { None }
    }

    /// How often it saw its vDisk larger than before.
    pub fn growths(&self) -> u32 {
        self.growth.seen
    }

    /// What it wants to send.
    pub fn take_outbox(&mut self) -> Vec<(NodeId, Message)> {
        core::mem::take(&mut self.outbox)
    }

    /// The time has come that [`Guest::rests`] asked for: it asks again for what had no answer, or goes on.
    pub fn on_alarm(&mut self, now: Moment, edge_lives: bool) {
        match self.state {
            State::Unmade | State::Making => self.make(),
            State::Alone if edge_lives => self.attach(now),
            State::Alone | State::Attaching(_) => {}
            State::Attached(_) => self.go_on(now),
        }
    }

    /// How long until the next alarm.
    pub fn rests(&mut self) -> Duration {
        match self.state {
            State::Attached(_) => self.random.microseconds(50, 3_000),
            _ => self.random.microseconds(20_000, 100_000),
        }
    }

    /// The Edge died, and with it what it had no answer for.
    pub fn on_edge_died(&mut self, now: Moment) {
        self.history.edge_died(now);
        self.pending.clear();
        if !matches!(self.state, State::Unmade | State::Making) {
            self.state = State::Alone;
        }
    }

    /// A message came.
    pub fn on_message(&mut self, now: Moment, message: Message) {
        match message {
            Message::AdminReply(reply) => self.on_managed(now, &reply),
            Message::GuestReply(reply) => self.on_reply(now, reply),
            _ => {}
        }
    }

    fn make(&mut self) {
        self.state = State::Making;
        self.requests += 1;
        let body =
            AdminBody::CreateVdisk { name: self.spec.vdisk.clone(), size: ByteCount(self.spec.size_bytes) };
        let request = AdminRequest { request: self.requests, body };
        self.outbox.push((self.spec.volume_driver, Message::Admin(request)));
    }

    fn on_managed(&mut self, now: Moment, reply: &AdminReply) {
        // An answer to an attempt may be lost: then the next one is told that the name is taken. Whether the
        // vDisk is there is settled by the attachment.
        if self.state == State::Making && matches!(reply.body, AdminAnswer::Done | AdminAnswer::Failed(_)) {
            self.state = State::Alone;
        }
        self.growth.answered(now, reply.request, &reply.body);
        self.go_on(now);
    }

    /// Has its vDisk grow, when the time has come.
    fn grow(&mut self) {
        if let Some(size) = self.growth.wanted(self.operations(), self.size, self.requests + 1) {
            self.requests += 1;
            let body = AdminBody::ResizeVdisk { name: self.spec.vdisk.clone(), size: ByteCount(size) };
            let request = AdminRequest { request: self.requests, body };
            self.outbox.push((self.spec.volume_driver, Message::Admin(request)));
        }
    }

    fn attach(&mut self, now: Moment) {
        let number = self.history.sent(now, Request::Attach);
        self.state = State::Attaching(number);
        self.ask(number, GuestBody::Attach { name: self.spec.vdisk.clone() });
    }

    fn ask(&mut self, number: u64, body: GuestBody) {
        self.requests += 1;
        self.pending.insert(self.requests, number);
        let message = Message::Guest(GuestRequest { request: self.requests, body });
        self.outbox.push((self.spec.edge, message));
    }

    fn on_reply(&mut self, now: Moment, reply: GuestReply) {
        let Some(number) = self.pending.remove(&reply.request) else { return };
        let request = self.history.operations[number as usize - 1].request;
        if request == Request::Attach {
            return self.on_attached(now, number, reply.body);
        }
        self.history.ended(now, number, outcome(&request, reply.body));
        self.go_on(now);
    }

    fn on_attached(&mut self, now: Moment, number: u64, answer: GuestAnswer) {
        match answer {
            GuestAnswer::Attached { vdisk, size } if self.is_right(number, size.0) => {
                self.history.ended(now, number, Outcome::Done);
                self.state = State::Attached(vdisk);
                if size.0 > self.size {
                    self.unseen = Some((self.size, size.0 - self.size));
                    (self.size, self.history.size) = (size.0, size.0);
                }
                self.go_on(now);
            }
            GuestAnswer::Failed(GuestError::NotFound) => {
                self.history.ended(now, number, Outcome::Failed(GuestError::NotFound));
                self.state = State::Unmade;
            }
            GuestAnswer::Failed(error) => {
                self.history.ended(now, number, Outcome::Failed(error));
                self.state = State::Alone;
            }
            GuestAnswer::Attached { .. } => {
                self.history.ended(now, number, Outcome::Nonsense("a size that the vDisk can't have"));
            }
            _ => self.history.ended(now, number, Outcome::Nonsense("not an answer to an attachment")),
        }
    }

    /// Whether its vDisk can have this size for an attachment.
    fn is_right(&mut self, number: u64, size: u64) -> bool {
        let sent = self.history.operations[number as usize - 1].sent;
        self.growth.attached(sent, self.size, size)
    }

    /// Asks for more, up to its depth.
    fn go_on(&mut self, now: Moment) {
        let State::Attached(vdisk) = self.state else { return };
        if self.growth.is_to_be_seen() {
            // As a client does: a connection keeps the size that it began with.
            return self.attach(now);
        }
        if matches!(self.task, Task::Work(_)) {
            self.grow();
        }
        while self.pending.len() < self.depth {
            if let Some((offset, length)) = self.unseen.take() {
                self.begin(now, vdisk, Request::Read { offset, length });
                continue;
            }
            match self.task {
                Task::Audit(from) if from < self.size => {
                    let length = AUDIT_BYTES.min(self.size - from);
                    self.task = Task::Audit(from + length);
                    self.begin(now, vdisk, Request::Read { offset: from, length });
                }
                Task::Flush => {
                    self.task = Task::Rest;
                    self.begin(now, vdisk, Request::Flush);
                }
                Task::Work(left @ 1..) => {
                    self.task = Task::Work(left - 1);
                    let request = self.draw();
                    self.begin(now, vdisk, request);
                    if self.random.chance(1_500) {
                        return; // it thinks
                    }
                }
                _ => return,
            }
        }
    }

    fn draw(&mut self) -> Request {
        let random = &mut self.random;
        let action = self.profile.action(random);
        if action == Action::Flush {
            return Request::Flush;
        }
        let (offset, length) = self.profile.range(random, self.size, &mut self.at);
        let fua = self.profile.is_fua(random);
        match action {
            Action::Read => Request::Read { offset, length },
            Action::Write => Request::Write { offset, length, fua },
            Action::Discard => Request::Discard { offset, length, fua },
            Action::Extents => Request::Extents { offset, length },
            Action::Flush => unreachable!("it was dealt with"),
        }
    }

    fn begin(&mut self, now: Moment, vdisk: VdiskId, request: Request) {
        let number = self.history.sent(now, request);
        let body = match request {
            Request::Read { offset, length } => GuestBody::Read { vdisk, offset, length },
            Request::Write { offset, length, fua } => {
                let payload =
                    Payload::entering(pattern::bytes(self.history.signature(number), offset, length));
                GuestBody::Write { vdisk, offset, fua, payload }
            }
            Request::Discard { offset, length, fua } => GuestBody::Discard { vdisk, offset, length, fua },
            Request::Flush => GuestBody::Flush { vdisk },
            Request::Extents { offset, length } => GuestBody::Extents { vdisk, offset, length },
            Request::Attach => unreachable!("attachments go their own way"),
        };
        self.ask(number, body);
    }
}

/// What an answer means, when it is one to the request.
fn outcome(request: &Request, answer: GuestAnswer) -> Outcome {
    let range = request.range();
    match (request, answer) {
        (_, GuestAnswer::Failed(error)) => Outcome::Failed(error),
        (Request::Write { .. } | Request::Discard { .. } | Request::Flush, GuestAnswer::Done) => {
            Outcome::Done
        }
        (Request::Read { .. }, GuestAnswer::Data(payload)) => {
            if payload.len() as u64 != range.end - range.start {
                Outcome::Nonsense("a read of another length than asked for")
            } else if !payload.verify() {
                Outcome::Nonsense("data that doesn't have its checksums")
            } else {
                Outcome::Data(payload.contiguous())
            }
        }
        (Request::Extents { .. }, GuestAnswer::Extents(runs)) => {
            let covered: u64 = runs.iter().map(|(length, _)| length).sum();
            if covered == 0 || covered > range.end - range.start {
                Outcome::Nonsense("extents that don't fit the range")
            } else {
                Outcome::Extents(runs)
            }
        }
        _ => Outcome::Nonsense("an answer to something else"),
    }
}

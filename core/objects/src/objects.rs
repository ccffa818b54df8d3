//! The machine: events in, tasks moved on, effects out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use formats::message::admin::{AdminAnswer, AdminBody, AdminReply, AdminRequest, RoleStatus};
use formats::message::object::{ObjectAnswer, ObjectError, ObjectReply};
use formats::work::Done;
use formats::{Effect, Event, Message};
use glossary::NodeId;
use step::{Bug, Effects, JobId, Machine, Timestamp};

use crate::calls::Owner;
use crate::config::Config;
use crate::context::{Context, Hub, Job};
use crate::counters::Counter;
use crate::deadlines::Due;
use crate::join::Join;
use crate::task::{Askers, Entry, Next, Task};

/// An objects client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    config: Config,
    /// Nothing before the first event.
    life: Option<Life>,
}

/// What an objects client knows between a start and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) hub: Hub,
    pub(crate) tasks: BTreeMap<u64, Entry>,
    /// The task that answers a request.
    pub(crate) by_request: BTreeMap<(NodeId, u64), u64>,
    /// Uploads with chunks that wait for a permit, in order.
    pub(crate) uploads: VecDeque<u64>,
    /// Reads that wait for their turn, in order.
    pub(crate) reads: VecDeque<u64>,
    /// Reads that had their turn and aren't answered.
    pub(crate) reads_at_work: usize,
    /// The bytes that they asked for.
    pub(crate) read_bytes_at_work: u64,
    pub(crate) last_task: u64,
}

impl Objects {
    /// A client that knows nothing yet; it begins with [`step::Event::Start`].
    pub fn new(config: Config) -> Self {
        Objects { config, life: None }
    }
}

impl Machine for Objects {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        if let step::Event::Start { seed } = event {
            let mut life = Life::new(self.config.clone(), seed);
            life.start(now, effects);
            self.life = Some(life);
        } else if let Some(life) = &mut self.life {
            life.step(now, event, effects);
        }
    }
}

impl Life {
    fn new(config: Config, seed: [u8; 32]) -> Self {
        Life {
            hub: Hub::new(config, seed),
            tasks: BTreeMap::new(),
            by_request: BTreeMap::new(),
            uploads: VecDeque::new(),
            reads: VecDeque::new(),
            reads_at_work: 0,
            read_bytes_at_work: 0,
            last_task: 0,
        }
    }

    /// Asks every OSD whether it is there; what it holds is looked through later.
    fn start(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        for osd in 0..self.hub.osds.len() {
            self.on_probe_due(osd, &mut Turn { now, effects });
            self.hub.scan(osd, now);
        }
        self.hub.collect_at(now.after(self.hub.config.settings.collect_first));
    }

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        let turn = &mut Turn { now, effects };
        match event {
            step::Event::TurnEnd => {
                self.delete_garbage(turn);
                self.learn_later(turn);
                self.hub.deadlines.arm(now, self.hub.kv.next_due(), turn.effects);
                debug_assert_eq!(self.broken_invariant(), None);
                return;
            }
            step::Event::Message { from, message } => self.on_message(from, message, turn),
            step::Event::Worked { job, result } => self.on_worked(job, result, turn),
            step::Event::Timer(_) => self.on_timer(turn),
            // It has no disk, and a start is not for an old life.
            step::Event::Disk { .. } | step::Event::Start { .. } => return,
        }
        self.give_turns(turn);
    }

    fn on_message(&mut self, from: NodeId, message: Message, turn: &mut Turn<'_>) {
        match message {
            Message::Object(request) => self.on_request(from, request, turn),
            Message::AsdReply(reply) => self.on_asd_reply(from, reply, turn),
            Message::KvReply(reply) => self.on_kv_reply(from, reply, turn),
            Message::Admin(request) => self.on_admin(from, request, turn),
            // Nothing else is for an objects client.
            _ => {}
        }
    }

    fn on_admin(&mut self, from: NodeId, request: AdminRequest, turn: &mut Turn<'_>) {
        let body = if request.body == AdminBody::Status {
            let (osds, counters) = (self.hub.osds.states(), self.hub.counters.values().to_vec());
            AdminAnswer::Status(RoleStatus::Objects { osds, counters })
        } else {
            AdminAnswer::Failed("An objects client knows no vDisks; ask a volume driver.".to_string())
        };
        let message = Message::AdminReply(AdminReply { request: request.request, body });
        turn.effects.push(step::Effect::Send { to: from, message });
    }

    fn on_worked(&mut self, job: JobId, result: Done, turn: &mut Turn<'_>) {
        let job = job.0;
        match self.hub.jobs.remove(&job) {
            Some(Job::Encode { task, chunk }) => {
                let containers = match result {
                    Done::Encoded(containers) => Ok(containers),
                    Done::Damaged => {
                        self.hub.counters.add(Counter::DamagedPuts, 1);
                        Err(ObjectError::Lost)
                    }
                    Done::Reconstructed(_) | Done::Checked | Done::Impossible => Err(ObjectError::Condition),
                };
                self.run(task, turn, |task, cx| match task {
                    Task::Put(put) => put.on_encoded(cx, chunk, job, containers),
                    _ => Next::Wait,
                });
            }
            Some(Job::Reconstruct { task, segment }) => {
                let plaintext = match result {
                    Done::Reconstructed(mut blocks) => blocks.pop(),
                    Done::Encoded(_) | Done::Checked | Done::Damaged | Done::Impossible => None,
                };
                self.run(task, turn, |task, cx| match task {
                    Task::Get(get) => get.on_decoded(cx, segment, job, plaintext),
                    _ => Next::Wait,
                });
            }
            None => {}
        }
    }

    fn on_timer(&mut self, turn: &mut Turn<'_>) {
        self.hub.deadlines.on_timer();
        self.context(turn).resend_kv();
        while let Some(due) = self.hub.deadlines.pop(turn.now) {
            match due {
                Due::Call { request } => self.on_call_due(request, turn),
                Due::Probe { osd } => self.on_probe_due(osd, turn),
                Due::Doubt { osd } => self.on_doubt_due(osd, turn),
                Due::Hedge { task, segment } => self.run(task, turn, |task, cx| match task {
                    Task::Get(get) => get.on_hedge(cx, segment),
                    _ => Next::Wait,
                }),
                Due::Slack { task, chunk } => self.run(task, turn, |task, cx| match task {
                    Task::Put(put) => put.on_slack(cx, chunk),
                    _ => Next::Wait,
                }),
                Due::Garbage => {}
                Due::Collect => self.begin_collection(turn),
                Due::Scan => self.begin_scan(turn),
                Due::Members => self.ask_members(turn),
            }
        }
    }

    /// Lets tasks go on that waited for their turn.
    fn give_turns(&mut self, turn: &mut Turn<'_>) {
        self.give_permits(turn);
        while let Some(length) = self.next_read_length() {
            let Some(task) = self.reads.pop_front() else { return };
            self.reads_at_work += 1;
            self.read_bytes_at_work += length;
            self.run(task, turn, |task, cx| match task {
                Task::Get(get) => get.on_turn(cx),
                _ => Next::Wait,
            });
        }
    }

    /// How much the next read wants, when it may begin: there are bounds on how many there are and how much
    /// they want, but one that wants more than all may have its turn alone.
    fn next_read_length(&self) -> Option<u64> {
        let settings = &self.hub.config.settings;
        let Task::Get(get) = &self.tasks.get(self.reads.front()?)?.task else { return None };
        let fits = self.reads_at_work < settings.reads_in_flight_max
            && self.read_bytes_at_work.saturating_add(get.length()) <= settings.read_bytes_in_flight_max.0;
        (fits || self.reads_at_work == 0).then_some(get.length())
    }

    /// Lets chunks begin, in the order of their uploads.
    fn give_permits(&mut self, turn: &mut Turn<'_>) {
        while self.hub.chunk_permits > 0
            && let Some(task) = self.uploads.front().copied()
        {
            let wants = matches!(self.tasks.get(&task), Some(Entry { task: Task::Put(put), .. }) if put.wants_permit());
            if !wants {
                self.uploads.pop_front();
                continue;
            }
            self.run(task, turn, |task, cx| match task {
                Task::Put(put) => put.on_permit(cx),
                _ => Next::Wait,
            });
        }
    }

    /// Lets something happen to a task, and does what follows. A task that is over lets nothing happen.
    pub(crate) fn run(
        &mut self,
        id: u64,
        turn: &mut Turn<'_>,
        change: impl FnOnce(&mut Task, &mut Context<'_>) -> Next,
    ) {
        let Some(entry) = self.tasks.get_mut(&id) else { return };
        let mut cx = Context { hub: &mut self.hub, now: turn.now, effects: turn.effects };
        match change(&mut entry.task, &mut cx) {
            Next::Wait => {}
            Next::Answer(answer) => {
                self.answer(id, answer, turn);
                self.tasks.remove(&id);
            }
            Next::AnswerAndJoin(answer, join) => {
                self.answer(id, answer, turn);
                self.begin_join(id, join, turn);
            }
            Next::End => {
                self.tasks.remove(&id);
            }
        }
    }

    /// An upload that was answered goes on as a join, for which nobody waits.
    fn begin_join(&mut self, id: u64, mut join: Join, turn: &mut Turn<'_>) {
        match join.go_on(&mut self.context(turn)) {
            Next::End => {
                self.tasks.remove(&id);
            }
            Next::Wait | Next::Answer(_) | Next::AnswerAndJoin(..) => {
                let askers = Askers { node: NodeId::default(), requests: Vec::new() };
                self.tasks.insert(id, Entry { askers, task: Task::Join(join) });
            }
        }
    }

    fn answer(&mut self, id: u64, answer: ObjectAnswer, turn: &mut Turn<'_>) {
        if self.hub.has(Bug::ReplyMixedUp) {
            self.mix_up(id);
        }
        if matches!(answer, ObjectAnswer::Failed(ObjectError::Unavailable | ObjectError::Lost)) {
            self.hurry_probes(turn);
        }
        let Some(Entry { askers, task }) = self.tasks.get(&id) else { return };
        if let Task::Get(get) = task {
            self.reads_at_work -= 1;
            self.read_bytes_at_work -= get.length();
        }
        for request in &askers.requests {
            self.by_request.remove(&(askers.node, *request));
            let reply = ObjectReply { request: *request, body: answer.clone() };
            let message = Message::ObjectReply(reply);
            turn.effects.push(step::Effect::Send { to: askers.node, message });
        }
    }

    /// The planted mistake: two reads of one object swap their askers.
    fn mix_up(&mut self, id: u64) {
        let Some(Entry { task: Task::Get(get), .. }) = self.tasks.get(&id) else { return };
        let is_other = |entry: &Entry| matches!(&entry.task, Task::Get(other) if get.resembles(other));
        let other =
            self.tasks.iter().find(|(other, entry)| **other != id && is_other(entry)).map(|(id, _)| *id);
        let Some(mut second) = other.and_then(|other| self.tasks.remove(&other)) else { return };
        if let (Some(first), Some(other)) = (self.tasks.get_mut(&id), other) {
            core::mem::swap(&mut first.askers, &mut second.askers);
            self.tasks.insert(other, second);
        }
    }

    pub(crate) fn context<'a>(&'a mut self, turn: &'a mut Turn<'_>) -> Context<'a> {
        Context { hub: &mut self.hub, now: turn.now, effects: turn.effects }
    }

    /// The number of the first invariant (see the crate's head) that doesn't hold.
    fn broken_invariant(&self) -> Option<u8> {
        let (mut permits, mut late, mut reads, mut read_bytes) = (0, 0, 0, 0);
        for entry in self.tasks.values() {
            match &entry.task {
                Task::Put(put) => {
                    permits += put.permits();
                    late += put.late_fragments();
                }
                Task::Join(join) => late += join.late_fragments(),
                Task::Get(get) if get.waits_for_turn() => {}
                Task::Get(get) => (reads, read_bytes) = (reads + 1, read_bytes + get.length()),
                Task::Delete(_) | Task::Sweep(_) | Task::Inspect(_) => {}
                Task::Collect(_) | Task::Scan(_) => {}
            }
        }
        let settings = &self.hub.config.settings;
        let has_task = |owner: &Owner| match owner {
            Owner::Fragment { task, .. } => self.tasks.contains_key(task),
            Owner::Blocks { .. } | Owner::Sweep { .. } | Owner::Orphan { .. } => true,
            Owner::Garbage | Owner::Probe => true,
        };
        let holds = [
            permits + self.hub.chunk_permits == settings.chunks_in_flight_max,
            late == self.hub.late_fragments,
            (reads, read_bytes) == (self.reads_at_work, self.read_bytes_at_work)
                && reads <= settings.reads_in_flight_max.max(1)
                && (reads <= 1 || read_bytes <= settings.read_bytes_in_flight_max.0),
            self.hub.calls.owners().all(has_task),
            self.hub.manifests.is_consistent(),
        ];
        (1..).zip(holds).find(|(_, holds)| !holds).map(|(number, _)| number)
    }
}

/// The time, and the outbox.
pub(crate) struct Turn<'a> {
    pub(crate) now: Timestamp,
    pub(crate) effects: &'a mut Effects<Effect>,
}

//! A volume driver in a small world: a disk with the crash rules of `step`, a KV and a backend that always
//! answer in the end, and one client.

pub(crate) mod backend;
pub(crate) mod disk;
pub(crate) mod registry;

use disk::Disk;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, RoleStatus, VdiskStatus};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeRequest, Opening};
use formats::work::{Done, Work};
use formats::{Effect, Event, Message, Payload};
use glossary::{ByteCount, ClientId, Generation, NodeId, SessionId, VdiskName};
use registry::Registry;
use step::{Effects, Entropy, Machine, TimerId, Timestamp};
use volume::{Config, VolumeDriver};

pub(crate) const CLUSTER: u64 = 4096;
pub(crate) const SIZE: u64 = 96;
const DRIVER: NodeId = NodeId(1);
const KV: NodeId = NodeId(2);
const OBJECTS: NodeId = NodeId(3);
const EDGE: NodeId = NodeId(4);
const ADMIN: NodeId = NodeId(5);

/// The timer for asking which OSDs are gone.
const WATCH: TimerId = TimerId(u64::MAX);

/// What the client is told, by request.
pub(crate) type Answers = Vec<(u64, EdgeAnswer)>;

pub(crate) struct World {
    pub(crate) random: Entropy,
    now: Timestamp,
    driver: VolumeDriver,
    pub(crate) disk: Disk,
    pub(crate) registry: Registry,
    events: Vec<Event>,
    timers: Vec<(Timestamp, TimerId)>,
    pub(crate) answers: Answers,
    session: u64,
    /// The session to follow, and its generation, as the driver told last.
    newest: (SessionId, Generation),
    next_request: u64,
    pub(crate) halted: Option<String>,
    managed: Vec<AdminAnswer>,
    bug: Option<step::Bug>,
    /// The operator accepts what the write buffer lost.
    pub(crate) accept_loss: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<step::Bug>) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = Entropy::new(bytes);
        random.next_u64();
        let name = name();
        let mut world = World {
            random,
            now: Timestamp(0),
            driver: VolumeDriver::new(config(bug)),
            disk: Disk::default(),
            registry: Registry::new(
                &name,
                ByteCount(SIZE * CLUSTER),
                ByteCount(8 * CLUSTER),
                ByteCount(1 << 20),
            ),
            events: Vec::new(),
            timers: Vec::new(),
            answers: Vec::new(),
            session: 0,
            newest: (SessionId(0), Generation(0)),
            next_request: 1,
            halted: None,
            managed: Vec::new(),
            bug,
            accept_loss: false,
        };
        world.disk.put("identity", &registry::buffer_identity_file());
        world.restart();
        world
    }

    /// A new life of the driver on what its disk kept.
    pub(crate) fn restart(&mut self) {
        self.driver = VolumeDriver::new(Config { accept_loss: self.accept_loss, ..config(self.bug) });
        self.events.clear();
        self.timers.clear();
        self.answers.clear();
        let seed = self.random.next_bytes();
        self.step(Event::Start { seed });
    }

    /// Opens a session, asking until there is an answer; changes go on with this number.
    pub(crate) fn open(&mut self, first_change: u64) -> EdgeAnswer {
        self.session += 1;
        for _ in 0..1000 {
            let request = self.ask_open(first_change);
            for _ in 0..100 {
                self.go();
            }
            if let Some(index) = self.answers.iter().position(|(answered, _)| *answered == request) {
                let answer = self.answers.swap_remove(index).1;
                if !matches!(answer, EdgeAnswer::Failed(EdgeError::NotNewest { .. })) {
                    return answer;
                }
                self.session += 1;
            }
        }
        panic!("never opened: {:?}", self.halted);
    }

    fn ask_open(&mut self, first_change: u64) -> u64 {
        let (newest, generation) = self.newest;
        let body = EdgeBody::Open(Opening {
            name: VdiskName::new("disk1").expect("a name"),
            client: ClientId(7),
            newest,
            first_change,
            generation,
        });
        self.ask(body)
    }

    pub(crate) fn ask(&mut self, body: EdgeBody) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        let asked = EdgeRequest { session: SessionId(self.session), request, body };
        self.events.push(Event::Message { from: EDGE, message: Message::Edge(asked) });
        request
    }

    /// Management asks to push everything to the backend; goes on until that is done.
    pub(crate) fn push(&mut self) {
        self.manage(vec![AdminBody::SyncVdisk { name: name() }]);
    }

    /// Asks management's verbs, all at once, and goes on until each is done.
    pub(crate) fn manage(&mut self, verbs: Vec<AdminBody>) {
        let answers = self.answers_to(verbs);
        assert!(answers.iter().all(|answer| *answer == AdminAnswer::Done), "{answers:?}");
    }

    /// What management is told that asks these verbs, all at once.
    pub(crate) fn answers_to(&mut self, verbs: Vec<AdminBody>) -> Vec<AdminAnswer> {
        self.managed.clear();
        let all = verbs.len();
        for (request, body) in (0..).zip(verbs) {
            let asked = AdminRequest { request, body };
            self.events.push(Event::Message { from: ADMIN, message: Message::Admin(asked) });
        }
        while self.managed.len() < all {
            assert!(self.go(), "management's verbs end");
        }
        core::mem::take(&mut self.managed)
    }

    /// Asks again, as an Edge does that got no answer.
    pub(crate) fn ask_again(&mut self, request: u64, body: EdgeBody) {
        let asked = EdgeRequest { session: SessionId(self.session), request, body };
        self.events.push(Event::Message { from: EDGE, message: Message::Edge(asked) });
    }

    /// One thing happens: an event is delivered, a disk operation ends, or time passes.
    pub(crate) fn go(&mut self) -> bool {
        if !self.events.is_empty() && self.random.below(3) > 0 {
            // Messages of one sender may overtake each other, and several come in one turn.
            let mut turn = Vec::new();
            while turn.is_empty() || (!self.events.is_empty() && self.random.below(2) == 0) {
                let index = self.random.below(self.events.len() as u64) as usize;
                turn.push(self.events.swap_remove(index));
            }
            self.turn(turn);
        } else if let Some((operation, result)) = self.disk.finish_one(&mut self.random) {
            self.step(Event::Disk { operation, result });
        } else if let Some(event) = self.events.pop() {
            self.step(event);
        } else if let Some(index) = self.next_timer() {
            let (at, timer) = self.timers.swap_remove(index);
            self.now = self.now.max(at);
            self.step(Event::Timer(timer));
        } else {
            return false;
        }
        true
    }

    /// The next timer to run out, but for the watch's, which never ends: `watch` makes it ring.
    fn next_timer(&self) -> Option<usize> {
        let timers = (0..self.timers.len()).filter(|index| self.timers[*index].1 != WATCH);
        timers.min_by_key(|index| self.timers[*index])
    }

    /// The driver asks which OSDs are gone until it is told, and much of what follows happens.
    pub(crate) fn watch(&mut self) {
        for _ in 0..4 {
            self.step(Event::Timer(WATCH));
            for _ in 0..5_000 {
                self.go();
            }
        }
    }

    /// What the driver says of the vDisk.
    pub(crate) fn status(&mut self) -> VdiskStatus {
        self.managed.clear();
        let asked = AdminRequest { request: 0, body: AdminBody::Status };
        self.events.push(Event::Message { from: ADMIN, message: Message::Admin(asked) });
        while self.managed.is_empty() {
            self.go();
        }
        match self.managed.pop() {
            Some(AdminAnswer::Status(RoleStatus::VolumeDriver { mut vdisks, .. })) => vdisks.remove(0),
            other => panic!("no status: {other:?}"),
        }
    }

    /// Goes on until a request is answered.
    pub(crate) fn answer_to(&mut self, request: u64) -> Option<EdgeAnswer> {
        for _ in 0..100_000 {
            if let Some(index) = self.answers.iter().position(|(answered, _)| *answered == request) {
                return Some(self.answers.swap_remove(index).1);
            }
            if self.halted.is_some() || !self.go() {
                return None;
            }
        }
        None
    }

    /// Reads whole clusters; `None` when that fails.
    pub(crate) fn read(&mut self, from: u64, clusters: u64) -> Option<Payload> {
        let request = self.ask(EdgeBody::Read { offset: from * CLUSTER, length: clusters * CLUSTER });
        match self.answer_to(request)? {
            EdgeAnswer::Data(data) => {
                assert!(data.verify(), "what is read checks");
                Some(data)
            }
            _ => None,
        }
    }

    fn step(&mut self, event: Event) {
        self.turn(vec![event]);
    }

    /// Events that the driver takes at once.
    fn turn(&mut self, events: Vec<Event>) {
        let mut effects = Effects::new();
        for event in events.into_iter().chain([Event::TurnEnd]) {
            self.driver.step(self.now, event, &mut effects);
        }
        let list: Vec<Effect> = effects.drain().collect();
        list.into_iter().for_each(|effect| self.effect(effect));
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } if to == EDGE => {
                if let Message::EdgeReply(reply) = message {
                    match reply.body {
                        EdgeAnswer::Failed(EdgeError::NotNewest { newest }) => {
                            self.newest = (newest, reply.generation);
                        }
                        EdgeAnswer::Opened { .. } => self.newest = (reply.session, reply.generation),
                        _ => {}
                    }
                    self.answers.push((reply.request, reply.body));
                }
            }
            Effect::Send { to, message } if to == ADMIN => {
                if let Message::AdminReply(reply) = message {
                    self.managed.push(reply.body);
                }
            }
            Effect::Send { message, .. } => {
                let answer = self.registry.answer(message);
                // Answers are lost now and then: the driver asks again.
                if self.random.below(20) > 0 {
                    let from = if matches!(answer, Message::KvReply(_)) { KV } else { OBJECTS };
                    self.events.push(Event::Message { from, message: answer });
                }
            }
            Effect::Disk { operation, what } => self.disk.start(operation, what),
            Effect::SetTimer { timer, after } => {
                self.timers.retain(|(_, set)| *set != timer);
                self.timers.push((self.now.after(after), timer));
            }
            Effect::ClearTimer(timer) => self.timers.retain(|(_, set)| *set != timer),
            Effect::Halt { reason } => self.halted = Some(reason),
            Effect::Work { job, work: Work::Check(data) } => {
                let result = if data.verify() { Done::Checked } else { Done::Damaged };
                self.events.push(Event::Worked { job, result });
            }
            Effect::Work { .. } => unreachable!("a volume driver has no other work"),
        }
    }
}

fn config(bug: Option<step::Bug>) -> Config {
    // TLogs cover two SCOs of 8 clusters, and three are uploaded at once, so that everything happens in a short run.
    let (tlog_covers, upload_bytes_max) = (2 * 8 * CLUSTER, 3 * 8 * CLUSTER);
    Config { tlog_covers, upload_bytes_max, bug, ..Config::new(DRIVER, vec![KV], OBJECTS) }
}

/// The vDisk.
pub(crate) fn name() -> VdiskName {
    VdiskName::new("disk1").expect("a name")
}

//! An objects client among ASDs and a namespace manager in memory, over a network that can misbehave.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use formats::fragment::fragment_key;
use formats::message::admin::{AdminAnswer, AdminBody, AdminRequest, OsdState, RoleStatus};
use formats::message::kv::{KvBody, KvRequest};
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectReply, ObjectRequest};
use formats::namespace::ObjectName;
use formats::{Effect, Event, Message, Payload};
use glossary::{FragmentId, Generation, GroupId, NamespaceId, NodeId, OsdId, OsdIdentity, Policy, ScoId};
use objects::{COUNTERS, Config, Objects, OsdConfig, Settings, perform};
use step::{Effects, Entropy, JobId, Machine, Timestamp};

use crate::asd::FakeAsd;
use crate::namespaces::FakeKv;

pub(crate) const KV: NodeId = NodeId(1);
pub(crate) const DRIVER: NodeId = NodeId(2);
pub(crate) const NAMESPACE: NamespaceId = NamespaceId(9);
/// The group of the KV that hosts the namespaces.
pub(crate) const NAMESPACES: GroupId = GroupId(3);
const FIRST_ASD: u32 = 10;

/// How messages fare.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Of 1,000 messages, so many are lost.
    pub(crate) lost: u64,
    /// And so many come twice.
    pub(crate) doubled: u64,
    /// The longest way, beyond 100 us; messages overtake each other.
    pub(crate) jitter: Duration,
}

/// What is to happen, in order of time and then of its number.
enum Pending {
    Message { from: NodeId, to: NodeId, message: Message },
    Worked { life: u32, job: JobId, result: formats::work::Done },
    Timer { life: u32, number: u64 },
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) asds: Vec<FakeAsd>,
    pub(crate) kv: FakeKv,
    pub(crate) weather: Weather,
    /// Whether commands to the KV are held up, and those that are.
    pub(crate) holds_commands: bool,
    held: Vec<(NodeId, KvRequest)>,
    pub(crate) random: Entropy,
    pub(crate) config: Config,
    objects: Objects,
    life: u32,
    timer: u64,
    pending: BTreeMap<(Timestamp, u64), Pending>,
    last: u64,
    last_request: u64,
    answers: BTreeMap<u64, ObjectAnswer>,
    status: Option<RoleStatus>,
}

/// A small geometry: fragments of 4 clusters, blocks of 2.
pub(crate) fn config(osds: u32) -> Config {
    let osd = |number: u32| OsdConfig {
        osd: OsdId(number),
        node: NodeId(FIRST_ASD + number),
        identity: OsdIdentity([number as u8; 16]),
        storage_node: number,
    };
    let settings = Settings {
        fragment_bytes_max: glossary::ByteCount(4 * 4096),
        block_clusters: 2,
        ..Settings::default()
    };
    let (kv, osds) = (vec![KV], (0..osds).map(osd).collect());
    Config { kv, namespaces: NAMESPACES, osds, gone: Vec::new(), settings, bug: None }
}

impl World {
    pub(crate) fn new(osds: u32, policies: &[&str], seed: u64) -> Self {
        Self::with_config(config(osds), policies, seed)
    }

    pub(crate) fn with_config(config: Config, policies: &[&str], seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let policies: Vec<Policy> = policies.iter().map(|policy| policy.parse().expect("a policy")).collect();
        let mut kv = FakeKv::default();
        kv.create(NAMESPACE, &policies);
        let mut world = World {
            now: Timestamp(1_000_000_000),
            asds: config.osds.iter().map(|osd| FakeAsd::new(osd.identity)).collect(),
            kv,
            weather: Weather::default(),
            holds_commands: false,
            held: Vec::new(),
            random: Entropy::new(bytes),
            objects: Objects::new(config.clone()),
            config,
            life: 0,
            timer: 0,
            pending: BTreeMap::new(),
            last: 0,
            last_request: 0,
            answers: BTreeMap::new(),
            status: None,
        };
        world.restart();
        world.run_for(Duration::from_millis(1));
        world
    }

    /// The client's process dies and starts anew: it has lost its RAM.
    pub(crate) fn restart(&mut self) {
        self.objects = Objects::new(self.config.clone());
        self.life += 1;
        let seed = self.random.next_bytes();
        self.step(Event::Start { seed });
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.next_at().is_some_and(|at| at <= end) {
            self.happen();
        }
        self.now = end;
    }

    /// Sends a request and returns its number.
    pub(crate) fn send(&mut self, namespace: NamespaceId, body: ObjectBody) -> u64 {
        self.last_request += 1;
        self.send_as(self.last_request, namespace, body);
        self.last_request
    }

    pub(crate) fn send_as(&mut self, request: u64, namespace: NamespaceId, body: ObjectBody) {
        let message = Message::Object(ObjectRequest { request, namespace, body });
        self.post(DRIVER, NodeId::default(), message);
    }

    pub(crate) fn answer_to(&self, request: u64) -> Option<&ObjectAnswer> {
        self.answers.get(&request)
    }

    /// Waits up to a minute for the answer to a request.
    pub(crate) fn wait(&mut self, request: u64) -> ObjectAnswer {
        let end = self.now.after(Duration::from_secs(60));
        while !self.answers.contains_key(&request) && self.next_at().is_some_and(|at| at <= end) {
            self.happen();
        }
        self.answers.remove(&request).expect("an answer within a minute")
    }

    pub(crate) fn ask(&mut self, body: ObjectBody) -> ObjectAnswer {
        let request = self.send(NAMESPACE, body);
        self.wait(request)
    }

    /// Asks as a volume driver does: the same again until an answer comes, and anew where it says not now.
    pub(crate) fn insist(&mut self, body: ObjectBody) -> ObjectAnswer {
        use formats::message::object::ObjectError::{Full, Unavailable};
        for _ in 0..200 {
            let request = self.send(NAMESPACE, body.clone());
            let end = self.now.after(Duration::from_secs(30));
            while !self.answers.contains_key(&request) && self.now < end {
                self.run_for(Duration::from_millis(700));
                if !self.answers.contains_key(&request) {
                    self.send_as(request, NAMESPACE, body.clone());
                }
            }
            match self.answers.remove(&request) {
                Some(ObjectAnswer::Failed(Unavailable | Full)) | None => {
                    self.run_for(Duration::from_millis(300));
                }
                Some(answer) => return answer,
            }
        }
        panic!("no answer to {body:?}")
    }

    pub(crate) fn status(&mut self) -> (Vec<(OsdId, OsdState)>, BTreeMap<&'static str, u64>) {
        let message = Message::Admin(AdminRequest { request: 1, body: AdminBody::Status });
        self.step(Event::Message { from: DRIVER, message });
        match self.status.take() {
            Some(RoleStatus::Objects { osds, counters }) => {
                assert_eq!(counters.len(), COUNTERS.len());
                let counters = COUNTERS.iter().zip(counters).map(|((name, _), value)| (*name, value));
                (osds, counters.collect())
            }
            other => panic!("no status: {other:?}"),
        }
    }

    pub(crate) fn counter(&mut self, name: &str) -> u64 {
        self.status().1[name]
    }

    fn step(&mut self, event: Event) {
        let mut effects = Effects::new();
        for event in [event, Event::TurnEnd] {
            self.objects.step(self.now, event, &mut effects);
        }
        let effects: Vec<Effect> = effects.drain().collect();
        for effect in effects {
            self.take(effect);
        }
    }

    fn take(&mut self, effect: Effect) {
        let life = self.life;
        match effect {
            Effect::Send { message: Message::AdminReply(reply), .. } => match reply.body {
                AdminAnswer::Status(status) => self.status = Some(status),
                other => panic!("not a status: {other:?}"),
            },
            Effect::Send { to, message } => self.post(NodeId::default(), to, message),
            Effect::Work { job, work } => {
                let result = perform(work);
                self.plan(Duration::from_micros(300), Pending::Worked { life, job, result });
            }
            Effect::SetTimer { after, .. } => {
                self.timer += 1;
                self.plan(after, Pending::Timer { life, number: self.timer });
            }
            other => panic!("not an effect of an objects client: {other:?}"),
        }
    }

    fn post(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.post_after(Duration::ZERO, from, to, message);
    }

    fn post_after(&mut self, after: Duration, from: NodeId, to: NodeId, message: Message) {
        if self.random.below(1000) < self.weather.lost {
            return;
        }
        if self.random.below(1000) < self.weather.doubled {
            self.post_after(after, from, to, message.clone());
        }
        let jitter = self.random.below(self.weather.jitter.as_nanos() as u64 + 1);
        let delay = after + Duration::from_micros(100) + Duration::from_nanos(jitter);
        self.plan(delay, Pending::Message { from, to, message });
    }

    fn plan(&mut self, after: Duration, pending: Pending) {
        self.last += 1;
        self.pending.insert((self.now.after(after), self.last), pending);
    }

    fn next_at(&self) -> Option<Timestamp> {
        self.pending.first_key_value().map(|((at, _), _)| *at)
    }

    fn happen(&mut self) {
        let Some(((at, _), pending)) = self.pending.pop_first() else { return };
        self.now = at;
        match pending {
            Pending::Worked { life, job, result } if life == self.life => {
                self.step(Event::Worked { job, result });
            }
            Pending::Timer { life, number } if life == self.life && number == self.timer => {
                self.step(Event::Timer(step::TimerId(0)));
            }
            Pending::Worked { .. } | Pending::Timer { .. } => {}
            Pending::Message { from, to, message } => self.deliver(from, to, message),
        }
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: Message) {
        match (to, message) {
            (NodeId(0), message) => self.step(Event::Message { from, message }),
            (DRIVER, Message::ObjectReply(ObjectReply { request, body })) => {
                self.answers.insert(request, body);
            }
            (KV, Message::KvOf(of)) if of.group == NAMESPACES => self.deliver_to_kv(from, of.request),
            (asd, Message::Asd(request)) => {
                let of = &mut self.asds[(asd.0 - FIRST_ASD) as usize];
                let takes = of.takes(&request);
                if let Some(reply) = of.answer(request) {
                    self.post_after(takes, asd, from, Message::AsdReply(reply));
                }
            }
            (to, message) => panic!("{message:?} is not for {to}"),
        }
    }

    /// Commands that were held up get to the KV at last.
    pub(crate) fn release_commands(&mut self) {
        self.holds_commands = false;
        for (from, request) in std::mem::take(&mut self.held) {
            self.deliver_to_kv(from, request);
        }
    }

    fn deliver_to_kv(&mut self, from: NodeId, request: KvRequest) {
        if self.holds_commands && matches!(request.body, KvBody::Command { .. }) {
            self.held.push((from, request));
            return;
        }
        let before = self.kv.applied.len();
        if let Some(reply) = self.kv.answer(request) {
            self.post(KV, from, Message::KvReply(reply));
        }
        if self.kv.applied.len() > before {
            self.check_manifests();
        }
    }

    /// P7, P8: whatever a manifest names is on the ASD that it names; where a test took it away, it says so
    /// by leaving an empty value.
    pub(crate) fn check_manifests(&self) {
        for (key, osd) in self.named() {
            assert!(
                self.asds[osd.0 as usize].values.contains_key(&key),
                "a fragment is counted that isn't there"
            );
        }
    }

    /// The keys of the fragments that manifests name, and where they are.
    pub(crate) fn named(&self) -> Vec<(Vec<u8>, OsdId)> {
        let mut named = Vec::new();
        for ((namespace, _), manifest) in &self.kv.manifests {
            for (chunk, fragments) in (0..).zip(&manifest.chunks) {
                for (index, placed) in (0..).zip(fragments) {
                    if let Some(placed) = placed {
                        let (object, attempt) = (manifest.object, placed.attempt);
                        let id = FragmentId { object, chunk, index, attempt };
                        named.push((fragment_key(*namespace, &id), placed.osd));
                    }
                }
            }
        }
        named
    }

    /// All keys on all ASDs.
    pub(crate) fn stored(&self) -> usize {
        self.asds.iter().map(|asd| asd.values.len()).sum()
    }
}

pub(crate) fn sco(number: u64) -> ObjectName {
    ObjectName::Sco(ScoId(number))
}

/// Clusters that all differ, and differ for each salt.
pub(crate) fn data(clusters: usize, salt: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(clusters * 4096);
    for cluster in 0..clusters as u64 {
        let word = (cluster << 32 ^ salt).to_le_bytes();
        (0..512).for_each(|_| bytes.extend_from_slice(&word));
    }
    bytes.into()
}

pub(crate) fn put(name: ObjectName, bytes: &Bytes) -> ObjectBody {
    ObjectBody::Put {
        generation: Generation(1),
        name,
        present: Vec::new(),
        head: None,
        payload: Payload::entering(bytes.clone()),
    }
}

pub(crate) fn get(name: ObjectName, first: u64, count: u64) -> ObjectBody {
    ObjectBody::Get { name, offset: first * 4096, length: count * 4096 }
}

/// The bytes of an answer, which must be data with the checksums that go with it.
pub(crate) fn bytes_of(answer: &ObjectAnswer) -> Bytes {
    match answer {
        ObjectAnswer::Data(payload) => {
            assert!(payload.verify(), "data comes with its checksums");
            payload.contiguous()
        }
        other => panic!("no data: {other:?}"),
    }
}

//! The volume driver: the volumes of one node, and what they share.

mod discovery;
mod members;
mod watch;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, EdgeRequest};
use formats::message::kv::KvAnswer;
use formats::message::object::ObjectAnswer;
use formats::registry::ClusterRecord;
use formats::{Effect, Event, Message};
use glossary::{BufferIdentity, ByteCount, Generation, NodeId, OsdId, SessionId, VdiskId, VdiskName};
use step::{Effects, Entropy, Machine, OperationId, TimerId, Timestamp};

use crate::admin::Wish;
use crate::asks::Asks;
use crate::config::Config;
use crate::context::{Context, Purpose, VolumeAsk, vdisk_of};
use crate::counters::Counters;
use crate::record::RecordWish;
use crate::room::Room;
use crate::serving::ReplyTo;
use crate::volume::Volume;
use discovery::cluster_of;
use members::LEARN;
use watch::WATCH;

/// The timer for asking again; timers of volumes carry their id, which is never 0.
const TICK: TimerId = TimerId(0);

/// How often the driver looks for what is due, while anything is open.
const TICK_EVERY: core::time::Duration = core::time::Duration::from_millis(250);

/// What the driver itself asks the KV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverAsk {
    Cluster,
    Vdisks,
    /// A compare-and-set of the cluster's record for the first wish in the queue.
    Wish,
    /// The cluster's record changed under a wish: read it again.
    ClusterAgain,
    Record(crate::record::RecordChange),
    /// Which servers the KV has members on.
    Members,
}

/// Its own disk operations: the operation's number says which.
const READ_IDENTITY: OperationId = OperationId(1);
const LIST_FILES: OperationId = OperationId(2);
const DELETE_ORPHAN: OperationId = OperationId(3);

/// The volume driver role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeDriver {
    pub(crate) config: Config,
    entropy: Entropy,
    pub(crate) asks: Asks<Purpose>,
    pub(crate) room: Room,
    pub(crate) counters: Counters,
    pub(crate) buffer: Option<BufferIdentity>,
    pub(crate) cluster: Option<ClusterRecord>,
    pub(crate) volumes: BTreeMap<VdiskId, Volume>,
    pub(crate) names: BTreeMap<VdiskName, VdiskId>,
    /// Which vDisk a session is for.
    sessions: BTreeMap<SessionId, VdiskId>,
    /// Changes of the cluster's record that wait, the one under way first.
    pub(crate) wishes: VecDeque<Wish>,
    pub(crate) wish_asked: bool,
    /// Changes of vDisks' records that management asked for and that wait for one under way, in order.
    pub(crate) record_wishes: Vec<RecordWish>,
    touched: BTreeSet<VdiskId>,
    /// Volumes to be taken over once the files are listed.
    to_take_over: BTreeSet<VdiskId>,
    listing: bool,
    /// How often reading the write buffer's identity has failed.
    identity_failures: u32,
    /// It is to be read again at the next tick.
    identity_again: bool,
    ticking: bool,
    /// It will be asked where the KV's members are.
    learning: bool,
    /// The OSDs that are gone, when they are more than every object bears.
    gone: Vec<OsdId>,
}

impl VolumeDriver {
    /// A volume driver before its start.
    pub fn new(config: Config) -> Self {
        let wait = (config.retry_first, config.retry_max);
        VolumeDriver {
            asks: Asks::new((config.kv.clone(), config.namespaces), config.objects, 0, wait),
            config,
            entropy: Entropy::new([0; 32]),
            room: Room::default(),
            counters: Counters::new(),
            buffer: None,
            cluster: None,
            volumes: BTreeMap::new(),
            names: BTreeMap::new(),
            sessions: BTreeMap::new(),
            wishes: VecDeque::new(),
            wish_asked: false,
            record_wishes: Vec::new(),
            touched: BTreeSet::new(),
            to_take_over: BTreeSet::new(),
            listing: false,
            identity_failures: 0,
            identity_again: false,
            ticking: false,
            learning: false,
            gone: Vec::new(),
        }
    }

    fn start(&mut self, seed: [u8; 32], effects: &mut Effects<Effect>) {
        self.entropy = Entropy::new(seed);
        let wait = (self.config.retry_first, self.config.retry_max);
        let kv = (self.config.kv.clone(), self.config.namespaces);
        self.asks = Asks::new(kv, self.config.objects, self.entropy.next_u64(), wait);
        Self::read_identity(effects);
    }

    fn message(&mut self, now: Timestamp, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        match message {
            Message::Edge(request) => self.edge(now, from, request, effects),
            Message::KvReply(reply) => {
                if let Some((purpose, answer)) = self.asks.kv_replied(now, from, reply, effects) {
                    self.kv_answered(now, purpose, answer, effects);
                }
            }
            Message::ObjectReply(reply) => {
                if let Some(Purpose::Volume(vdisk, ask)) = self.asks.answered(reply.request) {
                    self.object_answered(now, vdisk, &ask, reply.body, effects);
                }
            }
            Message::AdminReply(reply) if from == self.config.objects => self.osds_told(reply),
            Message::Admin(request) => self.admin(now, from, request, effects),
            _ => {}
        }
    }

    fn edge(&mut self, now: Timestamp, from: NodeId, request: EdgeRequest, effects: &mut Effects<Effect>) {
        let EdgeRequest { session, request, body } = request;
        let reply = ReplyTo { node: from, session, request };
        match body {
            EdgeBody::List => {
                let body = EdgeAnswer::Vdisks(self.list());
                send_edge(reply, Generation::default(), body, effects);
            }
            EdgeBody::Open(opening) => {
                let Some(vdisk) = self.names.get(&opening.name).copied() else {
                    // Before the registry is read nobody can say that there is no such vDisk.
                    if self.cluster.is_some() && !self.asks_open() {
                        let body = EdgeAnswer::Failed(EdgeError::NotFound);
                        send_edge(reply, Generation::default(), body, effects);
                    }
                    return;
                };
                self.with(now, vdisk, effects, |volume, context| volume.open(reply, &opening, context));
                let open = |of: &VdiskId, known| self.volumes.get(of).is_some_and(|v| v.has_session(known));
                self.sessions.retain(|known, of| *of != vdisk || open(of, *known));
                if open(&vdisk, session) {
                    self.sessions.insert(session, vdisk);
                }
            }
            body => {
                let Some(vdisk) = self.sessions.get(&session).copied() else {
                    let body = EdgeAnswer::Failed(EdgeError::NoSession);
                    send_edge(reply, Generation::default(), body, effects);
                    return;
                };
                if body == EdgeBody::Close {
                    self.sessions.remove(&session);
                }
                self.with(now, vdisk, effects, |volume, context| volume.request(reply, body, context));
            }
        }
    }

    /// Whether the registry is still being read.
    pub(crate) fn asks_open(&self) -> bool {
        self.asks.any(|purpose| matches!(purpose, Purpose::Driver(DriverAsk::Cluster | DriverAsk::Vdisks)))
    }

    /// Takes a step of one volume.
    pub(crate) fn with(
        &mut self,
        now: Timestamp,
        vdisk: VdiskId,
        effects: &mut Effects<Effect>,
        step: impl FnOnce(&mut Volume, &mut Context<'_>),
    ) {
        let Some(volume) = self.volumes.get_mut(&vdisk) else { return };
        let (config, asks, room) = (&self.config, &mut self.asks, &mut self.room);
        let (counters, gone) = (&mut self.counters, &self.gone[..]);
        step(volume, &mut Context { now, config, gone, asks, room, counters, effects });
        self.touched.insert(vdisk);
    }

    fn kv_answered(
        &mut self,
        now: Timestamp,
        purpose: Purpose,
        answer: KvAnswer,
        effects: &mut Effects<Effect>,
    ) {
        match purpose {
            Purpose::Driver(ask) => self.driver_answered(now, ask, answer, effects),
            Purpose::Volume(vdisk, ask) => {
                self.with(now, vdisk, effects, |volume, context| volume.kv(&ask, &answer, context));
            }
        }
    }

    fn object_answered(
        &mut self,
        now: Timestamp,
        vdisk: VdiskId,
        ask: &VolumeAsk,
        answer: ObjectAnswer,
        effects: &mut Effects<Effect>,
    ) {
        self.with(now, vdisk, effects, |volume, context| volume.object(ask, answer, context));
    }

    fn driver_answered(
        &mut self,
        now: Timestamp,
        ask: DriverAsk,
        answer: KvAnswer,
        effects: &mut Effects<Effect>,
    ) {
        match ask {
            DriverAsk::Cluster => self.cluster_read(now, &answer, effects),
            DriverAsk::Vdisks => self.vdisks_read(now, answer, effects),
            DriverAsk::Wish => self.wish_answered(now, &answer, effects),
            DriverAsk::ClusterAgain => {
                self.cluster = cluster_of(&answer).or(self.cluster.take());
                self.next_wish(now, effects);
            }
            DriverAsk::Record(change) => self.record_answered(now, change, &answer, effects),
            DriverAsk::Members => self.members_told(&answer),
        }
    }

    fn turn_end(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        let before = self.room.used;
        for vdisk in core::mem::take(&mut self.touched) {
            self.volume_turn_end(now, vdisk, effects);
        }
        // Room that one volume gave back may be what another waits for.
        if self.room.wanted || self.room.used < before {
            self.room.wanted = false;
            let waiting: Vec<VdiskId> = self
                .volumes
                .iter()
                .filter(|(_, volume)| volume.may_want_room())
                .map(|(vdisk, _)| *vdisk)
                .collect();
            waiting.into_iter().for_each(|vdisk| self.volume_turn_end(now, vdisk, effects));
            self.room.wanted = false;
        }
        self.touched.clear();
        self.set_tick(effects);
        self.learn_later(effects);
    }

    fn volume_turn_end(&mut self, now: Timestamp, vdisk: VdiskId, effects: &mut Effects<Effect>) {
        self.with(now, vdisk, effects, Volume::turn_end);
        self.next_record_wish(now, vdisk, effects);
        let Some(volume) = self.volumes.get_mut(&vdisk) else { return };
        if volume.take_restart() {
            self.take_over(vdisk, effects);
        }
        if self.volumes.get(&vdisk).is_some_and(Volume::is_gone) {
            self.forget(vdisk);
        } else if self.volumes.get(&vdisk).is_some_and(Volume::wants_sco_block)
            && !self.wishes.contains(&Wish::ScoBlock(vdisk))
        {
            self.wish(now, Wish::ScoBlock(vdisk), effects);
        }
    }

    fn forget(&mut self, vdisk: VdiskId) {
        self.volumes.remove(&vdisk);
        self.names.retain(|_, named| *named != vdisk);
        self.sessions.retain(|_, of| *of != vdisk);
        self.asks.forget(|purpose| matches!(purpose, Purpose::Volume(of, _) if *of == vdisk));
    }

    fn set_tick(&mut self, effects: &mut Effects<Effect>) {
        let wanted =
            self.identity_again || !self.asks.is_empty() || self.volumes.values().any(Volume::wants_tick);
        if wanted && !self.ticking {
            self.ticking = true;
            effects.push(Effect::SetTimer { timer: TICK, after: TICK_EVERY });
        }
    }

    fn timer(&mut self, now: Timestamp, timer: TimerId, effects: &mut Effects<Effect>) {
        match timer {
            TICK => self.tick(now, effects),
            WATCH => self.watch_osds(effects),
            LEARN => self.ask_members(now, effects),
            TimerId(vdisk) => self.with(now, VdiskId(vdisk), effects, Volume::write_mark),
        }
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Effects<Effect>) {
        self.ticking = false;
        if core::mem::take(&mut self.identity_again) {
            Self::read_identity(effects);
        }
        self.asks.ask_again(now, effects);
        let due: Vec<VdiskId> =
            self.volumes.iter().filter(|(_, volume)| volume.wants_tick()).map(|(vdisk, _)| *vdisk).collect();
        due.into_iter().for_each(|vdisk| self.with(now, vdisk, effects, Volume::tick));
    }

    fn list(&self) -> Vec<(VdiskName, ByteCount)> {
        let size = |vdisk: &VdiskId| self.volumes.get(vdisk).map_or(ByteCount(0), Volume::size);
        self.names.iter().map(|(name, vdisk)| (name.clone(), size(vdisk))).collect()
    }

    /// Panics when an invariant doesn't hold: `serving` numbers them.
    pub fn check_invariants(&self) {
        if self.config.bug.is_none() {
            self.volumes.values().for_each(Volume::check_invariants);
            let local: u64 = self.volumes.values().map(Volume::local_bytes).sum();
            debug_assert_eq!(local, self.room.used, "the write buffer's room is what its files take");
        }
    }
}

impl Machine for VolumeDriver {
    type Event = Event;
    type Effect = Effect;

    fn step(&mut self, now: Timestamp, event: Event, effects: &mut Effects<Effect>) {
        match event {
            Event::Start { seed } => self.start(seed, effects),
            Event::Message { from, message } => self.message(now, from, message, effects),
            Event::Disk { operation, result } => match vdisk_of(operation) {
                VdiskId(0) => self.own_disk(now, operation, result, effects),
                vdisk => {
                    self.with(now, vdisk, effects, |volume, context| volume.disk(operation, result, context))
                }
            },
            Event::Worked { job, result } => {
                let operation = OperationId(job.0);
                self.with(now, vdisk_of(operation), effects, |volume, context| {
                    volume.worked(operation, &result, context);
                });
            }
            Event::Timer(timer) => self.timer(now, timer, effects),
            Event::TurnEnd => self.turn_end(now, effects),
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }
}

pub(crate) fn send_edge(
    to: ReplyTo,
    generation: Generation,
    body: EdgeAnswer,
    effects: &mut Effects<Effect>,
) {
    let ReplyTo { node, session, request } = to;
    let message = Message::EdgeReply(EdgeReply { session, request, generation, stable: 0, body });
    effects.push(Effect::Send { to: node, message });
}

pub(crate) fn send_admin(to: NodeId, request: u64, body: AdminAnswer, effects: &mut Effects<Effect>) {
    effects.push(Effect::Send { to, message: Message::AdminReply(AdminReply { request, body }) });
}

//! The volume driver: the volumes of one node, and what they share.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use formats::identity::{Folder, Identity};
use formats::message::admin::{AdminAnswer, AdminReply};
use formats::message::edge::{EdgeAnswer, EdgeBody, EdgeError, EdgeReply, EdgeRequest};
use formats::message::kv::{KvAnswer, KvError, KvQuery, KvReply};
use formats::message::object::ObjectAnswer;
use formats::registry::{self, ClusterRecord, VdiskRecord};
use formats::{Effect, Event, Message};
use glossary::{BufferIdentity, ByteCount, Generation, NodeId, SessionId, VdiskId, VdiskName};
use step::{
    DiskOperation, DiskOutcome, DiskResult, Effects, Entropy, FileName, Machine, OperationId, TimerId,
    Timestamp,
};

use crate::admin::Wish;
use crate::asks::Asks;
use crate::config::Config;
use crate::context::{Context, Purpose, VolumeAsk, vdisk_of};
use crate::counters::Counters;
use crate::files::LocalFile;
use crate::room::Room;
use crate::serving::ReplyTo;
use crate::volume::Volume;

/// The timer for asking again; timers of volumes carry their id, which is never 0.
const TICK: TimerId = TimerId(0);

/// How often the driver looks for what is due, while anything is open.
const TICK_EVERY: core::time::Duration = core::time::Duration::from_millis(250);

/// Keys of one page of the registry.
const RANGE_PAGE: u32 = 1000;

/// The longest identity file that is read, in bytes.
const IDENTITY_MAX: u64 = 4096;

/// What the driver itself asks the KV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverAsk {
    Cluster,
    Vdisks,
    /// A compare-and-set of the cluster's record for the first wish in the queue.
    Wish,
    /// The cluster's record changed under a wish: read it again.
    ClusterAgain,
    Record(crate::admin::RecordChange),
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
    touched: BTreeSet<VdiskId>,
    /// Volumes to be taken over once the files are listed.
    to_take_over: BTreeSet<VdiskId>,
    listing: bool,
    ticking: bool,
}

impl VolumeDriver {
    /// A volume driver before its start.
    pub fn new(config: Config) -> Self {
        let wait = (config.retry_first, config.retry_max);
        VolumeDriver {
            asks: Asks::new(config.kv, config.objects, 0, wait),
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
            touched: BTreeSet::new(),
            to_take_over: BTreeSet::new(),
            listing: false,
            ticking: false,
        }
    }

    fn start(&mut self, seed: [u8; 32], effects: &mut Effects<Effect>) {
        self.entropy = Entropy::new(seed);
        let wait = (self.config.retry_first, self.config.retry_max);
        self.asks = Asks::new(self.config.kv, self.config.objects, self.entropy.next_u64(), wait);
        let file = FileName::new(format_args!("identity"));
        let what = DiskOperation::Read { file, offset: 0, length: IDENTITY_MAX };
        effects.push(Effect::Disk { operation: READ_IDENTITY, what });
    }

    fn message(&mut self, now: Timestamp, from: NodeId, message: Message, effects: &mut Effects<Effect>) {
        match message {
            Message::Edge(request) => self.edge(now, from, request, effects),
            // "Not now" settles nothing: the question is asked again when it is due.
            Message::KvReply(KvReply {
                body: KvAnswer::Failed(KvError::Full | KvError::Unavailable),
                ..
            }) => {}
            Message::KvReply(reply) => {
                if let Some(purpose) = self.asks.answered(reply.request) {
                    self.kv_answered(now, purpose, reply.body, effects);
                }
            }
            Message::ObjectReply(reply) => {
                if let Some(Purpose::Volume(vdisk, ask)) = self.asks.answered(reply.request) {
                    self.object_answered(now, vdisk, &ask, reply.body, effects);
                }
            }
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
    fn asks_open(&self) -> bool {
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
        let counters = &mut self.counters;
        step(volume, &mut Context { now, config, asks, room, counters, effects });
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
        }
    }

    pub(crate) fn read_cluster(&mut self, now: Timestamp, ask: DriverAsk, effects: &mut Effects<Effect>) {
        let query = KvQuery::Get { key: registry::CLUSTER_KEY.to_vec() };
        self.asks.query(Purpose::Driver(ask), query, now, effects);
    }

    fn cluster_read(&mut self, now: Timestamp, answer: &KvAnswer, effects: &mut Effects<Effect>) {
        let Some(cluster) = cluster_of(answer) else {
            let reason = "the registry has no readable record of this cluster".into();
            effects.push(Effect::Halt { reason });
            return;
        };
        self.room.limit = cluster.write_buffer.0;
        self.cluster = Some(cluster);
        self.read_vdisks(now, registry::VDISK_PREFIX.to_vec(), effects);
    }

    fn read_vdisks(&mut self, now: Timestamp, from: Vec<u8>, effects: &mut Effects<Effect>) {
        let query = KvQuery::Range { prefix: registry::VDISK_PREFIX.to_vec(), from, limit: RANGE_PAGE };
        self.asks.query(Purpose::Driver(DriverAsk::Vdisks), query, now, effects);
    }

    fn vdisks_read(&mut self, now: Timestamp, answer: KvAnswer, effects: &mut Effects<Effect>) {
        let KvAnswer::Range { pairs, more } = answer else { return };
        let last = pairs.last().map(|(key, _)| key.clone());
        for (key, value) in pairs {
            if let (Some(vdisk), Some(record)) = (vdisk_of_key(&key), registry::decode::<VdiskRecord>(&value))
                // Management may have made it while this answer was on its way.
                && !self.volumes.contains_key(&vdisk)
            {
                if !record.deleting {
                    self.names.insert(record.name.clone(), vdisk);
                }
                self.volumes.insert(vdisk, Volume::waiting(vdisk, record));
                self.take_over(vdisk, effects);
            }
        }
        if let Some(mut from) = last.filter(|_| more) {
            from.push(0);
            self.read_vdisks(now, from, effects);
        }
    }

    /// Takes a vDisk over, once the files in the write buffer are listed.
    pub(crate) fn take_over(&mut self, vdisk: VdiskId, effects: &mut Effects<Effect>) {
        self.to_take_over.insert(vdisk);
        if !self.listing {
            self.listing = true;
            effects.push(Effect::Disk { operation: LIST_FILES, what: DiskOperation::List });
        }
    }

    fn own_disk(
        &mut self,
        now: Timestamp,
        operation: OperationId,
        result: DiskResult,
        effects: &mut Effects<Effect>,
    ) {
        if operation == READ_IDENTITY {
            self.buffer = match result {
                Ok(DiskOutcome::Read(bytes)) => buffer_identity(&bytes),
                _ => None,
            };
            self.read_cluster(now, DriverAsk::Cluster, effects);
        } else if operation == LIST_FILES {
            self.listing = false;
            match result {
                Ok(DiskOutcome::Listed(files)) => self.files_listed(now, &files, effects),
                _ => {
                    effects.push(Effect::Halt { reason: "the write buffer's folder can't be listed".into() })
                }
            }
        }
    }

    fn files_listed(&mut self, now: Timestamp, files: &[(FileName, u64)], effects: &mut Effects<Effect>) {
        let Some(policies) = self.cluster.as_ref().map(|cluster| cluster.policies.clone()) else { return };
        let buffer = self.buffer;
        self.delete_orphans(files, effects);
        for vdisk in core::mem::take(&mut self.to_take_over) {
            let own = files.iter().filter_map(|(name, length)| {
                LocalFile::parse(name).filter(|(of, _)| *of == vdisk).map(|(_, file)| (file, *length))
            });
            let (own, policies) = (own.collect(), policies.clone());
            self.with(now, vdisk, effects, |volume, context| {
                volume.take_over(buffer, policies, own, context)
            });
        }
    }

    /// Files of vDisks that the registry does not know: what a deletion left behind. Only a write buffer whose
    /// identity is the cluster's is cleaned.
    fn delete_orphans(&self, files: &[(FileName, u64)], effects: &mut Effects<Effect>) {
        let own = self.cluster.as_ref().map(|cluster| cluster.buffer) == self.buffer;
        if !own || self.asks_open() {
            return;
        }
        for (file, _) in files {
            if LocalFile::parse(file).is_some_and(|(vdisk, _)| !self.volumes.contains_key(&vdisk)) {
                effects.push(Effect::Disk {
                    operation: DELETE_ORPHAN,
                    what: DiskOperation::Delete { file: *file },
                });
            }
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
    }

    fn volume_turn_end(&mut self, now: Timestamp, vdisk: VdiskId, effects: &mut Effects<Effect>) {
        self.with(now, vdisk, effects, Volume::turn_end);
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
        let wanted = !self.asks.is_empty() || self.volumes.values().any(Volume::wants_tick);
        if wanted && !self.ticking {
            self.ticking = true;
            effects.push(Effect::SetTimer { timer: TICK, after: TICK_EVERY });
        }
    }

    fn timer(&mut self, now: Timestamp, timer: TimerId, effects: &mut Effects<Effect>) {
        if timer != TICK {
            self.with(now, VdiskId(timer.0), effects, Volume::write_mark);
            return;
        }
        self.ticking = false;
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

/// The identity that a write buffer's folder carries; none where the file is missing or something else.
fn buffer_identity(bytes: &[u8]) -> Option<BufferIdentity> {
    match Identity::decode(bytes).ok()?.folder {
        Folder::WriteBuffer { identity } => Some(identity),
        Folder::Root | Folder::Asd { .. } | Folder::Kv => None,
    }
}

fn cluster_of(answer: &KvAnswer) -> Option<ClusterRecord> {
    match answer {
        KvAnswer::Value(Some(bytes)) => registry::decode(bytes),
        _ => None,
    }
}

/// The vDisk of a registry key.
fn vdisk_of_key(key: &[u8]) -> Option<VdiskId> {
    let digits = core::str::from_utf8(key.strip_prefix(registry::VDISK_PREFIX)?).ok()?;
    u64::from_str_radix(digits, 16).ok().map(VdiskId)
}

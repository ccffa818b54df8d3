//! What every task has at hand: the shared state, the time, and the outbox.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use formats::kv_client::KvClient;
use formats::manifest::Manifest;
use formats::message::asd::{AsdBody, AsdKey, AsdRequest};
use formats::message::kv::{FunctionId, KvCommand, KvQuery, KvRequest};
use formats::message::object::ObjectError;
use formats::namespace::{NamespaceCommand, NamespaceQuery, ObjectName};
use formats::work::Work;
use formats::{Effect, Message};
use glossary::{AttemptId, FragmentId, GroupId, NamespaceId, NodeId, OsdId, Policy};
use step::{Bug, Effects, Entropy, JobId, Timestamp};

use crate::calls::{Call, Calls, Owner};
use crate::collect::Collected;
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::deadlines::{Deadlines, Due};
use crate::manifests::{FullName, Manifests};
use crate::namespace;
use crate::osds::Osds;
use crate::scan::Scans;

/// Namespaces whose policies are kept.
const RECORDS_MAX: usize = 1024;

/// Requests to the KV without an answer; of more commands than 1,023 it would forget answers.
const KV_REQUESTS_MAX: usize = 512;

/// What all tasks share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) entropy: Entropy,
    pub(crate) counters: Counters,
    pub(crate) osds: Osds,
    pub(crate) calls: Calls,
    pub(crate) deadlines: Deadlines,
    pub(crate) manifests: Manifests,
    pub(crate) records: BTreeMap<NamespaceId, Arc<Record>>,
    /// Chunks that may still be taken into work.
    pub(crate) chunk_permits: usize,
    /// Fragments on their way of chunks that had enough without them.
    pub(crate) late_fragments: usize,
    /// The KV's answers: whom they are for.
    pub(crate) asked: BTreeMap<u64, Asked>,
    /// Lookups of manifests that several tasks wait for.
    pub(crate) lookups: BTreeMap<FullName, Lookup>,
    /// Asks members of the KV's groups. What is for the namespace manager goes to the group that hosts it.
    pub(crate) kv: KvClient,
    pub(crate) namespaces: GroupId,
    /// It will be asked where its members are, or is.
    pub(crate) learning: bool,
    /// Added to the KV client's numbers, so that an answer to an earlier life fits none of this one.
    kv_offset: u64,
    last_request: u64,
    last_job: u64,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// Namespaces whose keys collection looks at.
    pub(crate) collected: BTreeMap<NamespaceId, Collected>,
    /// When the next round of collection begins, while none is under way.
    pub(crate) collect_due: Timestamp,
    /// OSDs to be looked through.
    pub(crate) scans: Scans,
    /// Fragments that their ASDs didn't have, or had damaged: others are asked first.
    pub(crate) missing: BTreeSet<FragmentId>,
    /// The namespace of the last round.
    pub(crate) last_collected: NamespaceId,
}

/// What is kept of a namespace's record: what an upload needs. The fence is not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) policies: Vec<Policy>,
    pub(crate) gc_epoch: u64,
}

/// What the KV was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A namespace's record, by a task.
    Record { task: u64, namespace: NamespaceId },
    /// A manifest, by a task that must know what is there now.
    Manifest { task: u64, name: FullName },
    /// A manifest, by those in `lookups`.
    Lookup { name: FullName },
    /// A command of a task.
    Command { task: u64 },
    /// A page of the objects of a namespace, by its collection.
    Objects { task: u64 },
    /// Where its members are.
    Members,
}

/// Tasks that wait for the same manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// Those that were there when it was asked for.
    pub(crate) askers: Vec<u64>,
    /// Those that came later: "not there" is no answer to them, for it may be older than their question.
    pub(crate) joiners: Vec<u64>,
}

/// Work on its way, and whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// A chunk's containers.
    Encode { task: u64, chunk: u16 },
    /// Blocks of a read.
    Reconstruct { task: u64, segment: u32 },
}

impl Hub {
    pub(crate) fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut entropy = Entropy::new(seed);
        let session = entropy.next_u64();
        Hub {
            osds: Osds::new(&config),
            counters: Counters::new(),
            calls: Calls::default(),
            deadlines: Deadlines::default(),
            manifests: Manifests::new(config.settings.manifests_cached_max),
            records: BTreeMap::new(),
            chunk_permits: config.settings.chunks_in_flight_max,
            late_fragments: 0,
            asked: BTreeMap::new(),
            lookups: BTreeMap::new(),
            kv: KvClient::new(session, config.kv.clone()),
            namespaces: config.namespaces,
            learning: false,
            kv_offset: entropy.next_u64(),
            last_request: entropy.next_u64(),
            last_job: 0,
            jobs: BTreeMap::new(),
            collected: BTreeMap::new(),
            collect_due: Timestamp(0),
            scans: Scans::default(),
            missing: BTreeSet::new(),
            last_collected: NamespaceId(0),
            config,
            entropy,
        }
    }

    /// Whether this planted mistake is to be made.
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.config.bug == Some(bug)
    }

    /// Whether a planted mistake keeps reads from checking what they get.
    pub(crate) fn skips_checks(&self) -> bool {
        self.has(Bug::CrcUnchecked) || self.has(Bug::CrcMadeAnew)
    }

    /// The number under which the KV client knows what a reply answers.
    pub(crate) fn kv_request(&self, on_the_wire: u64) -> u64 {
        on_the_wire.wrapping_sub(self.kv_offset)
    }

    /// A fragment isn't there, or is damaged; or it is there after all.
    pub(crate) fn note_missing(&mut self, fragment: FragmentId, is_missing: bool) {
        if !is_missing {
            self.missing.remove(&fragment);
            return;
        }
        self.missing.insert(fragment);
        if self.missing.len() > self.config.settings.missing_known_max {
            self.missing.pop_first();
        }
    }

    /// A namespace is being changed: what crashes left there is looked for.
    pub(crate) fn collect_in(&mut self, namespace: NamespaceId) {
        if self.may_collect_in(namespace) {
            self.collected.entry(namespace).or_default().is_used = true;
        }
    }

    /// An OSD that was away, or nobody has looked at in this life, holds something of a namespace: whether that is
    /// garbage is looked for once. False when there are too many of them now.
    pub(crate) fn collect_once_in(&mut self, namespace: NamespaceId, now: Timestamp) -> bool {
        let may = self.may_collect_in(namespace);
        if may {
            self.collected.entry(namespace).or_default().begin_anew();
            let soon = now.after(self.config.settings.collect_first);
            if self.collect_due > soon {
                self.collect_at(soon);
            }
        }
        may
    }

    fn may_collect_in(&self, namespace: NamespaceId) -> bool {
        self.collected.len() < RECORDS_MAX || self.collected.contains_key(&namespace)
    }

    /// The next round of collection begins then.
    pub(crate) fn collect_at(&mut self, at: Timestamp) {
        let before = core::mem::replace(&mut self.collect_due, at);
        self.deadlines.remove(before, Due::Collect);
        self.deadlines.insert(at, Due::Collect);
    }

    /// An OSD is to be looked through, soon.
    pub(crate) fn scan(&mut self, osd: usize, now: Timestamp) {
        self.scans.add(osd);
        self.deadlines.insert(now.after(self.config.settings.collect_first), Due::Scan);
    }

    pub(crate) fn remember(&mut self, namespace: NamespaceId, record: Arc<Record>) {
        if self.records.len() >= RECORDS_MAX {
            self.records.pop_first();
        }
        self.collect_in(namespace);
        self.records.insert(namespace, record);
    }
}

/// The shared state, the time, and the outbox.
pub(crate) struct Context<'a> {
    pub(crate) hub: &'a mut Hub,
    pub(crate) now: Timestamp,
    pub(crate) effects: &'a mut Effects<Effect>,
}

impl Context<'_> {
    pub(crate) fn count(&mut self, counter: Counter, amount: u64) {
        self.hub.counters.add(counter, amount);
    }

    pub(crate) fn due_after(&mut self, after: Duration, due: Due) {
        self.hub.deadlines.insert(self.now.after(after), due);
    }

    pub(crate) fn fresh_attempt(&mut self) -> AttemptId {
        AttemptId(self.hub.entropy.next_u64())
    }

    /// Sends a request to an ASD; its answer goes to `owner`.
    pub(crate) fn call(&mut self, osd: usize, owner: Owner, body: AsdBody) -> u64 {
        let settings = &self.hub.config.settings;
        let is_apply = matches!(body, AsdBody::Apply { .. });
        let patience = if is_apply { settings.apply_patience } else { settings.read_patience };
        self.watch(osd);
        self.call_for(osd, owner, body, patience)
    }

    /// The same, with so much patience for the answer, and without doubts meanwhile.
    pub(crate) fn call_for(&mut self, osd: usize, owner: Owner, body: AsdBody, patience: Duration) -> u64 {
        self.hub.last_request = self.hub.last_request.wrapping_add(1);
        let request = self.hub.last_request;
        self.send(osd, request, body.clone());
        let call = Call::new(osd, owner, body, self.now, patience);
        self.hub.deadlines.insert(call.due, Due::Call { request });
        self.hub.calls.insert(request, call);
        request
    }

    /// Somebody waits for an OSD: if it says nothing it is asked whether it is there.
    fn watch(&mut self, osd: usize) {
        if !core::mem::replace(&mut self.hub.osds.get_mut(osd).is_watched, true) {
            self.due_after(self.hub.config.settings.doubt_after, Due::Doubt { osd });
        }
    }

    /// Sends a request that is in the list of calls.
    pub(crate) fn send(&mut self, osd: usize, request: u64, body: AsdBody) {
        let config = self.hub.osds.get(osd).config;
        if let AsdBody::Apply { payload, .. } = &body {
            self.count(Counter::BytesToAsds, payload.len() as u64);
        }
        let message = Message::Asd(AsdRequest { request, osd: config.identity, body });
        self.effects.push(Effect::Send { to: config.node, message });
    }

    /// A fragment is garbage: it will be deleted when its OSD answers.
    pub(crate) fn discard(&mut self, osd: usize, key: AsdKey) {
        let limit = self.hub.config.settings.garbage_per_osd_max;
        let osd = self.hub.osds.get_mut(osd);
        if osd.garbage.len() < limit {
            osd.garbage.push_back(key);
        } else {
            self.count(Counter::GarbageLeft, 1);
        }
    }

    /// The same, by the number that a manifest gives.
    pub(crate) fn discard_placed(&mut self, osd: OsdId, key: AsdKey) {
        if let Some(osd) = self.hub.osds.index_of(osd) {
            self.discard(osd, key);
        }
    }

    /// Nobody wants this any more, but it may still arrive: then it is garbage.
    pub(crate) fn orphan(&mut self, request: u64, key: AsdKey) {
        if let Some(call) = self.hub.calls.get_mut(request) {
            call.owner = Owner::Orphan { key };
            call.body = None;
        }
    }

    pub(crate) fn work(&mut self, job: Job, work: Work) -> u64 {
        self.hub.last_job += 1;
        self.hub.jobs.insert(self.hub.last_job, job);
        self.effects.push(Effect::Work { job: JobId(self.hub.last_job), work });
        self.hub.last_job
    }

    /// Sends a command to the namespace manager, and again until it is settled.
    pub(crate) fn command(&mut self, task: u64, command: &NamespaceCommand) -> Result<(), ObjectError> {
        self.expect_room()?;
        let (function, command) = (FunctionId::NAMESPACES, namespace::encode_command(command));
        let request = self.hub.kv.command(self.now, KvCommand::Function { function, command });
        self.ask(Asked::Command { task }, request);
        Ok(())
    }

    /// Asks the namespace manager for a namespace's record.
    pub(crate) fn query_record(&mut self, task: u64, namespace: NamespaceId) -> Result<(), ObjectError> {
        self.query(Asked::Record { task, namespace }, &NamespaceQuery::Record { namespace })
    }

    /// Asks the namespace manager what there is under a name now.
    pub(crate) fn query_manifest(&mut self, task: u64, name: FullName) -> Result<(), ObjectError> {
        let (namespace, object) = name;
        self.query(Asked::Manifest { task, name }, &NamespaceQuery::Manifest { namespace, name: object })
    }

    /// Asks the namespace manager which objects there are now, in order of their names.
    pub(crate) fn query_objects(
        &mut self,
        task: u64,
        namespace: NamespaceId,
        after: Option<ObjectName>,
    ) -> Result<(), ObjectError> {
        self.query(Asked::Objects { task }, &NamespaceQuery::List { namespace, after, limit: u32::MAX })
    }

    /// Asks for a manifest together with others who want the same.
    pub(crate) fn look_up(&mut self, task: u64, name: FullName) -> Result<(), ObjectError> {
        if let Some(lookup) = self.hub.lookups.get_mut(&name) {
            lookup.joiners.push(task);
            return Ok(());
        }
        self.look_up_for(alloc::vec![task], name)
    }

    /// Asks for a manifest for all of these.
    pub(crate) fn look_up_for(&mut self, askers: Vec<u64>, name: FullName) -> Result<(), ObjectError> {
        let (namespace, object) = name;
        self.query(Asked::Lookup { name }, &NamespaceQuery::Manifest { namespace, name: object })?;
        self.hub.lookups.insert(name, Lookup { askers, joiners: Vec::new() });
        Ok(())
    }

    fn query(&mut self, asked: Asked, query: &NamespaceQuery) -> Result<(), ObjectError> {
        self.expect_room()?;
        let (function, query) = (FunctionId::NAMESPACES, namespace::encode_query(query));
        let request = self.hub.kv.query(self.now, KvQuery::Function { function, query });
        self.ask(asked, request);
        Ok(())
    }

    fn expect_room(&self) -> Result<(), ObjectError> {
        let room = self.hub.kv.outstanding() < KV_REQUESTS_MAX;
        room.then_some(()).ok_or(ObjectError::Unavailable)
    }

    pub(crate) fn ask(&mut self, asked: Asked, (to, request): (NodeId, KvRequest)) {
        self.hub.asked.insert(request.request, asked);
        self.send_kv(to, request);
    }

    /// Sends again what waited long enough for the KV, or has another member to go to.
    pub(crate) fn resend_kv(&mut self) {
        for (to, request) in self.hub.kv.resend_due(self.now) {
            self.send_kv(to, request);
        }
    }

    fn send_kv(&mut self, to: NodeId, mut request: KvRequest) {
        request.request = request.request.wrapping_add(self.hub.kv_offset);
        let group = request.body.function().map_or(GroupId::ROOT, |_| self.hub.namespaces);
        self.effects.push(Effect::Send { to, message: Message::to_kv(group, request) });
    }

    /// The disks that may still be lost before an object can't be read, over OSDs that answer now (L8).
    pub(crate) fn spare(&self, manifest: &Manifest) -> Option<u8> {
        manifest.spare(|osd| self.hub.osds.answers(osd))
    }
}

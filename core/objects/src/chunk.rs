//! A chunk on its way to OSDs: encoded, its fragments stored, failed or late ones replaced.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use formats::Payload;
use formats::fragment::{Geometry, fragment_key};
use formats::manifest::Placed;
use formats::message::asd::{AsdBody, AsdKey, AsdUpdate, Purpose};
use formats::message::object::ObjectError;
use formats::work::{Encode, Work};
use glossary::{AttemptId, FragmentId, NamespaceId, ObjectId, Policy};

use crate::calls::{Failure, Owner};
use crate::context::{Context, Job};
use crate::counters::Counter;
use crate::deadlines::Due;
use crate::placement;

/// What a chunk is of, and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) task: u64,
    pub(crate) namespace: NamespaceId,
    pub(crate) object: ObjectId,
    pub(crate) policy: Policy,
}

/// A chunk in work. Its data and containers are in memory until it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    plan: Plan,
    number: u16,
    geometry: Geometry,
    data: Payload,
    slots: Vec<Slot>,
    /// OSDs that had their chance: none gets a second one from this chunk.
    tried: BTreeSet<usize>,
    /// The encoding that is under way, and the attempts that it is for.
    encoding: Option<(u64, Vec<AttemptId>)>,
    slack: Slack,
    /// Whether an OSD was left out because it is full: then that is what the asker is told.
    full: bool,
}

/// A fragment's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// It goes nowhere: no OSD was left for it.
    Empty,
    /// It will go there, once encoded.
    Encoding(Target),
    /// It is on its way.
    Sending(Target, u64),
    /// It is on stable storage (P7).
    Stored(Target),
}

/// Where a fragment goes, under which attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    osd: usize,
    attempt: AttemptId,
}

/// The wait for the fragments beyond c.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slack {
    NotYet,
    Running,
    Over,
}

/// A fragment on its way whose chunk had enough without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) osd: usize,
    pub(crate) attempt: AttemptId,
    pub(crate) request: u64,
}

/// What became of a chunk: where its fragments are, and which are late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) placed: Vec<Option<Placed>>,
    pub(crate) late: Vec<(u8, Late)>,
}

impl Chunk {
    /// Chooses OSDs and has the chunk encoded.
    pub(crate) fn start(
        cx: &mut Context<'_>,
        plan: Plan,
        number: u16,
        geometry: Geometry,
        data: Payload,
    ) -> Result<Self, ObjectError> {
        let preferred = placement::prefer(&plan.object, number, cx.hub.osds.with_room(cx.now));
        let chosen = placement::place(plan.policy, &preferred);
        let mut chunk = Chunk {
            plan,
            number,
            geometry,
            data,
            slots: Vec::new(),
            tried: chosen.iter().copied().collect(),
            encoding: None,
            slack: Slack::NotYet,
            full: preferred.len() < cx.hub.osds.all_answering().len(),
        };
        for index in 0..usize::from(plan.policy.fragments()) {
            let target = |osd: &usize| Target { osd: *osd, attempt: cx.fresh_attempt() };
            chunk.slots.push(chosen.get(index).map(target).map_or(Slot::Empty, Slot::Encoding));
        }
        chunk.expect_enough()?;
        chunk.encode(cx);
        Ok(chunk)
    }

    /// The containers are there: those that are wanted go out.
    pub(crate) fn on_encoded(
        &mut self,
        cx: &mut Context<'_>,
        job: u64,
        containers: Vec<Payload>,
    ) -> Result<(), ObjectError> {
        let Some((_, attempts)) = self.encoding.take_if(|(expected, _)| *expected == job) else {
            return Ok(());
        };
        for (index, (attempt, container)) in attempts.into_iter().zip(containers).enumerate() {
            match self.slots[index] {
                Slot::Encoding(target) if target.attempt == attempt => {
                    if cx.hub.osds.answers(cx.hub.osds.get(target.osd).config.osd) {
                        self.store(cx, index, target, container);
                    } else {
                        self.replace(cx, index);
                    }
                }
                Slot::Empty | Slot::Encoding(_) | Slot::Sending(..) | Slot::Stored(_) => {}
            }
        }
        // A fragment that was replaced meanwhile has another attempt, and so another container.
        self.encode(cx);
        self.expect_enough()
    }

    /// A fragment is on stable storage.
    pub(crate) fn on_stored(&mut self, cx: &mut Context<'_>, index: u8, attempt: AttemptId) {
        let slot = &mut self.slots[usize::from(index)];
        if let Slot::Sending(target, _) = *slot
            && target.attempt == attempt
        {
            *slot = Slot::Stored(target);
        }
        if self.stored() >= usize::from(self.plan.policy.c) && self.slack == Slack::NotYet {
            self.slack = Slack::Running;
            self.await_slack(cx);
        }
    }

    /// A fragment will not get where it was sent: it gets another OSD under a fresh attempt (F4).
    pub(crate) fn on_failed(
        &mut self,
        cx: &mut Context<'_>,
        index: u8,
        attempt: AttemptId,
        failure: Failure,
    ) -> Result<(), ObjectError> {
        let index = usize::from(index);
        let Slot::Sending(target, _) = self.slots[index] else { return Ok(()) };
        if target.attempt != attempt {
            return Ok(());
        }
        self.full |= failure == Failure::Full;
        // It may have arrived all the same, by an earlier try.
        cx.discard(target.osd, self.key(index, target.attempt));
        self.replace(cx, index);
        self.encode(cx);
        self.expect_enough()
    }

    /// The slack is over.
    pub(crate) fn on_slack(&mut self, cx: &mut Context<'_>) {
        let late = self.sending().count();
        if late > 0 && cx.hub.late_fragments + late > cx.hub.config.settings.late_fragments_max {
            // P9: an OSD that is slow for long slows the writers down instead of filling the memory.
            self.await_slack(cx);
        } else {
            self.slack = Slack::Over;
        }
    }

    /// What became of it, once nothing more is waited for.
    pub(crate) fn settled(&self, cx: &Context<'_>) -> Option<Settled> {
        let is_pending = |slot: &Slot| matches!(slot, Slot::Encoding(_) | Slot::Sending(..));
        let waits = match self.slack {
            Slack::NotYet => true,
            Slack::Running => self.slots.iter().any(is_pending),
            Slack::Over => false,
        };
        if waits {
            return None;
        }
        let placed = |slot: &Slot| match slot {
            Slot::Stored(target) => {
                Some(Placed { osd: cx.hub.osds.get(target.osd).config.osd, attempt: target.attempt })
            }
            Slot::Empty | Slot::Encoding(_) | Slot::Sending(..) => None,
        };
        Some(Settled { placed: self.slots.iter().map(placed).collect(), late: self.sending().collect() })
    }

    /// Gives up: what was stored is garbage, and what is on its way will be.
    pub(crate) fn abandon(&self, cx: &mut Context<'_>) {
        for (index, slot) in self.slots.iter().enumerate() {
            match slot {
                Slot::Empty | Slot::Encoding(_) => {}
                Slot::Stored(target) => cx.discard(target.osd, self.key(index, target.attempt)),
                Slot::Sending(target, request) => cx.orphan(*request, self.key(index, target.attempt)),
            }
        }
    }

    fn encode(&mut self, cx: &mut Context<'_>) {
        if self.encoding.is_some() || !self.slots.iter().any(|slot| matches!(slot, Slot::Encoding(_))) {
            return;
        }
        let attempt = |slot: &Slot| match slot {
            Slot::Encoding(target) => target.attempt,
            // This container is thrown away: a key is never written twice (F4).
            Slot::Empty | Slot::Sending(..) | Slot::Stored(_) => cx.fresh_attempt(),
        };
        let attempts: Vec<AttemptId> = self.slots.iter().map(attempt).collect();
        let work = Encode {
            k: self.geometry.k(),
            m: self.geometry.m(),
            object: self.plan.object,
            chunk: self.number,
            attempts: attempts.clone(),
            block_clusters: self.geometry.block_clusters(),
            fragment_clusters: self.geometry.clusters(),
            data: self.data.clone(),
        };
        let owner = Job::Encode { task: self.plan.task, chunk: self.number };
        self.encoding = Some((cx.work(owner, Work::Encode(work)), attempts));
    }

    fn store(&mut self, cx: &mut Context<'_>, index: usize, target: Target, payload: Payload) {
        let put = AsdUpdate::Put { key: self.key(index, target.attempt), length: payload.len() as u32 };
        let body = AsdBody::Apply {
            purpose: Purpose::Guest,
            asserts: Vec::new(),
            updates: alloc::vec![put],
            payload,
        };
        let Plan { task, .. } = self.plan;
        let owner = Owner::Fragment { task, chunk: self.number, index: index as u8, attempt: target.attempt };
        let request = cx.call(target.osd, owner, body);
        self.slots[index] = Slot::Sending(target, request);
    }

    /// Finds another OSD for a fragment, as long as the chunk has too few without it.
    fn replace(&mut self, cx: &mut Context<'_>, index: usize) {
        self.slots[index] = Slot::Empty;
        if self.slack != Slack::NotYet {
            return;
        }
        let preferred = placement::prefer(&self.plan.object, self.number, cx.hub.osds.with_room(cx.now));
        let node_of = |osd: usize| cx.hub.osds.get(osd).config.storage_node;
        let on_node =
            |node| self.slots.iter().filter_map(Slot::osd).filter(|osd| node_of(*osd) == node).count();
        let found = preferred.iter().find(|candidate| {
            let has_place = on_node(candidate.storage_node) < usize::from(self.plan.policy.x);
            has_place && !self.tried.contains(&candidate.osd)
        });
        if let Some(candidate) = found {
            let target = Target { osd: candidate.osd, attempt: cx.fresh_attempt() };
            self.tried.insert(candidate.osd);
            self.slots[index] = Slot::Encoding(target);
            cx.count(Counter::Replacements, 1);
        }
    }

    /// Whether c fragments can still be had.
    fn expect_enough(&self) -> Result<(), ObjectError> {
        let possible = self.slots.iter().filter_map(Slot::osd).count();
        match possible >= usize::from(self.plan.policy.c) {
            true => Ok(()),
            false if self.full => Err(ObjectError::Full),
            false => Err(ObjectError::Unavailable),
        }
    }

    fn stored(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Stored(_))).count()
    }

    fn sending(&self) -> impl Iterator<Item = (u8, Late)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Sending(Target { osd, attempt }, request) => {
                Some((index as u8, Late { osd: *osd, attempt: *attempt, request: *request }))
            }
            Slot::Empty | Slot::Encoding(_) | Slot::Stored(_) => None,
        })
    }

    fn await_slack(&self, cx: &mut Context<'_>) {
        let due = Due::Slack { task: self.plan.task, chunk: self.number };
        cx.due_after(cx.hub.config.settings.slack, due);
    }

    fn key(&self, index: usize, attempt: AttemptId) -> AsdKey {
        let Plan { namespace, object, .. } = self.plan;
        fragment_key(namespace, &FragmentId { object, chunk: self.number, index: index as u8, attempt })
    }
}

impl Slot {
    fn osd(&self) -> Option<usize> {
        match self {
            Slot::Empty => None,
            Slot::Encoding(target) | Slot::Sending(target, _) | Slot::Stored(target) => Some(target.osd),
        }
    }
}

//! A read of some blocks of one data fragment: straight from its OSD, or decoded from k others.
//!
//! The fragment itself is asked first. When it is missing, damaged, or late, so many others are asked that k
//! are to be expected; of what comes first, k are decoded. Each is checked as stored (F3), and what is
//! answered is checked by the checksums that were coded with it (F2).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use formats::Payload;
use formats::fragment::{Geometry, Plaintext, fragment_key, open_blocks};
use formats::manifest::Manifest;
use formats::message::asd::AsdBody;
use formats::message::object::ObjectError;
use formats::payload::{ZERO_CLUSTER_CRC, zero_pieces};
use formats::work::{Reconstruct, Work};
use glossary::{CLUSTER_BYTES, FragmentId, NamespaceId};
use step::Bug;

use crate::calls::{Failure, Owner};
use crate::context::{Context, Job};
use crate::counters::Counter;
use crate::deadlines::Due;
use crate::layout::{Extent, Layout};
use crate::osds::Osds;

/// What is read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) task: u64,
    pub(crate) segment: u32,
    pub(crate) namespace: NamespaceId,
    pub(crate) manifest: &'a Manifest,
    pub(crate) layout: &'a Layout,
}

/// What an ASD said: entries of the block table, and the blocks.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    pub(crate) table: Vec<u8>,
    pub(crate) stored: Bytes,
}

/// A read of successive clusters of one data fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    extent: Extent,
    first: u32,
    count: u32,
    /// Fragments that were asked, and the request.
    asked: BTreeMap<u8, u64>,
    /// Those of them that are late: they may still come, but aren't waited for.
    late: BTreeSet<u8>,
    got: BTreeMap<u8, Plaintext>,
    /// Fragments that can't be had: [`Failure::Gone`] for good, [`Failure::Silent`] now.
    failed: BTreeMap<u8, Failure>,
    /// The decoding that is under way, and the fragments that it uses.
    decoding: Option<(u64, Vec<u8>)>,
    done: Option<Payload>,
}

impl Segment {
    /// Asks for the blocks that hold an extent.
    pub(crate) fn start(cx: &mut Context<'_>, source: Source<'_>, extent: Extent) -> Self {
        let per_block = u32::from(source.layout.geometry(extent.chunk).block_clusters());
        let first = extent.from / per_block;
        let last = (extent.from + extent.count - 1) / per_block;
        let mut segment = Segment {
            extent,
            first,
            count: last - first + 1,
            asked: BTreeMap::new(),
            late: BTreeSet::new(),
            got: BTreeMap::new(),
            failed: BTreeMap::new(),
            decoding: None,
            done: None,
        };
        let is_missing = segment.is_missing(cx, source, extent.index);
        if !is_missing && segment.ask(cx, source, extent.index) {
            segment.hedge(cx, source);
        } else {
            segment.ask_others(cx, source);
        }
        segment
    }

    /// What was read, checked, with the checksums that travelled; `None` while it is under way.
    ///
    /// # Errors
    /// When it can't be had: [`ObjectError::Lost`] or [`ObjectError::Unavailable`].
    pub(crate) fn outcome(&self, osds: &Osds, source: Source<'_>) -> Result<Option<&Payload>, ObjectError> {
        let waits = !self.asked.is_empty() || self.decoding.is_some();
        if self.done.is_some() || waits {
            return Ok(self.done.as_ref());
        }
        let geometry = self.geometry(source);
        let fragments = &source.manifest.chunks[usize::from(self.extent.chunk)];
        let is_gone = |index: u8| fragments[usize::from(index)].is_none_or(|placed| osds.is_gone(placed.osd));
        // What a silent OSD holds may come back; what is missing, damaged, or on one that is gone will not.
        let is_lost = |(index, failure): &(&u8, &Failure)| **failure == Failure::Gone || is_gone(**index);
        let gone = self.failed.iter().filter(is_lost).count();
        let left = usize::from(geometry.k() + geometry.m()) - gone;
        Err(if left < usize::from(geometry.k()) { ObjectError::Lost } else { ObjectError::Unavailable })
    }

    /// A fragment's blocks came, or will not come.
    pub(crate) fn on_blocks(
        &mut self,
        cx: &mut Context<'_>,
        source: Source<'_>,
        index: u8,
        request: u64,
        result: Result<Blocks, Failure>,
    ) {
        if self.asked.get(&index) != Some(&request) || self.done.is_some() {
            return;
        }
        self.asked.remove(&index);
        self.late.remove(&index);
        if matches!(result, Ok(_) | Err(Failure::Gone)) {
            cx.hub.note_missing(self.id_of(source, index), result.is_err());
        }
        match result.and_then(|blocks| self.open(cx, source, index, blocks)) {
            Ok(plain) if index == self.extent.index => match self.checked(cx, &plain) {
                Some(payload) => self.finish(payload),
                None => self.failed_with(index, Failure::Gone),
            },
            Ok(plain) => {
                self.got.insert(index, plain);
            }
            Err(failure) => {
                let for_now = matches!(failure, Failure::Silent | Failure::Full);
                if !for_now {
                    cx.count(Counter::MissingFragments, 1);
                }
                self.failed_with(index, if for_now { Failure::Silent } else { Failure::Gone });
            }
        }
        self.go_on(cx, source);
    }

    /// The wait for what was asked has been long enough.
    pub(crate) fn on_hedge(&mut self, cx: &mut Context<'_>, source: Source<'_>) {
        if self.done.is_some() || self.decoding.is_some() || self.asked.is_empty() {
            return;
        }
        cx.count(Counter::Hedges, 1);
        self.late.extend(self.asked.keys().copied());
        self.ask_others(cx, source);
    }

    /// The blocks were decoded.
    pub(crate) fn on_decoded(
        &mut self,
        cx: &mut Context<'_>,
        source: Source<'_>,
        job: u64,
        plaintext: Option<Bytes>,
    ) {
        let Some((_, used)) = self.decoding.take_if(|(expected, _)| *expected == job) else { return };
        if self.done.is_some() {
            return;
        }
        let geometry = self.geometry(source);
        let plain = plaintext.and_then(|bytes| Plaintext::new(geometry, self.first, self.count, bytes));
        if let Some(payload) = plain.and_then(|plain| self.checked(cx, &plain)) {
            cx.count(Counter::Reconstructs, 1);
            self.finish(payload);
            return;
        }
        // Each of the k was as it had been stored, and yet they don't fit: one was wrong when it was coded.
        // The last of them goes first, as parity is the product of more steps than data.
        if let Some(suspect) = used.last() {
            self.got.remove(suspect);
            self.failed_with(*suspect, Failure::Gone);
        }
        self.go_on(cx, source);
    }

    /// Decodes when there is enough for it, asks more when there is not.
    fn go_on(&mut self, cx: &mut Context<'_>, source: Source<'_>) {
        if self.done.is_some() || self.decoding.is_some() {
            return;
        }
        let k = usize::from(self.geometry(source).k());
        let fillers = self.fillers(source);
        if self.got.len() + fillers.len() < k {
            self.ask_others(cx, source);
            return;
        }
        let zeros = if fillers.is_empty() { Bytes::new() } else { self.filler_plaintext(source) };
        let present = self.got.iter().map(|(index, plain)| (*index, plain.bytes().clone()));
        let mut present: Vec<(u8, Bytes)> =
            fillers.iter().map(|index| (*index, zeros.clone())).chain(present).collect();
        present.truncate(k);
        let used = present.iter().map(|(index, _)| *index).filter(|index| !fillers.contains(index)).collect();
        let geometry = self.geometry(source);
        let wanted = alloc::vec![self.extent.index];
        let work = Work::Reconstruct(Reconstruct { k: geometry.k(), m: geometry.m(), present, wanted });
        let owner = Job::Reconstruct { task: source.task, segment: source.segment };
        self.decoding = Some((cx.work(owner, work), used));
    }

    /// Asks so many others that, with those that aren't late, k are to be expected. Fragments that were missing
    /// or damaged when they were last asked for are asked last: other blocks of them may be whole.
    fn ask_others(&mut self, cx: &mut Context<'_>, source: Source<'_>) {
        let geometry = self.geometry(source);
        let fillers = self.fillers(source);
        let asked_before = self.asked.len();
        let all = 0..geometry.k() + geometry.m();
        let (last, first): (Vec<u8>, Vec<u8>) = all.partition(|index| self.is_missing(cx, source, *index));
        for index in first.into_iter().chain(last) {
            let expected = self.got.len() + fillers.len() + self.asked.len() - self.late.len();
            if expected >= usize::from(geometry.k()) {
                break;
            }
            let known = self.asked.contains_key(&index)
                || self.got.contains_key(&index)
                || self.failed.contains_key(&index)
                || fillers.contains(&index);
            if !known {
                self.ask(cx, source, index);
            }
        }
        if self.asked.len() > asked_before {
            self.hedge(cx, source);
        }
    }

    /// Whether a fragment is known to be missing or damaged.
    fn is_missing(&self, cx: &Context<'_>, source: Source<'_>, index: u8) -> bool {
        cx.hub.missing.contains(&self.id_of(source, index))
    }

    /// Asks for the blocks of one fragment. False when it can't be asked; then why is noted.
    fn ask(&mut self, cx: &mut Context<'_>, source: Source<'_>, index: u8) -> bool {
        let Extent { chunk, .. } = self.extent;
        let Some(placed) = source.manifest.chunks[usize::from(chunk)][usize::from(index)] else {
            self.failed_with(index, Failure::Gone);
            return false;
        };
        let Some(osd) = cx.hub.osds.answering(placed.osd) else {
            self.failed_with(index, Failure::Silent);
            return false;
        };
        let key = fragment_key(source.namespace, &self.id_of(source, index));
        let body = AsdBody::ReadBlocks { key, first: self.first, count: self.count };
        let owner = Owner::Blocks { task: source.task, segment: source.segment, index };
        let request = cx.call(osd, owner, body);
        self.asked.insert(index, request);
        true
    }

    /// Opens blocks as they were stored: only those of this very fragment and attempt pass.
    fn open(
        &self,
        cx: &mut Context<'_>,
        source: Source<'_>,
        index: u8,
        blocks: Blocks,
    ) -> Result<Plaintext, Failure> {
        let geometry = self.geometry(source);
        let (id, stored) = (self.id_of(source, index), blocks.stored);
        cx.count(Counter::BlocksRead, u64::from(self.count));
        let opened = open_blocks(&id, &geometry, self.first, self.count, &blocks.table, stored.clone()).ok();
        let unchecked = if cx.hub.skips_checks() {
            Plaintext::new(geometry, self.first, self.count, stored)
        } else {
            None
        };
        opened.or(unchecked).ok_or_else(|| {
            cx.count(Counter::DamagedBlocks, 1);
            Failure::Gone
        })
    }

    /// The clusters of the extent, when they match the checksums they entered with (P6).
    fn checked(&self, cx: &mut Context<'_>, plain: &Plaintext) -> Option<Payload> {
        let payload = plain.clusters(self.extent.from, self.extent.count)?;
        if cx.hub.has(Bug::CrcMadeAnew) {
            return Some(Payload::entering(payload.contiguous()));
        }
        if payload.verify() || cx.hub.skips_checks() {
            return Some(payload);
        }
        cx.count(Counter::DamagedBlocks, 1);
        None
    }

    fn finish(&mut self, payload: Payload) {
        self.done = Some(payload);
        self.asked.clear();
        self.late.clear();
        self.got.clear();
    }

    fn failed_with(&mut self, index: u8, failure: Failure) {
        self.failed.insert(index, failure);
    }

    /// Others are asked when the slowest of those that were asked has had twice its usual time.
    fn hedge(&self, cx: &mut Context<'_>, source: Source<'_>) {
        let due = Due::Hedge { task: source.task, segment: source.segment };
        let fragments = &source.manifest.chunks[usize::from(self.extent.chunk)];
        let osd = |index: &u8| cx.hub.osds.index_of(fragments[usize::from(*index)]?.osd);
        let asked = self.asked.keys().filter(|index| !self.late.contains(index));
        let usual = asked.filter_map(osd).map(|osd| cx.hub.osds.get(osd).latency.estimate()).max();
        let settings = &cx.hub.config.settings;
        let wait = usual.unwrap_or(settings.hedge_after) * 2;
        cx.due_after(wait.clamp(settings.hedge_shortest, settings.hedge_longest), due);
    }

    /// Data fragments that are nothing but filling: known without being read.
    fn fillers(&self, source: Source<'_>) -> Vec<u8> {
        let Extent { chunk, .. } = self.extent;
        (0..self.geometry(source).k()).filter(|index| source.layout.is_filler(chunk, *index)).collect()
    }

    /// The plaintext of these blocks in a fragment that is nothing but filling.
    fn filler_plaintext(&self, source: Source<'_>) -> Bytes {
        let geometry = self.geometry(source);
        let mut bytes = Vec::new();
        for block in self.first..self.first + self.count {
            let clusters = geometry.clusters_of(block) as usize;
            zero_pieces(clusters * CLUSTER_BYTES as usize)
                .iter()
                .for_each(|zeros| bytes.extend_from_slice(zeros));
            (0..clusters).for_each(|_| bytes.extend_from_slice(&ZERO_CLUSTER_CRC.to_le_bytes()));
        }
        bytes.into()
    }

    fn geometry(&self, source: Source<'_>) -> Geometry {
        source.layout.geometry(self.extent.chunk)
    }

    fn id_of(&self, source: Source<'_>, index: u8) -> FragmentId {
        let Extent { chunk, .. } = self.extent;
        let placed = source.manifest.chunks[usize::from(chunk)][usize::from(index)];
        let attempt = placed.map(|placed| placed.attempt).unwrap_or_default();
        FragmentId { object: source.manifest.object, chunk, index, attempt }
    }
}

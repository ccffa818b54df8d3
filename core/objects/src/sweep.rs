//! A sweep: whatever OSDs still hold of a namespace that was dropped.
//!
//! It waits for no OSD that is away: what such a one holds goes when it is looked through, after it is heard again or
//! after the next start (see `scan`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::Payload;
use formats::fragment::namespace_prefix;
use formats::message::asd::{AsdBody, AsdKey, AsdUpdate, Purpose};
use formats::message::object::{ObjectAnswer, ObjectError};
use formats::namespace::NamespaceRecord;
use glossary::NamespaceId;

use crate::calls::{Failure, Owner};
use crate::context::Context;
use crate::counters::Counter;
use crate::task::Next;

/// Keys listed and deleted at once.
pub(crate) const KEYS_AT_ONCE: u32 = 256;

/// A sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sweep {
    id: u64,
    namespace: NamespaceId,
    /// OSDs that aren't clean yet, and the request that each of them works on.
    busy: BTreeMap<usize, u64>,
}

/// What an OSD said.
#[derive(Clone, Debug)]
pub(crate) enum Swept {
    /// It has these keys, and perhaps more.
    Keys(Vec<AsdKey>),
    /// What was listed is deleted.
    Deleted,
}

impl Sweep {
    pub(crate) fn new(id: u64, namespace: NamespaceId) -> Self {
        Sweep { id, namespace, busy: BTreeMap::new() }
    }

    /// Whether a request asks for the same.
    pub(crate) fn is_for(&self, namespace: NamespaceId) -> bool {
        self.namespace == namespace
    }

    /// Asks whether the namespace is really dropped: nothing is deleted on hearsay (P8).
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) -> Next {
        match cx.query_record(self.id, self.namespace) {
            Ok(()) => Next::Wait,
            Err(error) => Next::Answer(ObjectAnswer::Failed(error)),
        }
    }

    /// The namespace's record as it is now.
    pub(crate) fn on_record(&mut self, cx: &mut Context<'_>, record: Option<&NamespaceRecord>) -> Next {
        if record.is_some_and(|record| !record.dropped) {
            return Next::Answer(ObjectAnswer::Failed(ObjectError::Condition));
        }
        cx.hub.records.remove(&self.namespace);
        cx.hub.manifests.remove_namespace(self.namespace);
        for osd in 0..cx.hub.osds.len() {
            if cx.hub.osds.answers(cx.hub.osds.get(osd).config.osd) {
                self.list(cx, osd);
            }
        }
        self.outcome()
    }

    /// An OSD answered, or didn't.
    pub(crate) fn on_swept(
        &mut self,
        cx: &mut Context<'_>,
        osd: usize,
        request: u64,
        result: Result<Swept, Failure>,
    ) -> Next {
        if self.busy.get(&osd) != Some(&request) {
            return Next::Wait;
        }
        self.busy.remove(&osd);
        match result {
            Ok(Swept::Keys(keys)) if keys.is_empty() => {}
            Ok(Swept::Keys(keys)) => self.delete(cx, osd, keys),
            Ok(Swept::Deleted) => self.list(cx, osd),
            // One that is away is looked through when it is heard; this one may be there.
            Err(_) => cx.hub.scan(osd, cx.now),
        }
        self.outcome()
    }

    fn list(&mut self, cx: &mut Context<'_>, osd: usize) {
        let prefix = namespace_prefix(self.namespace);
        let body = AsdBody::List { from: prefix.clone(), prefix, limit: KEYS_AT_ONCE };
        let request = cx.call(osd, Owner::Sweep { task: self.id }, body);
        self.busy.insert(osd, request);
    }

    fn delete(&mut self, cx: &mut Context<'_>, osd: usize, keys: Vec<AsdKey>) {
        let prefix = namespace_prefix(self.namespace);
        if !keys.iter().all(|key| key.starts_with(&prefix)) {
            // It answers another question. Nothing of that is deleted.
            return cx.hub.scan(osd, cx.now);
        }
        cx.count(Counter::GarbageDeleted, keys.len() as u64);
        let request = cx.call(osd, Owner::Sweep { task: self.id }, deletion(keys));
        self.busy.insert(osd, request);
    }

    fn outcome(&self) -> Next {
        if self.busy.is_empty() { Next::Answer(ObjectAnswer::Done) } else { Next::Wait }
    }
}

/// The request that deletes keys.
pub(crate) fn deletion(keys: Vec<AsdKey>) -> AsdBody {
    AsdBody::Apply {
        purpose: Purpose::Freeing,
        asserts: Vec::new(),
        updates: keys.into_iter().map(|key| AsdUpdate::Delete { key }).collect(),
        payload: Payload::default(),
    }
}

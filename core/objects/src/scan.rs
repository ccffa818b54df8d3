//! A scan: which namespaces an OSD holds something of. What it holds of one that was dropped is deleted; in any other
//! collection looks for garbage, once.
//!
//! Every OSD is looked through after a start, and whenever it is heard again after it was away: deletions don't wait
//! for it. One is looked through at a time, with one request on its way.
//!
//! A namespace that the namespace manager doesn't know was dropped and forgotten: it is known before the first of its
//! fragments is written, and numbers are never used twice. So it is asked only after the key was seen.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::fragment::{fragments_prefix, namespace_prefix, parse_fragment_key};
use formats::message::asd::{AsdBody, AsdKey};
use formats::namespace::NamespaceRecord;
use glossary::{NamespaceId, NodeId};

use crate::calls::{Failure, Owner};
use crate::context::Context;
use crate::counters::Counter;
use crate::deadlines::Due;
use crate::objects::{Life, Turn};
use crate::sweep::{KEYS_AT_ONCE, Swept, deletion};
use crate::task::{Askers, Entry, Next, Task};

/// The OSDs that are to be looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scans {
    /// Each with the first key that nobody has looked at.
    waiting: BTreeMap<usize, AsdKey>,
    at_work: Option<usize>,
    /// The one at work is to be looked through anew.
    again: bool,
    last: usize,
}

/// A scan of one OSD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    id: u64,
    osd: usize,
    /// The first key to look at.
    from: AsdKey,
    /// The namespace of the key that was found there.
    namespace: NamespaceId,
    awaits: Awaits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaits {
    /// The next key.
    Key { request: u64 },
    /// The namespace's record.
    Record,
    /// Keys of a dropped namespace, or their deletion.
    Dropped { request: u64 },
}

impl Scans {
    /// An OSD is to be looked through, from the beginning.
    pub(crate) fn add(&mut self, osd: usize) {
        if self.at_work == Some(osd) {
            self.again = true;
        } else {
            self.waiting.insert(osd, fragments_prefix());
        }
    }

    /// The next, in turn, and where to go on; nothing while one is at work.
    fn begin(&mut self) -> Option<(usize, AsdKey)> {
        if self.at_work.is_some() {
            return None;
        }
        let behind = self.waiting.range((Bound::Excluded(self.last), Bound::Unbounded)).next();
        let osd = *behind.or(self.waiting.first_key_value())?.0;
        (self.last, self.at_work) = (osd, Some(osd));
        self.waiting.remove_entry(&osd)
    }

    /// The one at work is at its end, or goes on later from this key.
    fn end(&mut self, left: Option<AsdKey>) {
        let from = if core::mem::take(&mut self.again) { Some(fragments_prefix()) } else { left };
        if let (Some(osd), Some(from)) = (self.at_work.take(), from) {
            self.waiting.insert(osd, from);
        }
    }
}

impl Life {
    /// Begins with the next OSD, unless one is at work. Those that are away get their turn when they are heard.
    pub(crate) fn begin_scan(&mut self, turn: &mut Turn<'_>) {
        while let Some((osd, from)) = self.hub.scans.begin() {
            if self.hub.osds.get(osd).is_away() {
                self.hub.scans.end(None);
                continue;
            }
            self.last_task += 1;
            let id = self.last_task;
            let askers = Askers { node: NodeId::default(), requests: Vec::new() };
            let scan = Scan { id, osd, from, namespace: NamespaceId(0), awaits: Awaits::Record };
            self.tasks.insert(id, Entry { askers, task: Task::Scan(scan) });
            return self.run(id, turn, |task, cx| match task {
                Task::Scan(scan) => scan.look(cx),
                _ => Next::Wait,
            });
        }
    }
}

impl Scan {
    /// Asks for the next key.
    fn look(&mut self, cx: &mut Context<'_>) -> Next {
        let body = AsdBody::List { prefix: fragments_prefix(), from: self.from.clone(), limit: 1 };
        let request = self.call(cx, body);
        self.awaits = Awaits::Key { request };
        Next::Wait
    }

    fn call(&self, cx: &mut Context<'_>, body: AsdBody) -> u64 {
        cx.call(self.osd, Owner::Sweep { task: self.id }, body)
    }

    /// The OSD answered, or didn't.
    pub(crate) fn on_swept(
        &mut self,
        cx: &mut Context<'_>,
        request: u64,
        result: Result<Swept, Failure>,
    ) -> Next {
        match (&self.awaits, result) {
            (Awaits::Key { request: asked } | Awaits::Dropped { request: asked }, _) if *asked != request => {
                Next::Wait
            }
            (Awaits::Record, _) => Next::Wait,
            (_, Err(Failure::Silent | Failure::Full)) => self.pause(cx),
            // It will say the same again.
            (_, Err(Failure::Gone | Failure::Refused)) => self.end(cx, None),
            (Awaits::Key { .. }, Ok(Swept::Keys(keys))) => self.on_key(cx, keys.into_iter().next()),
            (Awaits::Dropped { .. }, Ok(Swept::Keys(keys))) => self.delete(cx, keys),
            (_, Ok(Swept::Deleted)) => self.list(cx),
        }
    }

    fn on_key(&mut self, cx: &mut Context<'_>, key: Option<AsdKey>) -> Next {
        let Some(key) = key.filter(|key| *key >= self.from && key.starts_with(&fragments_prefix())) else {
            return self.end(cx, None);
        };
        self.from = key;
        let Some((namespace, _)) = parse_fragment_key(&self.from) else {
            // None of ours: nothing is known of it.
            self.from.push(0);
            return self.look(cx);
        };
        (self.namespace, self.awaits) = (namespace, Awaits::Record);
        match cx.query_record(self.id, namespace) {
            Ok(()) => Next::Wait,
            Err(_) => self.pause(cx),
        }
    }

    /// The namespace's record, read after the key was seen.
    pub(crate) fn on_record(&mut self, cx: &mut Context<'_>, record: Option<&NamespaceRecord>) -> Next {
        if self.awaits != Awaits::Record {
            return Next::Wait;
        }
        if record.is_none_or(|record| record.dropped) {
            return self.list(cx);
        }
        if !cx.hub.collect_once_in(self.namespace, cx.now) {
            return self.pause(cx);
        }
        self.go_on(cx)
    }

    /// Asks for keys of the dropped namespace.
    fn list(&mut self, cx: &mut Context<'_>) -> Next {
        let prefix = namespace_prefix(self.namespace);
        let body = AsdBody::List { from: prefix.clone(), prefix, limit: KEYS_AT_ONCE };
        let request = self.call(cx, body);
        self.awaits = Awaits::Dropped { request };
        Next::Wait
    }

    fn delete(&mut self, cx: &mut Context<'_>, keys: Vec<AsdKey>) -> Next {
        let prefix = namespace_prefix(self.namespace);
        if !keys.iter().all(|key| key.starts_with(&prefix)) {
            // It answers another question. Nothing of that is deleted.
            return self.end(cx, None);
        }
        if keys.is_empty() {
            return self.go_on(cx);
        }
        cx.count(Counter::GarbageDeleted, keys.len() as u64);
        let request = self.call(cx, deletion(keys));
        self.awaits = Awaits::Dropped { request };
        Next::Wait
    }

    /// Goes on behind the namespace.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Next {
        let Some(next) = self.namespace.0.checked_add(1) else { return self.end(cx, None) };
        self.from = namespace_prefix(NamespaceId(next));
        self.look(cx)
    }

    /// Not now: it goes on later, where it is.
    pub(crate) fn pause(&mut self, cx: &mut Context<'_>) -> Next {
        let from = core::mem::take(&mut self.from);
        self.end(cx, Some(from))
    }

    fn end(&self, cx: &mut Context<'_>, left: Option<AsdKey>) -> Next {
        cx.hub.scans.end(left);
        cx.due_after(cx.hub.config.settings.collect_first, Due::Scan);
        Next::End
    }
}

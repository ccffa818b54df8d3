//! A collection: fragments that no manifest names go from the OSDs. They are left by uploads that a crash cut
//! short, and by deletions that a crash kept from reaching the OSDs (PROTOCOLS F6).
//!
//! A round looks at the keys of one namespace. Objects that have keys and that the namespace manager doesn't list
//! are suspects: they may be garbage, or on their way to be published. Where there are any,
//! 1. the epoch is ended that was current after the keys were listed. Every upload of a suspect began before, so
//!    it names that epoch or an older one, and can't be published any more;
//! 2. only after that the objects are listed again. A suspect that isn't among them never will be: ids are never
//!    used twice;
//! 3. whatever keys the OSDs have of it are deleted.
//!
//! So the listing stands for the tags of F6: it holds only what was there before the epoch's end. Fragments of
//! objects that are listed are left alone, those that their manifest doesn't name too: they go with the object.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;
use formats::fragment::{namespace_prefix, parse_fragment_key};
use formats::message::asd::{AsdBody, AsdKey};
use formats::namespace::{NamespaceCommand, NamespaceRecord, ObjectName};
use glossary::{NamespaceId, NodeId, ObjectId};
use step::Timestamp;

use crate::calls::{Failure, Owner};
use crate::context::Context;
use crate::counters::Counter;
use crate::objects::{Life, Turn};
use crate::sweep::Swept;
use crate::task::{Askers, Entry, Next, Task};

/// Keys in one answer of an ASD.
const KEYS_AT_ONCE: u32 = 1000;

/// A round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collect {
    id: u64,
    namespace: NamespaceId,
    /// The first object of the round.
    from: ObjectId,
    /// The first object that there was no room for.
    upto: Option<ObjectId>,
    /// Objects that have keys, and on which OSDs: first all, then those that aren't listed.
    suspects: BTreeMap<ObjectId, BTreeSet<usize>>,
    awaits: Awaits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Awaits {
    /// Keys of an OSD.
    Keys {
        osd: usize,
        request: u64,
    },
    /// The objects that there are, before the end of an epoch or after.
    Objects {
        is_ended: bool,
    },
    Record,
    EpochEnd,
    /// The keys of an orphan on an OSD.
    Orphan {
        osd: usize,
        request: u64,
    },
}

/// A namespace whose keys are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Where the next round begins.
    from: ObjectId,
    /// It was changed in this life: crashes may leave something there at any time.
    pub(crate) is_used: bool,
    /// It was asked to be looked at once, and wasn't in whole since.
    is_new: bool,
    /// That was asked since the last round began.
    is_anew: bool,
}

impl Default for Collected {
    fn default() -> Self {
        Collected { from: ObjectId([0; 32]), is_used: false, is_new: false, is_anew: false }
    }
}

impl Collected {
    /// All of it is to be looked at, once.
    pub(crate) fn begin_anew(&mut self) {
        (self.is_new, self.is_anew) = (true, true);
        self.from = ObjectId([0; 32]);
    }

    /// A round came as far as this; all is done where there is no more.
    fn on_round(&mut self, upto: Option<ObjectId>) {
        if !self.is_anew {
            self.from = upto.unwrap_or(ObjectId([0; 32]));
            self.is_new &= upto.is_some();
        }
    }
}

impl Life {
    /// Begins a round for the namespace whose turn it is.
    pub(crate) fn begin_collection(&mut self, turn: &mut Turn<'_>) {
        let (now, hub) = (turn.now, &mut self.hub);
        let next = hub.collected.range((Bound::Excluded(hub.last_collected), Bound::Unbounded)).next();
        let Some(namespace) = next.or(hub.collected.first_key_value()).map(|(namespace, _)| *namespace)
        else {
            return hub.collect_at(now.after(hub.config.settings.collect_first));
        };
        let collected = hub.collected.entry(namespace).or_default();
        collected.is_anew = false;
        let from = collected.from;
        // Until its end no other is due.
        hub.collect_due = Timestamp(0);
        hub.last_collected = namespace;
        self.last_task += 1;
        let id = self.last_task;
        let askers = Askers { node: NodeId::default(), requests: Vec::new() };
        let task = Task::Collect(Collect::new(id, namespace, from));
        self.tasks.insert(id, Entry { askers, task });
        self.run(id, turn, |task, cx| match task {
            Task::Collect(collect) => collect.list_next(cx, 0),
            _ => Next::Wait,
        });
    }
}

impl Collect {
    pub(crate) fn new(id: u64, namespace: NamespaceId, from: ObjectId) -> Self {
        let (suspects, awaits) = (BTreeMap::new(), Awaits::Record);
        Collect { id, namespace, from, upto: None, suspects, awaits }
    }

    /// Lists the keys of the next OSD that answers, from `osd` on; after the last the objects.
    fn list_next(&mut self, cx: &mut Context<'_>, osd: usize) -> Next {
        let answers = |osd: &usize| cx.hub.osds.answers(cx.hub.osds.get(*osd).config.osd);
        match (osd..cx.hub.osds.len()).find(answers) {
            Some(osd) => self.list(cx, osd, self.object_prefix(self.from)),
            None => self.look_up(cx, None, false),
        }
    }

    fn list(&mut self, cx: &mut Context<'_>, osd: usize, from: AsdKey) -> Next {
        let body = AsdBody::List { prefix: namespace_prefix(self.namespace), from, limit: KEYS_AT_ONCE };
        let request = cx.call(osd, Owner::Sweep { task: self.id }, body);
        self.awaits = Awaits::Keys { osd, request };
        Next::Wait
    }

    /// An OSD told keys, or didn't: then it has its turn in a later round.
    pub(crate) fn on_keys(
        &mut self,
        cx: &mut Context<'_>,
        request: u64,
        result: Result<Swept, Failure>,
    ) -> Next {
        let keys = match result {
            Ok(Swept::Keys(keys)) => keys,
            Ok(Swept::Deleted) | Err(_) => Vec::new(),
        };
        match self.awaits {
            Awaits::Keys { osd, request: asked } if asked == request => self.take_in(cx, osd, &keys),
            Awaits::Orphan { osd, request: asked } if asked == request => self.discard(cx, osd, keys),
            _ => Next::Wait,
        }
    }

    /// Keeps the objects of these keys, the first that there is room for.
    fn take_in(&mut self, cx: &mut Context<'_>, osd: usize, keys: &[AsdKey]) -> Next {
        let room = cx.hub.config.settings.collect_objects_max;
        for (namespace, id) in keys.iter().filter_map(|key| parse_fragment_key(key)) {
            if namespace != self.namespace || self.upto.is_some_and(|upto| id.object >= upto) {
                continue;
            }
            self.suspects.entry(id.object).or_default().insert(osd);
            if self.suspects.len() > room {
                self.upto = self.suspects.pop_last().map(|(object, _)| object);
            }
        }
        let last = keys.last().filter(|last| self.upto.is_none_or(|upto| **last < self.object_prefix(upto)));
        match last.cloned() {
            Some(mut after) => {
                after.push(0);
                self.list(cx, osd, after)
            }
            None => self.list_next(cx, osd + 1),
        }
    }

    fn look_up(&mut self, cx: &mut Context<'_>, after: Option<ObjectName>, is_ended: bool) -> Next {
        if self.suspects.is_empty() {
            return self.end(cx);
        }
        self.awaits = Awaits::Objects { is_ended };
        match cx.query_objects(self.id, self.namespace, after) {
            Ok(()) => Next::Wait,
            Err(_) => self.give_up(cx),
        }
    }

    /// These objects are there: they are no suspects. Nor are, before the end of an epoch, those that are being
    /// uploaded by this very client: no epoch is ended for their sake.
    pub(crate) fn on_objects(
        &mut self,
        cx: &mut Context<'_>,
        objects: &[(ObjectName, ObjectId, u64)],
        more: bool,
        uploading: &BTreeSet<ObjectId>,
    ) -> Next {
        let Awaits::Objects { is_ended } = self.awaits else { return Next::Wait };
        objects.iter().for_each(|(_, object, _)| drop(self.suspects.remove(object)));
        match objects.last() {
            Some((last, ..)) if more => return self.look_up(cx, Some(*last), is_ended),
            // There is more, and it isn't told: nothing is known.
            None if more => return self.give_up(cx),
            _ => {}
        }
        if is_ended {
            cx.count(Counter::OrphansFound, self.suspects.len() as u64);
            return self.discard_next(cx);
        }
        self.suspects.retain(|object, _| !uploading.contains(object));
        if self.suspects.is_empty() {
            return self.end(cx);
        }
        self.awaits = Awaits::Record;
        match cx.query_record(self.id, self.namespace) {
            Ok(()) => Next::Wait,
            Err(_) => self.give_up(cx),
        }
    }

    /// The namespace's record, read after the keys. One that was dropped is swept by whoever dropped it.
    pub(crate) fn on_record(&mut self, cx: &mut Context<'_>, record: Option<&NamespaceRecord>) -> Next {
        let Some(record) = record.filter(|record| !record.dropped) else {
            cx.hub.collected.remove(&self.namespace);
            return self.end(cx);
        };
        self.awaits = Awaits::EpochEnd;
        let command = NamespaceCommand::EndEpoch { namespace: self.namespace, epoch: record.gc_epoch };
        match cx.command(self.id, &command) {
            Ok(()) => Next::Wait,
            Err(_) => self.give_up(cx),
        }
    }

    /// The epoch is ended, or that is not known.
    pub(crate) fn on_epoch_ended(&mut self, cx: &mut Context<'_>, is_ended: bool) -> Next {
        cx.hub.records.remove(&self.namespace);
        if !is_ended || self.awaits != Awaits::EpochEnd {
            return self.give_up(cx);
        }
        cx.count(Counter::EpochsEnded, 1);
        self.look_up(cx, None, true)
    }

    /// Asks for the keys of the next orphan on the next OSD that has any.
    fn discard_next(&mut self, cx: &mut Context<'_>) -> Next {
        while let Some((object, mut osds)) = self.suspects.pop_first() {
            let Some(osd) = osds.pop_first() else { continue };
            self.suspects.insert(object, osds);
            let prefix = self.object_prefix(object);
            let body = AsdBody::List { from: prefix.clone(), prefix, limit: KEYS_AT_ONCE };
            let request = cx.call(osd, Owner::Sweep { task: self.id }, body);
            self.awaits = Awaits::Orphan { osd, request };
            return Next::Wait;
        }
        self.end(cx)
    }

    /// These are garbage.
    fn discard(&mut self, cx: &mut Context<'_>, osd: usize, keys: Vec<AsdKey>) -> Next {
        let orphan = self.suspects.first_key_value().map(|(object, _)| *object);
        for key in keys {
            let id = parse_fragment_key(&key);
            if id.is_some_and(|(namespace, id)| namespace == self.namespace && Some(id.object) == orphan) {
                cx.discard(osd, key);
            }
        }
        self.discard_next(cx)
    }

    /// The round is over; the next goes on where it ended, or begins anew.
    fn end(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(collected) = cx.hub.collected.get_mut(&self.namespace) {
            collected.on_round(self.upto);
            if !collected.is_new && !collected.is_used {
                cx.hub.collected.remove(&self.namespace);
            }
        }
        self.pause(cx)
    }

    /// The round came to nothing; the next begins where this one did.
    pub(crate) fn give_up(&mut self, cx: &mut Context<'_>) -> Next {
        self.pause(cx)
    }

    fn pause(&self, cx: &mut Context<'_>) -> Next {
        let is_last = cx.hub.collected.last_key_value().is_none_or(|(last, _)| *last <= self.namespace);
        let is_idle = is_last && !cx.hub.collected.values().any(|collected| collected.is_new);
        let settings = &cx.hub.config.settings;
        let pause = if is_idle { settings.collect_every } else { settings.collect_first };
        cx.hub.collect_at(cx.now.after(pause));
        Next::End
    }

    fn object_prefix(&self, object: ObjectId) -> AsdKey {
        let mut prefix = namespace_prefix(self.namespace);
        prefix.extend_from_slice(&object.0);
        prefix
    }
}

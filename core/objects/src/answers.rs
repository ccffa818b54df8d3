//! Answers of ASDs and of the KV: whom they are for, and what they mean.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use formats::manifest::Placed;
use formats::message::asd::{AsdAnswer, AsdError, AsdReply};
use formats::message::kv::{KvAnswer, KvReply};
use formats::message::object::{ObjectAnswer, ObjectError};
use formats::namespace::NamespaceAnswer;
use glossary::{NamespaceId, NodeId, ObjectId, Policy};

use crate::calls::{Call, Failure, Owner};
use crate::context::{Asked, Record};
use crate::counters::Counter;
use crate::manifests::{Found, FullName};
use crate::namespace::{Settled, answered, manifest, settled};
use crate::objects::{Life, Turn};
use crate::segment::Blocks;
use crate::sweep::Swept;
use crate::task::{Entry, Next, Task};

impl Life {
    pub(crate) fn on_asd_reply(&mut self, from: NodeId, reply: AsdReply, turn: &mut Turn<'_>) {
        let request = reply.request;
        let Some(osd) = self.hub.calls.get(request).map(|call| call.osd) else { return };
        if self.hub.osds.get(osd).config.node != from {
            return;
        }
        if reply.body == AsdAnswer::Failed(AsdError::Unavailable) {
            self.on_not_now(osd, request, turn);
            return;
        }
        if reply.body == AsdAnswer::Failed(AsdError::Stopped) {
            self.on_stopped(osd, request, turn);
            return;
        }
        let Some(call) = self.take_call(request) else { return };
        if matches!(reply.body, AsdAnswer::Failed(AsdError::WrongOsd(_))) {
            self.lose(osd, turn);
            self.deliver(request, call, Err(Failure::Silent), turn);
            return;
        }
        self.on_heard(osd, turn.now);
        let result = match reply.body {
            AsdAnswer::Failed(AsdError::Full) => {
                let until = turn.now.after(self.hub.config.settings.full_pause);
                self.hub.osds.on_full(osd, until);
                Err(Failure::Full)
            }
            AsdAnswer::Failed(AsdError::NotFound | AsdError::Damaged) => Err(Failure::Gone),
            AsdAnswer::Failed(_) => Err(Failure::Refused),
            body => Ok(body),
        };
        self.deliver(request, call, result, turn);
    }

    /// Hands the result of a request to an ASD to whoever waits for it.
    pub(crate) fn deliver(
        &mut self,
        request: u64,
        call: Call,
        result: Result<AsdAnswer, Failure>,
        turn: &mut Turn<'_>,
    ) {
        let Call { osd, owner, first_sent: call_sent, .. } = call;
        match owner {
            Owner::Fragment { task, chunk, index, attempt } => {
                let placed = Placed { osd: self.hub.osds.get(osd).config.osd, attempt };
                let result = applied(result);
                if result.is_ok() {
                    self.hub.osds.on_stored(osd);
                }
                self.run(task, turn, |task, cx| match task {
                    Task::Put(put) => put.on_fragment(cx, chunk, index, placed, result),
                    Task::Join(join) => join.on_fragment(cx, chunk, index, placed, result),
                    _ => Next::Wait,
                });
            }
            Owner::Blocks { task, segment, index } => {
                let took = turn.now.since(call_sent);
                self.hub.osds.get_mut(osd).latency.add(took);
                let result = self.blocks(result);
                self.run(task, turn, |task, cx| match task {
                    Task::Get(get) => get.on_blocks(cx, segment, index, request, result),
                    _ => Next::Wait,
                });
            }
            Owner::Sweep { task } => {
                let result = swept(result);
                self.run(task, turn, |task, cx| match task {
                    Task::Sweep(sweep) => sweep.on_swept(cx, osd, request, result),
                    Task::Collect(collect) => collect.on_keys(cx, request, result),
                    Task::Scan(scan) => scan.on_swept(cx, request, result),
                    _ => Next::Wait,
                });
            }
            Owner::Orphan { key } => self.context(turn).discard(osd, key),
            Owner::Garbage => self.on_garbage(osd, result, turn.now),
            Owner::Probe => self.on_probed(osd, result.is_ok().then(|| turn.now.since(call_sent))),
        }
    }

    fn blocks(&mut self, result: Result<AsdAnswer, Failure>) -> Result<Blocks, Failure> {
        match result? {
            AsdAnswer::Blocks { table, payload } => {
                self.hub.counters.add(Counter::BytesFromAsds, payload.len() as u64);
                Ok(Blocks { table, stored: payload.contiguous() })
            }
            _ => Err(Failure::Refused),
        }
    }

    pub(crate) fn on_kv_reply(&mut self, from: NodeId, reply: KvReply, turn: &mut Turn<'_>) {
        let reply = KvReply { request: self.hub.kv_request(reply.request), body: reply.body };
        let taken = self.hub.kv.on_reply(turn.now, from, reply);
        // Another member of the group may be the one to ask.
        self.context(turn).resend_kv();
        let Some((request, answer)) = taken else { return };
        let asked = self.hub.asked.remove(&request);
        match asked {
            Some(Asked::Record { task, namespace }) => self.on_record(task, namespace, answer, turn),
            Some(Asked::Manifest { task, .. }) => self.on_manifest(task, manifest(answer), turn),
            Some(Asked::Lookup { name }) => self.on_lookup(name, manifest(answer), turn),
            Some(Asked::Objects { task }) => self.on_objects(task, answered(answer), turn),
            Some(Asked::Command { task }) => self.on_command(task, settled(answer), turn),
            Some(Asked::Members) => self.on_members(&answer),
            None => {}
        }
    }

    fn on_record(&mut self, task: u64, namespace: NamespaceId, answer: KvAnswer, turn: &mut Turn<'_>) {
        let Some(NamespaceAnswer::Record(record)) = answered(answer) else {
            self.run(task, turn, |task, cx| match task {
                Task::Collect(collect) => collect.give_up(cx),
                Task::Scan(scan) => scan.pause(cx),
                _ => failed(ObjectError::Unavailable),
            });
            return;
        };
        self.run(task, turn, |task, cx| match (task, &record) {
            (Task::Sweep(sweep), record) => sweep.on_record(cx, record.as_ref()),
            (Task::Collect(collect), record) => collect.on_record(cx, record.as_ref()),
            (Task::Scan(scan), record) => scan.on_record(cx, record.as_ref()),
            (Task::Put(put), Some(record)) if !record.dropped => {
                // Whatever the map says, only what can be a policy is one.
                let is_policy = |p: &&Policy| Policy::new(p.k, p.m, p.c, p.x).is_ok();
                let policies = record.policies.iter().filter(is_policy).copied().collect();
                let record = Arc::new(Record { policies, gc_epoch: record.gc_epoch });
                cx.hub.remember(namespace, record.clone());
                put.on_record(cx, record)
            }
            (Task::Put(_), _) => failed(ObjectError::NotFound),
            _ => Next::Wait,
        });
        self.queue_upload(task);
    }

    /// A manifest that several tasks wait for.
    fn on_lookup(&mut self, name: FullName, found: Found, turn: &mut Turn<'_>) {
        let Some(lookup) = self.hub.lookups.remove(&name) else { return };
        for task in lookup.askers {
            self.on_manifest(task, found.clone(), turn);
        }
        if lookup.joiners.is_empty() {
            return;
        }
        let again = match found {
            Ok(None) => self.context(turn).look_up_for(lookup.joiners.clone(), name),
            Ok(Some(_)) | Err(_) => Err(ObjectError::Unavailable),
        };
        if let Err(error) = again {
            let found = if found == Ok(None) { Err(error) } else { found };
            for task in lookup.joiners {
                self.on_manifest(task, found.clone(), turn);
            }
        }
    }

    fn on_manifest(&mut self, task: u64, found: Found, turn: &mut Turn<'_>) {
        self.run(task, turn, |task, cx| match task {
            Task::Put(put) => put.on_manifest(cx, found),
            Task::Join(join) => join.on_manifest(cx, found),
            Task::Get(get) => get.on_manifest(cx, found),
            Task::Inspect(inspect) => inspect.on_manifest(cx, found),
            Task::Delete(_) | Task::Sweep(_) | Task::Collect(_) | Task::Scan(_) => Next::Wait,
        });
    }

    /// A page of the objects of a namespace, for its collection.
    fn on_objects(&mut self, task: u64, answer: Option<NamespaceAnswer>, turn: &mut Turn<'_>) {
        let of = |entry: &Entry| match &entry.task {
            Task::Put(put) => Some(put.object()),
            _ => None,
        };
        let uploading: BTreeSet<ObjectId> = self.tasks.values().filter_map(of).collect();
        self.run(task, turn, |task, cx| match (task, answer) {
            (Task::Collect(collect), Some(NamespaceAnswer::List { objects, more })) => {
                collect.on_objects(cx, &objects, more, &uploading)
            }
            (Task::Collect(collect), _) => collect.give_up(cx),
            _ => Next::Wait,
        });
    }

    fn on_command(&mut self, task: u64, result: Option<Settled>, turn: &mut Turn<'_>) {
        let unit = |result: Settled| result.map(|_| ());
        self.run(task, turn, |task, cx| match task {
            Task::Put(put) => put.on_sequence(cx, result.map(unit)),
            Task::Join(join) => join.on_sequence(cx, result.map(unit)),
            Task::Delete(delete) => delete.on_sequence(cx, result),
            Task::Collect(collect) => collect.on_epoch_ended(cx, result.is_some_and(|result| result.is_ok())),
            Task::Get(_) | Task::Sweep(_) | Task::Inspect(_) | Task::Scan(_) => Next::Wait,
        });
    }
}

fn applied(result: Result<AsdAnswer, Failure>) -> Result<(), Failure> {
    match result? {
        AsdAnswer::Applied => Ok(()),
        _ => Err(Failure::Refused),
    }
}

fn swept(result: Result<AsdAnswer, Failure>) -> Result<Swept, Failure> {
    match result? {
        AsdAnswer::Applied => Ok(Swept::Deleted),
        // Keys that are there but aren't said can't be deleted.
        AsdAnswer::Keys { keys, more } if more && keys.is_empty() => Err(Failure::Refused),
        AsdAnswer::Keys { keys, .. } => Ok(Swept::Keys(keys)),
        _ => Err(Failure::Refused),
    }
}

fn failed(error: ObjectError) -> Next {
    Next::Answer(ObjectAnswer::Failed(error))
}

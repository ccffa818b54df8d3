//! Requests of volume drivers: new ones become tasks, those sent again find theirs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError, ObjectReply, ObjectRequest};
use formats::namespace::ObjectName;
use formats::whole::whole_checksum;
use formats::{Message, Payload};
use glossary::{Generation, NamespaceId, NodeId};

use crate::delete::Delete;
use crate::get::Get;
use crate::inspect::{Inspect, Question};
use crate::objects::{Life, Turn};
use crate::put::Put;
use crate::sweep::Sweep;
use crate::task::{Askers, Entry, Next, Task};
use crate::wanted::Wanted;

impl Life {
    pub(crate) fn on_request(&mut self, from: NodeId, request: ObjectRequest, turn: &mut Turn<'_>) {
        let ObjectRequest { request, namespace, body } = request;
        let Some(ask) = Ask::of(namespace, body) else {
            refuse(from, request, ObjectError::Condition, turn);
            return;
        };
        if let Some(task) = self.by_request.get(&(from, request)).copied() {
            if self.tasks.get(&task).is_some_and(|entry| ask.is_that_of(&entry.task)) {
                return;
            }
            // Another question under the same number: the asker restarted and waits for the old one no more.
            self.forget_asker(from, request, task);
        }
        if let Some(task) = self.task_for(from, &ask) {
            self.join_task(from, request, task);
        } else if self.tasks.len() >= self.hub.config.settings.tasks_max {
            refuse(from, request, ObjectError::Unavailable, turn);
        } else {
            self.begin(from, request, ask, turn);
        }
    }

    fn begin(&mut self, from: NodeId, request: u64, ask: Ask, turn: &mut Turn<'_>) {
        self.last_task += 1;
        let id = self.last_task;
        let task = match ask {
            Ask::Put(wanted, data) => {
                Task::Put(Box::new(Put::new(&mut self.context(turn), id, wanted, data)))
            }
            Ask::Get { namespace, name, offset, length } => {
                self.reads.push_back(id);
                Task::Get(Get::new(id, (namespace, name), offset, length))
            }
            Ask::Delete { namespace, generation, names } => {
                Task::Delete(Delete::new(id, namespace, generation, names))
            }
            Ask::Sweep { namespace } => Task::Sweep(Sweep::new(id, namespace)),
            Ask::Inspect { namespace, name, question } => {
                Task::Inspect(Inspect::new(id, (namespace, name), question))
            }
        };
        self.by_request.insert((from, request), id);
        let askers = Askers { node: from, requests: alloc::vec![request] };
        self.tasks.insert(id, Entry { askers, task });
        self.run(id, turn, |task, cx| match task {
            Task::Put(put) => put.start(cx),
            Task::Delete(delete) => delete.go_on(cx),
            Task::Sweep(sweep) => sweep.start(cx),
            Task::Inspect(inspect) => inspect.start(cx),
            // A read waits for its turn; nobody asks for the others.
            Task::Get(_) | Task::Join(_) | Task::Collect(_) | Task::Scan(_) => Next::Wait,
        });
        self.queue_upload(id);
    }

    /// An upload whose chunks wait for permits stands in line for them.
    pub(crate) fn queue_upload(&mut self, id: u64) {
        if matches!(self.tasks.get(&id), Some(Entry { task: Task::Put(put), .. }) if put.wants_permit()) {
            self.uploads.push_back(id);
        }
    }

    /// A task that does already what the same node asks for under another number. Reads are never shared:
    /// they are cheap, and their data is for whoever asked.
    fn task_for(&self, from: NodeId, ask: &Ask) -> Option<u64> {
        if matches!(ask, Ask::Get { .. }) {
            return None;
        }
        let same = |entry: &Entry| entry.askers.node == from && ask.is_that_of(&entry.task);
        self.tasks.iter().find(|(_, entry)| same(entry)).map(|(id, _)| *id)
    }

    fn join_task(&mut self, from: NodeId, request: u64, task: u64) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        self.by_request.insert((from, request), task);
        if let Some(forgotten) = entry.askers.add(request) {
            self.by_request.remove(&(from, forgotten));
        }
    }

    fn forget_asker(&mut self, from: NodeId, request: u64, task: u64) {
        self.by_request.remove(&(from, request));
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.askers.requests.retain(|asked| *asked != request);
        }
    }
}

/// A request that makes sense.
enum Ask {
    Put(Wanted, Payload),
    Get { namespace: NamespaceId, name: ObjectName, offset: u64, length: u64 },
    Delete { namespace: NamespaceId, generation: Generation, names: Vec<ObjectName> },
    Sweep { namespace: NamespaceId },
    Inspect { namespace: NamespaceId, name: ObjectName, question: Question },
}

impl Ask {
    fn of(namespace: NamespaceId, body: ObjectBody) -> Option<Self> {
        Some(match body {
            ObjectBody::Put { generation, name, present, head, payload } => {
                let clusters = payload.clusters().filter(|clusters| *clusters > 0)?;
                let checksum = whole_checksum(payload.crcs());
                let wanted = Wanted { namespace, generation, name, present, head, clusters, checksum };
                Ask::Put(wanted, payload)
            }
            ObjectBody::Get { name, offset, length } => Ask::Get { namespace, name, offset, length },
            ObjectBody::Delete { generation, mut names } => {
                // A sequence may change a name once only.
                names.sort_unstable();
                names.dedup();
                Ask::Delete { namespace, generation, names }
            }
            ObjectBody::Sweep => Ask::Sweep { namespace },
            ObjectBody::Redundancy { name } => {
                Ask::Inspect { namespace, name, question: Question::Redundancy }
            }
            ObjectBody::LostParts { name } => Ask::Inspect { namespace, name, question: Question::LostParts },
        })
    }

    /// Whether a task does what is asked for.
    fn is_that_of(&self, task: &Task) -> bool {
        match (self, task) {
            (Ask::Put(wanted, _), Task::Put(put)) => put.wanted() == wanted,
            (Ask::Get { namespace, name, offset, length }, Task::Get(get)) => {
                get.is_for((*namespace, *name), *offset, *length)
            }
            (Ask::Delete { namespace, generation, names }, Task::Delete(delete)) => {
                delete.is_for(*namespace, *generation, names)
            }
            (Ask::Sweep { namespace }, Task::Sweep(sweep)) => sweep.is_for(*namespace),
            (Ask::Inspect { namespace, name, question }, Task::Inspect(inspect)) => {
                inspect.is_for((*namespace, *name), *question)
            }
            _ => false,
        }
    }
}

fn refuse(to: NodeId, request: u64, error: ObjectError, turn: &mut Turn<'_>) {
    let reply = ObjectReply { request, body: ObjectAnswer::Failed(error) };
    turn.effects.push(step::Effect::Send { to, message: Message::ObjectReply(reply) });
}

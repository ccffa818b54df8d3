//! A KV with the registry and the namespace manager in memory, and the backend behind it.

use std::collections::BTreeMap;

use formats::Message;
use formats::identity::{Folder, Identity};
use formats::message::admin::{AdminAnswer, AdminReply, AdminRequest, OsdState, RoleStatus};
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvStep};
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectReply, ObjectRequest};
use formats::namespace::{
    NamespaceAnswer, NamespaceCommand, NamespaceDone, NamespaceError, NamespaceQuery, NamespaceRecord,
};
use formats::registry::{self, ClusterRecord, DtlRecord, VdiskRecord};
use glossary::{
    BufferIdentity, ByteCount, ClusterIdentity, Generation, NamespaceId, NodeId, ObjectId, VdiskId, VdiskName,
};

use super::backend::Backend;

const BUFFER: BufferIdentity = BufferIdentity([3; 16]);

pub(crate) struct Registry {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    answered: BTreeMap<(u64, u64), KvAnswer>,
    pub(crate) namespace: Option<NamespaceRecord>,
    pub(crate) backend: Backend,
}

pub(crate) fn buffer_identity_file() -> Vec<u8> {
    let folder = Folder::WriteBuffer { identity: BUFFER };
    Identity { cluster: ClusterIdentity([1; 16]), folder }.encode()
}

impl Registry {
    /// A registry with one vDisk, and so much room in the write buffer.
    pub(crate) fn new(
        name: &VdiskName,
        size: ByteCount,
        sco_size: ByteCount,
        write_buffer: ByteCount,
    ) -> Self {
        let cluster = ClusterRecord {
            identity: ClusterIdentity([1; 16]),
            policies: Vec::new(),
            sco_size,
            write_buffer,
            buffer: BUFFER,
            osds: Vec::new(),
            next_vdisk: VdiskId(2),
            next_sco: 1,
        };
        let vdisk = VdiskRecord {
            name: name.clone(),
            size,
            sco_size,
            namespace: NamespaceId(1),
            owner: NodeId(0),
            generation: Generation(0),
            buffer: None,
            dtl: DtlRecord::Off,
            deleting: false,
        };
        let mut map = BTreeMap::new();
        map.insert(registry::CLUSTER_KEY.to_vec(), registry::encode(&cluster));
        map.insert(registry::name_key(name), registry::encode(&VdiskId(1)));
        map.insert(registry::vdisk_key(VdiskId(1)), registry::encode(&vdisk));
        Registry { map, answered: BTreeMap::new(), namespace: None, backend: Backend::default() }
    }

    pub(crate) fn answer(&mut self, message: Message) -> Message {
        match message {
            Message::Kv(request) => {
                let body = match request.body {
                    KvBody::Query(query) => self.query(&query),
                    KvBody::Read { .. } => unreachable!("the driver reads nothing that may lag"),
                    KvBody::Command { session, sequence, command, .. } => {
                        let known = self.answered.get(&(session, sequence)).cloned();
                        let answer = known.unwrap_or_else(|| self.command(command));
                        self.answered.insert((session, sequence), answer.clone());
                        answer
                    }
                };
                Message::KvReply(KvReply { request: request.request, body })
            }
            Message::Object(ObjectRequest { request, body: ObjectBody::Sweep, .. }) => {
                Message::ObjectReply(ObjectReply { request, body: ObjectAnswer::Done })
            }
            Message::Object(ObjectRequest { request, body, .. }) => {
                let namespace = self.namespace.as_mut().expect("the namespace is there before its objects");
                let body = self.backend.answer(namespace, body);
                Message::ObjectReply(ObjectReply { request, body })
            }
            Message::Admin(AdminRequest { request, .. }) => {
                let osds = self.backend.gone.iter().map(|osd| (*osd, OsdState::Gone)).collect();
                let status = RoleStatus::Objects { osds, counters: Vec::new() };
                Message::AdminReply(AdminReply { request, body: AdminAnswer::Status(status) })
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn query(&self, query: &KvQuery) -> KvAnswer {
        match query {
            KvQuery::Get { key } => KvAnswer::Value(self.map.get(key).cloned()),
            KvQuery::Range { prefix, .. } => {
                let pairs = self.map.iter().filter(|(key, _)| key.starts_with(prefix));
                KvAnswer::Range { pairs: pairs.map(|(k, v)| (k.clone(), v.clone())).collect(), more: false }
            }
            KvQuery::Function { query, .. } => {
                let answer = match registry::decode(query).expect("a query") {
                    NamespaceQuery::Record { .. } => NamespaceAnswer::Record(self.namespace.clone()),
                    NamespaceQuery::List { .. } => {
                        let objects = self.backend.objects.iter();
                        let list = objects.map(|(name, data)| (*name, ObjectId([0; 32]), data.len() as u64));
                        NamespaceAnswer::List { objects: list.collect(), more: false }
                    }
                    NamespaceQuery::Manifest { .. } => unreachable!("the driver reads no manifests"),
                };
                KvAnswer::Done(registry::encode(&answer))
            }
            other => unreachable!("the driver asks no {other:?}"),
        }
    }

    fn command(&mut self, command: KvCommand) -> KvAnswer {
        match command {
            KvCommand::Sequence(steps) => {
                let mut map = self.map.clone();
                for (index, step) in steps.into_iter().enumerate() {
                    match step {
                        KvStep::Assert { key, value } if map.get(&key) != value.as_ref() => {
                            return KvAnswer::Failed(KvError::Assert { step: index as u32, key });
                        }
                        KvStep::Assert { .. } | KvStep::AssertExists { .. } => {}
                        KvStep::Set { key, value } => drop(map.insert(key, value)),
                        KvStep::Delete { key } => drop(map.remove(&key)),
                        other => unreachable!("the driver makes no {other:?}"),
                    }
                }
                self.map = map;
                KvAnswer::Done(Vec::new())
            }
            KvCommand::Function { command, .. } => self.namespace_command(&command),
            KvCommand::Steps(_) => unreachable!("the driver needs no answers of steps"),
        }
    }

    fn namespace_command(&mut self, command: &[u8]) -> KvAnswer {
        match registry::decode(command).expect("a command") {
            NamespaceCommand::Create { policies, .. } => {
                let (generation, gc_epoch) = (Generation(0), 1);
                self.namespace.get_or_insert(NamespaceRecord {
                    generation,
                    policies,
                    head: None,
                    gc_epoch,
                    dropped: false,
                });
            }
            NamespaceCommand::Raise { generation, .. } => {
                let Some(record) = &mut self.namespace else {
                    return KvAnswer::Failed(KvError::Refused(registry::encode(
                        &NamespaceError::NoNamespace,
                    )));
                };
                if generation < record.generation {
                    let error = NamespaceError::Fenced { generation: record.generation };
                    return KvAnswer::Failed(KvError::Refused(registry::encode(&error)));
                }
                record.generation = generation;
            }
            NamespaceCommand::Drop { .. } | NamespaceCommand::Forget { .. } => self.namespace = None,
            other => unreachable!("{other:?}"),
        }
        let done = NamespaceDone::Done { deleted: Vec::new() };
        KvAnswer::Done(registry::encode(&done))
    }
}

//! A namespace manager behind a KV, in memory: commands once, conditions checked, all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use formats::manifest::Manifest;
use formats::message::kv::{KvAnswer, KvBody, KvCommand, KvError, KvQuery, KvReply, KvRequest};
use formats::namespace::{
    NamespaceAnswer, NamespaceAssert, NamespaceCommand, NamespaceDone, NamespaceError, NamespaceQuery,
    NamespaceRecord, NamespaceUpdate, ObjectName,
};
use formats::registry;
use glossary::{Generation, NamespaceId, Policy};

#[derive(Default)]
pub(crate) struct FakeKv {
    pub(crate) records: BTreeMap<NamespaceId, NamespaceRecord>,
    pub(crate) manifests: BTreeMap<(NamespaceId, ObjectName), Manifest>,
    answers: BTreeMap<(u64, u64), KvAnswer>,
    /// Says nothing.
    pub(crate) dead: bool,
    /// Applies the next command and says nothing; when it comes again, that it and its session are forgotten.
    pub(crate) forgetful: bool,
    forgotten: Option<u64>,
    /// Commands that were applied, in order.
    pub(crate) applied: Vec<NamespaceCommand>,
}

impl FakeKv {
    pub(crate) fn create(&mut self, namespace: NamespaceId, policies: &[Policy]) {
        let (generation, policies) = (Generation(1), policies.to_vec());
        let record = NamespaceRecord { generation, policies, head: None, gc_epoch: 1, dropped: false };
        self.records.insert(namespace, record);
    }

    pub(crate) fn drop_namespace(&mut self, namespace: NamespaceId) {
        self.records.get_mut(&namespace).expect("it is there").dropped = true;
        self.manifests.retain(|(of, _), _| *of != namespace);
    }

    pub(crate) fn answer(&mut self, request: KvRequest) -> Option<KvReply> {
        if self.dead {
            return None;
        }
        let body = match request.body {
            KvBody::Query(query) => self.query(query),
            KvBody::Read { .. } => panic!("nobody reads what may lag"),
            KvBody::Command { session, sequence, answered_below, command } => {
                self.answers.retain(|(of, number), _| *of != session || *number >= answered_below);
                if std::mem::take(&mut self.forgetful) {
                    self.command(command);
                    self.forgotten = Some(session);
                    return None;
                }
                match self.answers.get(&(session, sequence)) {
                    _ if self.forgotten == Some(session) => KvAnswer::Failed(KvError::Forgotten),
                    Some(answer) => answer.clone(),
                    None => {
                        let answer = self.command(command);
                        self.answers.insert((session, sequence), answer.clone());
                        answer
                    }
                }
            }
        };
        Some(KvReply { request: request.request, body })
    }

    fn query(&self, query: KvQuery) -> KvAnswer {
        let KvQuery::Function { query, .. } = query else { panic!("only functions are asked") };
        KvAnswer::Done(registry::encode(&match registry::decode(&query) {
            Some(NamespaceQuery::Record { namespace }) => {
                NamespaceAnswer::Record(self.records.get(&namespace).cloned())
            }
            Some(NamespaceQuery::Manifest { namespace, name }) => {
                NamespaceAnswer::Manifest(self.manifests.get(&(namespace, name)).cloned())
            }
            Some(NamespaceQuery::List { namespace, after, .. }) => self.list(namespace, after),
            None => panic!("it decodes"),
        }))
    }

    /// Two objects at a time: whoever lists goes on.
    fn list(&self, namespace: NamespaceId, after: Option<ObjectName>) -> NamespaceAnswer {
        let of = self.manifests.iter().filter(|((of, name), _)| *of == namespace && after < Some(*name));
        let mut objects: Vec<_> =
            of.take(3).map(|((_, name), manifest)| (*name, manifest.object, manifest.size)).collect();
        let more = objects.len() == 3;
        objects.truncate(2);
        NamespaceAnswer::List { objects, more }
    }

    fn command(&mut self, command: KvCommand) -> KvAnswer {
        let KvCommand::Function { command, .. } = command else { panic!("only functions are used") };
        let command: NamespaceCommand = registry::decode(&command).expect("it decodes");
        if let NamespaceCommand::EndEpoch { namespace, epoch } = command {
            let record =
                self.records.get_mut(&namespace).filter(|record| !record.dropped).expect("it is there");
            record.gc_epoch = record.gc_epoch.max(epoch + 1);
            let deleted = Vec::new();
            return KvAnswer::Done(registry::encode(&NamespaceDone::Done { deleted }));
        }
        let NamespaceCommand::Sequence { namespace, generation, asserts, updates } = command.clone() else {
            panic!("not sent by an objects client: {command:?}")
        };
        match self.sequence(namespace, generation, &asserts, updates) {
            Ok(deleted) => {
                self.applied.push(command);
                KvAnswer::Done(registry::encode(&NamespaceDone::Done { deleted }))
            }
            Err(error) => KvAnswer::Failed(KvError::Refused(registry::encode(&error))),
        }
    }

    fn sequence(
        &mut self,
        namespace: NamespaceId,
        generation: Option<Generation>,
        asserts: &[NamespaceAssert],
        updates: Vec<NamespaceUpdate>,
    ) -> Result<Vec<Manifest>, NamespaceError> {
        let record = self.records.get(&namespace).filter(|record| !record.dropped);
        let record = record.ok_or(NamespaceError::NoNamespace)?;
        if generation.is_some_and(|generation| generation != record.generation) {
            return Err(NamespaceError::Fenced { generation: record.generation });
        }
        let holds = |assert: &NamespaceAssert| match assert {
            NamespaceAssert::Present(name) => self.manifests.contains_key(&(namespace, *name)),
            NamespaceAssert::Absent(name) => !self.manifests.contains_key(&(namespace, *name)),
            NamespaceAssert::Revision { name, object, revision } => self
                .manifests
                .get(&(namespace, *name))
                .is_some_and(|there| (there.object, there.revision) == (*object, *revision)),
            NamespaceAssert::Head(head) => record.head == *head,
            NamespaceAssert::Epoch(epoch) => record.gc_epoch == *epoch,
        };
        if let Some(index) = asserts.iter().position(|assert| !holds(assert)) {
            return Err(NamespaceError::Assert { index: index as u32 });
        }
        self.expect_sound(namespace, asserts, &updates)?;
        let mut deleted = Vec::new();
        for update in updates {
            match update {
                NamespaceUpdate::Put { name, manifest } => {
                    self.manifests.insert((namespace, name), manifest);
                }
                NamespaceUpdate::Delete(name) => deleted.extend(self.manifests.remove(&(namespace, name))),
                NamespaceUpdate::Head(head) => {
                    self.records.get_mut(&namespace).expect("it was there").head = Some(head);
                }
            }
        }
        Ok(deleted)
    }

    /// What replaces a manifest names what it replaces (F5), and a name is changed once.
    fn expect_sound(
        &self,
        namespace: NamespaceId,
        asserts: &[NamespaceAssert],
        updates: &[NamespaceUpdate],
    ) -> Result<(), NamespaceError> {
        let mut names = BTreeSet::new();
        for update in updates {
            let name = match update {
                NamespaceUpdate::Put { name, .. } | NamespaceUpdate::Delete(name) => *name,
                NamespaceUpdate::Head(_) => continue,
            };
            let replaced = self.manifests.get(&(namespace, name));
            let is_named = replaced.is_none_or(|old| {
                let (object, revision) = (old.object, old.revision);
                asserts.contains(&NamespaceAssert::Revision { name, object, revision })
            });
            let is_put = matches!(update, NamespaceUpdate::Put { .. });
            if !names.insert(name) || (is_put && !is_named) {
                return Err(NamespaceError::Malformed);
            }
        }
        Ok(())
    }
}

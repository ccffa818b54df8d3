//! Registry and namespace manager: the generation is raised before anything is looked at (O3).
//!
//! The namespace is made before the first claim, and never again: a vDisk that was ever claimed has one. Where it has not, it is
//! lost, and nobody is to read zeros in its place: after a restore the registry and the namespaces, which are groups of the KV
//! of their own, may be of different moments.

use formats::message::kv::{FunctionId, KvAnswer, KvCommand, KvError, KvQuery};
use formats::namespace::{NamespaceAnswer, NamespaceCommand, NamespaceError, NamespaceQuery, ObjectName};
use formats::registry::{self, VdiskRecord};
use glossary::Generation;

use super::{Outcome, TakeOver};
use crate::asks::compare_and_set;
use crate::context::{Context, VolumeAsk};

/// Why a vDisk halts whose manifests are not there.
const GONE: &str = "the namespace of this vDisk is gone, and with it what says where its data is: restore a backup of the KV \
                    that has both";

/// Objects asked for in one page of a listing.
const LIST_PAGE: u32 = 1000;

impl TakeOver {
    pub(super) fn read_record(&mut self, context: &mut Context<'_>) {
        context.query(self.id, VolumeAsk::ReadRecord, KvQuery::Get { key: registry::vdisk_key(self.id) });
    }

    /// The KV answered.
    pub(crate) fn kv(&mut self, ask: &VolumeAsk, answer: &KvAnswer, context: &mut Context<'_>) {
        if self.outcome.is_some() {
            return;
        }
        match ask {
            VolumeAsk::ReadRecord => self.record_read(answer, context),
            VolumeAsk::Claim => match answer {
                KvAnswer::Done(_) => self.raise(context),
                _ => self.read_record(context),
            },
            VolumeAsk::CreateNamespace => self.namespace_created(answer, context),
            VolumeAsk::Raise => self.raised(answer, context),
            VolumeAsk::NamespaceRecord => self.namespace_read(answer, context),
            VolumeAsk::ListObjects => self.objects_listed(answer, context),
            VolumeAsk::Unclaim => match answer {
                KvAnswer::Done(_) => self.open(context),
                // Management changed the record meanwhile, or another owner did: begin anew from what it says.
                _ => self.outcome = Some(Outcome::TryAgain),
            },
            _ => {}
        }
    }

    fn record_read(&mut self, answer: &KvAnswer, context: &mut Context<'_>) {
        let record = match answer {
            KvAnswer::Value(Some(bytes)) => registry::decode::<VdiskRecord>(bytes),
            KvAnswer::Value(None) => {
                self.outcome = Some(Outcome::Gone);
                return;
            }
            _ => None,
        };
        let Some(record) = record else {
            self.halt("the registry's record of this vDisk can't be read: is it of a newer version?".into());
            return;
        };
        if record.deleting {
            self.outcome = Some(Outcome::Deleting(record));
            return;
        }
        if record.buffer.is_some() && record.buffer != self.buffer {
            self.halt(
                "the write buffer that held acknowledged data of this vDisk is missing or another one is in its \
                 place; put it back, or go on without it by --accept-write-buffer-loss"
                    .into(),
            );
            self.record = Some(record);
            return;
        }
        if self.buffer.is_none() {
            self.halt(
                "the write buffer's identity can't be read; repair or replace its disk, then start again"
                    .into(),
            );
            self.record = Some(record);
            return;
        }
        if record.generation == Generation(0) {
            self.record = Some(record);
            self.create_namespace(context);
        } else {
            self.claim(record, context);
        }
    }

    fn claim(&mut self, record: VdiskRecord, context: &mut Context<'_>) {
        let mut new = record.clone();
        new.generation = Generation(record.generation.0 + 1);
        new.owner = context.config.node;
        self.change_record(VolumeAsk::Claim, &record, new, context);
    }

    /// Nothing in the write buffer is kept: the registry is told so before its files go, so that one can tell from
    /// then on that a log which the registry counts on is missing.
    pub(super) fn unclaim(&mut self, context: &mut Context<'_>) {
        let record = self.record().clone();
        let new = VdiskRecord { buffer: None, ..record.clone() };
        self.change_record(VolumeAsk::Unclaim, &record, new, context);
    }

    fn change_record(
        &mut self,
        ask: VolumeAsk,
        old: &VdiskRecord,
        new: VdiskRecord,
        context: &mut Context<'_>,
    ) {
        let key = registry::vdisk_key(self.id);
        let command = compare_and_set(key, Some(registry::encode(old)), registry::encode(&new));
        self.record = Some(new);
        context.command(self.id, ask, command);
    }

    fn create_namespace(&mut self, context: &mut Context<'_>) {
        let namespace = self.record().namespace;
        let command = NamespaceCommand::Create { namespace, policies: self.policies.clone() };
        self.namespace_command(VolumeAsk::CreateNamespace, &command, context);
    }

    fn namespace_created(&mut self, answer: &KvAnswer, context: &mut Context<'_>) {
        match answer {
            KvAnswer::Done(_) => self.claim(self.record().clone(), context),
            // By who wanted to claim it before, with other policies.
            _ if refused(answer) == Some(NamespaceError::Exists) => {
                self.claim(self.record().clone(), context)
            }
            // It may have been done or not: whoever reads the record finds out.
            KvAnswer::Failed(KvError::Forgotten) => self.read_record(context),
            _ => self.halt("the namespace manager refused a new namespace".into()),
        }
    }

    fn raise(&mut self, context: &mut Context<'_>) {
        let (namespace, generation) = (self.record().namespace, self.record().generation);
        self.namespace_command(VolumeAsk::Raise, &NamespaceCommand::Raise { namespace, generation }, context);
    }

    fn namespace_command(&self, ask: VolumeAsk, command: &NamespaceCommand, context: &mut Context<'_>) {
        let command = namespace_command(command);
        context.command(self.id, ask, command);
    }

    fn raised(&mut self, answer: &KvAnswer, context: &mut Context<'_>) {
        match answer {
            KvAnswer::Done(_) => {
                let query = NamespaceQuery::Record { namespace: self.record().namespace };
                context.query(self.id, VolumeAsk::NamespaceRecord, namespace_query(&query));
            }
            _ if matches!(refused(answer), Some(NamespaceError::Fenced { .. })) => self.read_record(context),
            _ if refused(answer) == Some(NamespaceError::NoNamespace) => self.halt(GONE.into()),
            // It may have been done or not: the next claim finds out.
            KvAnswer::Failed(KvError::Forgotten) => self.read_record(context),
            _ => self.halt("the namespace manager refused the new generation".into()),
        }
    }

    fn namespace_read(&mut self, answer: &KvAnswer, context: &mut Context<'_>) {
        let KvAnswer::Done(bytes) = answer else {
            self.halt("the namespace manager does not answer what was asked".into());
            return;
        };
        match registry::decode(bytes) {
            Some(NamespaceAnswer::Record(Some(record))) => {
                self.head = record.head;
                self.list_objects(None, context);
            }
            _ => self.halt(GONE.into()),
        }
    }

    fn list_objects(&mut self, after: Option<ObjectName>, context: &mut Context<'_>) {
        let query = NamespaceQuery::List { namespace: self.record().namespace, after, limit: LIST_PAGE };
        context.query(self.id, VolumeAsk::ListObjects, namespace_query(&query));
    }

    fn objects_listed(&mut self, answer: &KvAnswer, context: &mut Context<'_>) {
        let KvAnswer::Done(bytes) = answer else {
            self.halt("the namespace manager does not answer what was asked".into());
            return;
        };
        let Some(NamespaceAnswer::List { objects, more }) = registry::decode(bytes) else {
            self.halt("the namespace manager's listing can't be read".into());
            return;
        };
        let last = objects.last().map(|(name, ..)| *name);
        self.objects.extend(objects.into_iter().map(|(name, _, size)| (name, size)));
        match last.filter(|_| more) {
            Some(last) => self.list_objects(Some(last), context),
            None => self.load_map(context),
        }
    }
}

/// A command for the namespace manager, as the KV takes it.
pub(crate) fn namespace_command(command: &NamespaceCommand) -> KvCommand {
    let command = registry::encode(command);
    KvCommand::Function { function: FunctionId::NAMESPACES, command }
}

/// A question to the namespace manager, as the KV takes it.
pub(crate) fn namespace_query(query: &NamespaceQuery) -> KvQuery {
    let query = registry::encode(query);
    KvQuery::Function { function: FunctionId::NAMESPACES, query }
}

/// Why the namespace manager refused, where it did.
fn refused(answer: &KvAnswer) -> Option<NamespaceError> {
    let KvAnswer::Failed(KvError::Refused(why)) = answer else { return None };
    registry::decode(why)
}

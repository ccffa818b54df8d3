//! What is no longer needed goes: SCOs without a live cluster from the backend, cached SCO files from the
//! write buffer.

use alloc::vec::Vec;
use formats::message::object::{ObjectAnswer, ObjectBody, ObjectError};
use formats::namespace::ObjectName;
use glossary::{CLUSTER_BYTES, ScoId};
use step::DiskOperation;

use super::{Operation, Retry, ScoState, Serving};
use crate::context::{Context, VolumeAsk};
use crate::counters::Counter;
use crate::files::LocalFile;

/// Objects named in one deletion.
const DELETE_MAX: usize = 256;

impl Serving {
    /// Deletes dead SCOs from the backend, once the persisted map no longer needs them: a root that was read
    /// back after a crash must never point at what is gone (F7).
    pub(crate) fn delete_garbage(&mut self, context: &mut Context<'_>) {
        if self.dead.is_empty() || !self.deleting.is_empty() || !self.map_file.is_persisted() {
            return;
        }
        let count = self.dead.len().min(DELETE_MAX);
        self.deleting = self.dead.drain(..count).collect();
        let names = self.deleting.iter().map(|sco| ObjectName::Sco(*sco)).collect();
        let body = ObjectBody::Delete { generation: self.record.generation, names };
        context.object(self.id, VolumeAsk::DeleteScos, self.record.namespace, body);
    }

    pub(crate) fn garbage_deleted(&mut self, answer: &ObjectAnswer, context: &mut Context<'_>) {
        match answer {
            ObjectAnswer::Done => {
                let gone = core::mem::take(&mut self.deleting);
                context.count(Counter::ScosDeleted, gone.len() as u64);
                gone.into_iter().for_each(|sco| self.drop_local(sco, context));
            }
            ObjectAnswer::Failed(ObjectError::Fenced) => self.fenced(),
            _ => self.retry_later(Retry::Delete, context),
        }
    }

    /// Lets cached SCO files go when the write buffer runs full, and closes a TLog early when that is what
    /// keeps its data in the buffer.
    pub(crate) fn evict(&mut self, context: &mut Context<'_>) {
        let enough = context.room.limit / 4 * 3;
        if !context.room.wanted && context.room.used <= enough {
            return;
        }
        let cached =
            self.local.iter().filter(|(_, local)| local.state == ScoState::Cached).map(|(sco, _)| *sco);
        let cached: Vec<ScoId> = cached.collect();
        for sco in cached {
            if context.room.used <= enough {
                break;
            }
            self.drop_local(sco, context);
        }
        let under_way = !self.closed.is_empty() || self.log.rolling();
        if context.room.wanted && context.room.used > enough && !under_way {
            self.roll();
        }
    }

    fn drop_local(&mut self, sco: ScoId, context: &mut Context<'_>) {
        if self.local.get(&sco).is_none_or(|local| local.state != ScoState::Cached) {
            return;
        }
        let local = self.local.remove(&sco).expect("it is there");
        context.room.release(local.crcs.len() as u64 * CLUSTER_BYTES);
        self.delete_file(LocalFile::Sco(sco), context);
    }

    pub(crate) fn delete_file(&mut self, file: LocalFile, context: &mut Context<'_>) {
        let what = DiskOperation::Delete { file: file.name(self.id) };
        self.operations.start(Operation::DeleteFile, what, context);
    }
}

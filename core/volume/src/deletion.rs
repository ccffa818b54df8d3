//! Deleting a vDisk: its namespace is dropped, what ASDs hold of it is swept, its files go, and only then the
//! registry forgets it. Every step may be repeated, so a start goes on where a crash stopped it.
//!
//! OSDs that are away are not waited for: the objects client sweeps them when they are back.

use alloc::collections::BTreeMap;
use formats::message::kv::{KvAnswer, KvCommand, KvStep};
use formats::message::object::{ObjectAnswer, ObjectBody};
use formats::namespace::NamespaceCommand;
use formats::registry::{self, VdiskRecord};
use glossary::VdiskId;
use step::DiskOperation;

use crate::context::{Context, Operations, VolumeAsk};
use crate::files::LocalFile;
use crate::takeover::namespace_command;

/// A vDisk on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    id: VdiskId,
    record: VdiskRecord,
    operations: Operations<()>,
    /// The sweep couldn't begin: asked for again at the driver's next tick.
    sweep_again: bool,
    done: bool,
}

impl Deletion {
    pub(crate) fn begin(
        id: VdiskId,
        record: VdiskRecord,
        operations_from: u64,
        context: &mut Context<'_>,
    ) -> Self {
        let (namespace, generation) = (record.namespace, record.generation);
        let command = namespace_command(&NamespaceCommand::Drop { namespace, generation });
        context.command(id, VolumeAsk::Drop, command);
        let operations = Operations::new(id, operations_from);
        Deletion { id, record, operations, sweep_again: false, done: false }
    }

    /// The files of this vDisk in the write buffer.
    pub(crate) fn delete_files(&mut self, files: &BTreeMap<LocalFile, u64>, context: &mut Context<'_>) {
        for file in files.keys() {
            self.operations.start((), DiskOperation::Delete { file: file.name(self.id) }, context);
        }
    }

    pub(crate) fn kv(&mut self, ask: &VolumeAsk, _answer: &KvAnswer, context: &mut Context<'_>) {
        // A refusal means that an earlier life has done the step already.
        match ask {
            VolumeAsk::Drop => self.sweep(context),
            VolumeAsk::Forget => self.done = true,
            _ => {}
        }
    }

    fn sweep(&self, context: &mut Context<'_>) {
        context.object(self.id, VolumeAsk::Sweep, self.record.namespace, ObjectBody::Sweep);
    }

    pub(crate) fn object(&mut self, answer: &ObjectAnswer, context: &mut Context<'_>) {
        if *answer != ObjectAnswer::Done {
            self.sweep_again = true;
            return;
        }
        let forget = namespace_command(&NamespaceCommand::Forget { namespace: self.record.namespace });
        context.command(self.id, VolumeAsk::Sweep, forget);
        let key = registry::vdisk_key(self.id);
        context.command(self.id, VolumeAsk::Forget, KvCommand::Sequence(alloc::vec![KvStep::Delete { key }]));
    }

    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        if core::mem::take(&mut self.sweep_again) {
            self.sweep(context);
        }
    }

    pub(crate) fn wants_tick(&self) -> bool {
        self.sweep_again
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The first operation number that a later life of this volume may use.
    pub(crate) fn operations_next(&self) -> u64 {
        self.operations.next()
    }
}

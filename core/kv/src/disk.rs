//! Operations on the KV's folder: what each is for, until it ends. And the names of files.

use alloc::collections::BTreeMap;
use formats::Effect;
use glossary::GroupId;
use step::{DiskOperation, Effects, FileName, OperationId};

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Finds what an earlier life left.
    List,
    /// Reads a file of an earlier life.
    Read(FileName),
    /// Makes durable what is kept of an earlier life, or deletes what isn't.
    Settle(FileName),
    /// The log's: it has one operation at a time.
    Log,
    /// Reads the table of an earlier life.
    Table,
    /// Commits a checkpoint.
    Checkpoint,
    /// Commits a state that another member gave to this group.
    Arriving(GroupId),
    /// Asks how much room there is.
    Space,
    /// Deletes a file that nothing needs. If it comes to nothing, the next start tries again.
    Forget,
}

/// Operations under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    last: u64,
    under_way: BTreeMap<OperationId, Purpose>,
}

impl Disk {
    /// Starts an operation.
    pub(crate) fn start(&mut self, purpose: Purpose, what: DiskOperation, effects: &mut Effects<Effect>) {
        self.last += 1;
        let operation = OperationId(self.last);
        self.under_way.insert(operation, purpose);
        effects.push(Effect::Disk { operation, what });
    }

    /// Whether no operation is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// An operation ended: what it was for.
    pub(crate) fn end(&mut self, operation: OperationId) -> Option<Purpose> {
        self.under_way.remove(&operation)
    }
}

/// The file that a KV's folder is made with: there is no log yet. It goes once there is one, so a folder without both has
/// lost what it held.
pub fn new_file() -> FileName {
    FileName::new(format_args!("new"))
}

/// The file of a log.
pub(crate) fn log_name(sequence: u64) -> FileName {
    FileName::new(format_args!("log-{sequence:016x}"))
}

/// The file of a snapshot, of programs that had no table.
pub(crate) fn snapshot_name(sequence: u64) -> FileName {
    FileName::new(format_args!("snapshot-{sequence:016x}"))
}

/// What a file of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Log(u64),
    Snapshot(u64),
}

/// What a name says; other files in the folder are not ours.
pub(crate) fn named(file: FileName) -> Option<Named> {
    let (kind, digits) = file.as_str().split_once('-')?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    let (named, name) = match kind {
        "log" => (Named::Log(sequence), log_name(sequence)),
        "snapshot" => (Named::Snapshot(sequence), snapshot_name(sequence)),
        _ => return None,
    };
    (name == file).then_some(named)
}

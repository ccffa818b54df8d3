//! What a volume may use while it takes a step.

use alloc::collections::BTreeMap;
use formats::Effect;
use formats::message::kv::{KvCommand, KvQuery};
use formats::message::object::ObjectBody;
use formats::work::Work;
use glossary::{NamespaceId, OsdId, ScoId, TlogId, VdiskId};
use step::{DiskOperation, Effects, JobId, OperationId, Timestamp};

use crate::asks::Asks;
use crate::config::Config;
use crate::counters::{Counter, Counters};
use crate::room::Room;

/// What a question to KV or objects client is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The driver's own.
    Driver(crate::driver::DriverAsk),
    /// A volume's.
    Volume(VdiskId, VolumeAsk),
}

/// What a volume asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VolumeAsk {
    ReadRecord,
    Claim,
    CreateNamespace,
    Raise,
    NamespaceRecord,
    ListObjects,
    Unclaim,
    ChainTlog(TlogId),
    Upload(ScoId),
    Redundancy(ScoId),
    Survey(ScoId),
    Publish(TlogId),
    DeleteScos,
    ReadPart { job: u64, part: usize },
    ClaimBuffer,
    ReleaseBuffer,
    Drop,
    Sweep,
    Forget,
}

/// Everything outside the volume that a step may touch.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    /// The OSDs that are gone, when they are more than every object bears.
    pub(crate) gone: &'a [OsdId],
    pub(crate) asks: &'a mut Asks<Purpose>,
    pub(crate) room: &'a mut Room,
    pub(crate) counters: &'a mut Counters,
    pub(crate) effects: &'a mut Effects<Effect>,
}

impl Context<'_> {
    pub(crate) fn count(&mut self, counter: Counter, amount: u64) {
        self.counters.add(counter, amount);
    }

    pub(crate) fn command(&mut self, vdisk: VdiskId, ask: VolumeAsk, command: KvCommand) {
        self.asks.command(Purpose::Volume(vdisk, ask), command, self.now, self.effects);
    }

    pub(crate) fn query(&mut self, vdisk: VdiskId, ask: VolumeAsk, query: KvQuery) {
        self.asks.query(Purpose::Volume(vdisk, ask), query, self.now, self.effects);
    }

    pub(crate) fn object(
        &mut self,
        vdisk: VdiskId,
        ask: VolumeAsk,
        namespace: NamespaceId,
        body: ObjectBody,
    ) {
        self.asks.object(Purpose::Volume(vdisk, ask), namespace, body, self.now, self.effects);
    }
}

/// Disk operations of a volume between their effects and their completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operations<O> {
    vdisk: VdiskId,
    next: u64,
    open: BTreeMap<u64, O>,
}

/// Operations of one volume have numbers below this one.
const OPERATIONS: u64 = 1 << 40;

impl<O> Operations<O> {
    /// None yet. `from` is past every number that this volume has used.
    pub(crate) fn new(vdisk: VdiskId, from: u64) -> Self {
        Operations { vdisk, next: from, open: BTreeMap::new() }
    }

    pub(crate) fn start(&mut self, operation: O, what: DiskOperation, context: &mut Context<'_>) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, operation);
        let operation = OperationId(self.vdisk.0 * OPERATIONS + number);
        context.effects.push(Effect::Disk { operation, what });
    }

    /// Starts work off the event loop; it ends under a number of its own among the operations.
    pub(crate) fn work(&mut self, operation: O, work: Work, context: &mut Context<'_>) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, operation);
        context.effects.push(Effect::Work { job: JobId(self.vdisk.0 * OPERATIONS + number), work });
    }

    /// Takes the operation that ended; `None` for one of an earlier life of the volume.
    pub(crate) fn ended(&mut self, operation: OperationId) -> Option<O> {
        self.open.remove(&(operation.0 % OPERATIONS))
    }

    /// The first number that was not used.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

/// Whose operation it is; 0 is the driver's own.
pub(crate) fn vdisk_of(operation: OperationId) -> VdiskId {
    VdiskId(operation.0 / OPERATIONS)
}

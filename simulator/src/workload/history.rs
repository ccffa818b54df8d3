//! What a guest asked for, when, and what it was told: all that the checkers know.

use bytes::Bytes;
use formats::message::guest::GuestError;

use crate::Moment;
use crate::disk::Crash;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A read of so many bytes from an offset.
    Read {
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// A write of the operation's pattern.
    Write {
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
        /// Stable once answered.
        fua: bool,
    },
    /// A discard.
    Discard {
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
        /// Stable once answered.
        fua: bool,
    },
    /// A flush.
    Flush,
    /// A question where data is.
    Extents {
        /// From here.
        offset: u64,
        /// So many bytes.
        length: u64,
    },
    /// An attachment. That too is an operation: what was done before it has happened or never will.
    Attach,
}

impl Request {
    /// The range it is about; an empty one where it has none.
    pub fn range(&self) -> core::ops::Range<u64> {
        match *self {
            Request::Read { offset, length }
            | Request::Write { offset, length, .. }
            | Request::Discard { offset, length, .. }
            | Request::Extents { offset, length } => offset..offset + length,
            Request::Flush | Request::Attach => 0..0,
        }
    }

    /// Whether it changes data.
    pub fn is_change(&self) -> bool {
        matches!(self, Request::Write { .. } | Request::Discard { .. })
    }

    /// Whether it is to be stable once answered.
    pub fn is_fua(&self) -> bool {
        matches!(self, Request::Write { fua: true, .. } | Request::Discard { fua: true, .. })
    }
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet.
    Pending,
    /// No answer, and there will be none: the Edge died.
    InDoubt,
    /// Done.
    Done,
    /// What was read.
    Data(Bytes),
    /// An answer that no guest may get, and why.
    Nonsense(&'static str),
    /// Runs: how many bytes, and whether they hold data.
    Extents(Vec<(u64, bool)>),
    /// Not done.
    Failed(GuestError),
}

/// An operation. Its number is its place in the history plus 1: number 0 writes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub request: Request,
    /// When.
    pub sent: Moment,
    /// When the answer came, or when it became sure that there is none; [`Moment::NEVER`] until then.
    pub ended: Moment,
    /// What it was.
    pub outcome: Outcome,
    /// In which life of the Edge it was asked, from 0.
    pub life: usize,
}

impl Operation {
    /// Whether the guest was told that a change is done.
    pub fn is_acknowledged(&self) -> bool {
        self.outcome == Outcome::Done
    }
}

/// The history of one vDisk.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operations, in the order they were sent.
    pub operations: Vec<Operation>,
    /// When each life of the Edge ended.
    pub edge_deaths: Vec<Moment>,
    /// When the volume driver lost what was not synced.
    pub power_losses: Vec<Moment>,
    /// When anything crashed.
    pub crashes: Vec<Moment>,
    /// The vDisk's size in bytes.
    pub size: u64,
    /// Tells the data of this vDisk from that of others.
    pub stamp: u32,
}

impl History {
    /// An empty history of a vDisk.
    pub fn new(size: u64, stamp: u32) -> Self {
        History { size, stamp, ..History::default() }
    }

    /// What the data of an operation carries for its number.
    pub fn signature(&self, number: u64) -> u64 {
        u64::from(self.stamp) << 32 | number
    }

    /// The operation that a signature names, when it is one of this vDisk.
    pub fn signed(&self, signature: u64) -> Option<u64> {
        let number = signature & u64::from(u32::MAX);
        (self.signature(number) == signature && self.operation(number).is_some()).then_some(number)
    }

    /// Adds an operation: its number.
    pub fn sent(&mut self, now: Moment, request: Request) -> u64 {
        let life = self.edge_deaths.len();
        let operation =
            Operation { request, sent: now, ended: Moment::NEVER, outcome: Outcome::Pending, life };
        self.operations.push(operation);
        self.operations.len() as u64
    }

    /// An operation by its number.
    pub fn operation(&self, number: u64) -> Option<&Operation> {
        self.operations.get((number as usize).checked_sub(1)?)
    }

    /// Ends an operation.
    pub fn ended(&mut self, now: Moment, number: u64, outcome: Outcome) {
        let operation = &mut self.operations[number as usize - 1];
        (operation.ended, operation.outcome) = (now, outcome);
    }

    /// The Edge died: whatever had no answer gets none.
    pub fn edge_died(&mut self, now: Moment) {
        self.edge_deaths.push(now);
        let pending = self.operations.iter_mut().filter(|operation| operation.outcome == Outcome::Pending);
        pending.for_each(|operation| operation.outcome = Outcome::InDoubt);
    }

    /// A node died that holds data of the vDisk.
    pub fn crashed(&mut self, now: Moment, is_owner: bool, how: Crash) {
        self.crashes.push(now);
        if is_owner && how == Crash::Power {
            self.power_losses.push(now);
        }
    }

    /// When a change took effect at the latest: when it was answered, or, without an answer, when the next
    /// attachment was through.
    pub fn effective_by(&self, number: u64) -> Moment {
        let operation = &self.operations[number as usize - 1];
        match operation.outcome {
            Outcome::Done => operation.ended,
            Outcome::InDoubt => self.attached_after(operation.life),
            _ => Moment::NEVER,
        }
    }

    /// When the first life of the Edge after this one was attached.
    fn attached_after(&self, life: usize) -> Moment {
        let attached = self.operations.iter().filter(|operation| {
            operation.life > life && operation.request == Request::Attach && operation.is_acknowledged()
        });
        attached.map(|operation| operation.ended).min().unwrap_or(Moment::NEVER)
    }
}

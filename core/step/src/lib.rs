//! The verb of Open vStorage: a node is a pure function of what happens to it.
//!
//! [`Machine::step`] takes an event and says what it wants as effects. Events and effects are plain values,
//! so a cluster runs in one thread under a seed, every failure can be replayed, and the same code serves
//! production. Order is by causality: what must follow a write is emitted upon its completion.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod bug;
mod disk;
mod effects;
mod entropy;
mod file_name;
mod function;
mod io;
mod proof;
mod table;
mod time;

pub use bug::Bug;
pub use disk::{DiskError, DiskOperation, DiskOutcome, DiskResult};
pub use effects::Effects;
pub use entropy::Entropy;
pub use file_name::FileName;
pub use function::{Function, OrderedMap};
pub use io::{Effect, Event, JobId, OperationId, TimerId};
pub use proof::{Acknowledgement, DtlPromise, InWriteBuffer};
pub use table::{Table, TableChange};
pub use time::Timestamp;

use core::fmt::Debug;

/// Decides. The same state and the same events give the same effects, always.
pub trait Machine: Debug {
    /// What can happen to it.
    type Event: Clone + Eq + Debug;
    /// What it can want.
    type Effect: Clone + Eq + Debug;

    /// Takes one event at the time `now` and appends what it wants to `effects`.
    fn step(&mut self, now: Timestamp, event: Self::Event, effects: &mut Effects<Self::Effect>);
}

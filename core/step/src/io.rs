//! The io vocabulary of roles: small and closed. `M` is the messages they exchange, `W` the work that is
//! done off the event loop, `R` what such work comes to.

use alloc::string::String;
use core::time::Duration;
use glossary::NodeId;

use crate::{DiskOperation, DiskResult};

/// Names an operation on a disk between its effect and its completion; the role chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// Names a piece of work between its effect and its completion; the role chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Names a timer; setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// What can happen to a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<M, R> {
    /// The role starts: its state is new and its folder may hold an earlier life. Comes first, once.
    Start {
        /// A seed that was never used before, for identities that must be fresh.
        seed: [u8; 32],
    },
    /// A message came. It may come late, twice, or in another order than it was sent.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What.
        message: M,
    },
    /// A disk operation ended.
    Disk {
        /// Which.
        operation: OperationId,
        /// How.
        result: DiskResult,
    },
    /// Work ended.
    Worked {
        /// Which.
        job: JobId,
        /// What it came to.
        result: R,
    },
    /// A timer ran out.
    Timer(TimerId),
    /// Everything that waited has been delivered: the moment to turn what was gathered into few large
    /// effects. It comes after every turn in which the role got any other event.
    TurnEnd,
}

/// What a role can want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<M, W> {
    /// Sends a message. It may never arrive.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: M,
    },
    /// Starts a disk operation.
    Disk {
        /// The name it ends under.
        operation: OperationId,
        /// What to do.
        what: DiskOperation,
    },
    /// Starts work off the event loop.
    Work {
        /// The name it ends under.
        job: JobId,
        /// What to do.
        work: W,
    },
    /// Sets a timer, or moves it.
    SetTimer {
        /// Which.
        timer: TimerId,
        /// From now.
        after: Duration,
    },
    /// Clears a timer; one that isn't set stays so.
    ClearTimer(TimerId),
    /// The role stops for good: it will answer nothing more in this life. Logged as an error.
    Halt {
        /// Why, and what to do.
        reason: String,
    },
}

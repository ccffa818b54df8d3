//! One trouble.

use core::time::Duration;

use glossary::NodeId;

use crate::disk::Crash;
use crate::network::Weather;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node dies after some more of its effects, others with it, and all come back later.
    Crash {
        /// Whose effects are counted.
        node: NodeId,
        /// How.
        how: Crash,
        /// Who dies at the same instant.
        with: Vec<NodeId>,
        /// After so many effects.
        effects: u32,
        /// How long they stay dead.
        down: Duration,
    },
    /// A node stands still.
    Pause {
        /// Which.
        node: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// The clocks of nodes leap ahead: their machine was suspended, or stood still.
    Leap {
        /// Whose: nodes of one machine.
        nodes: Vec<NodeId>,
        /// How far.
        by: Duration,
        /// How long they still stand still then.
        stall: Duration,
    },
    /// The network behaves badly.
    Storm {
        /// How.
        weather: Weather,
        /// How long.
        lasts: Duration,
    },
    /// Two groups of nodes can't talk.
    Partition {
        /// One group.
        from: Vec<NodeId>,
        /// The other.
        to: Vec<NodeId>,
        /// Whether the other way round they can.
        one_way: bool,
        /// How long.
        lasts: Duration,
    },
    /// The ways between two groups are slow.
    SlowLink {
        /// One group.
        from: Vec<NodeId>,
        /// The other.
        to: Vec<NodeId>,
        /// By how much.
        by: Duration,
        /// How long.
        lasts: Duration,
    },
    /// A process dies, and before it comes back its table rots: others of its group have what it held.
    TableRot {
        /// Whose.
        node: NodeId,
        /// In how many places.
        places: u32,
        /// How long it stays dead.
        down: Duration,
    },
    /// A disk misbehaves.
    Disk {
        /// Whose.
        node: NodeId,
        /// How.
        what: DiskFault,
    },
}

/// A trouble of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Reads fail for a while.
    Reads(Duration),
    /// The next write fails.
    Write,
    /// The next sync fails.
    Sync,
    /// Somebody else fills it but for so many bytes, for a while.
    Full(u64, Duration),
    /// It is so many times slower for a while.
    Slow(u32, Duration),
    /// Bits flip.
    Rot,
    /// Some of the next writes are confirmed and not done.
    Lose,
    /// Some of the next writes go elsewhere.
    Misdirect,
}

impl DiskFault {
    /// Whether it leaves damage that only redundancy makes up for.
    pub fn is_damage(self) -> bool {
        matches!(self, DiskFault::Rot | DiskFault::Lose | DiskFault::Misdirect)
    }

    /// Whether an answer or a halt that says so is right.
    pub fn is_hard(self) -> bool {
        !matches!(self, DiskFault::Full(..) | DiskFault::Slow(..))
    }
}

//! What an engine tells whoever drives it.

use formats::Message;
use glossary::NodeId;

use crate::Moment;
use crate::checkers::Promise;
use crate::disk::Crash;

/// A bound was broken, or work was to be done that makes no sense: what a running engine itself can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// When.
    pub at: Moment,
    /// The promise that is broken.
    pub promise: Promise,
    /// What.
    pub what: String,
}

/// Something that whoever drives the engine has to know or to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A message came for a guest.
    Mail {
        /// The guest.
        to: NodeId,
        /// Who sent it.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// A time that was asked for has come.
    Alarm(u64),
    /// A node died.
    Died {
        /// Which.
        node: NodeId,
        /// How.
        how: Crash,
    },
    /// The machine of a node that was dead already lost its power.
    LostPower {
        /// Which.
        node: NodeId,
    },
    /// A node stopped for good, by its own word. It is dead.
    Halted {
        /// Which.
        node: NodeId,
        /// How its disk took it: as a crash of the process, or of the machine where a sync had failed.
        how: Crash,
        /// What it said.
        reason: String,
    },
}

//! A log of commands that several members agree on: Raft, without I/O, clock or randomness, behind an interface of
//! our own.
//!
//! [`Consensus`] is the interface: events go in, [`Ready`] says what is to be done. `RaftGroup` implements it with
//! the `raft` crate on hosted targets; on bare metal there are the types and the trait alone.
//!
//! What the caller promises, and what it gets for it:
//! 1. It writes each [`Persist`] in the order of their numbers, the hard state not after the entries, and calls
//!    [`Consensus::persisted`] when that and all before it survive a power cut. What depends on durability is told
//!    only then, so nothing can be sent or applied too early.
//! 2. It applies [`Ready::committed`] in order. Every index comes once in the life of a group object, and the same
//!    entry at every member.
//! 3. After a restart it hands back everything it reported as persisted, or more ([`Recovered`]).
//! 4. Messages may be lost, doubled, delayed and reordered. Who sent one is known for certain: the members trust
//!    each other not to lie about votes, as Raft does. Nonsense is refused by name ([`Rejected`]), never a panic.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod config;
mod consensus;
mod entry;
mod errors;
mod hard_state;
mod membership;
mod message;
mod numbers;
#[cfg(not(target_os = "none"))]
mod raft_group;
mod ready;
mod recovered;
mod snapshot_mark;
mod status;

pub use config::Config;
pub use consensus::Consensus;
pub use entry::{Entry, EntryBody};
pub use errors::{BadConfig, BadRecovery, Refused, Rejected};
pub use hard_state::HardState;
pub use membership::{Membership, MembershipChange};
pub use message::{Canvass, Message, MessageBody};
pub use numbers::{INDEX_MAX, LogIndex, Member, Position, TERM_MAX, Term};
#[cfg(not(target_os = "none"))]
pub use raft_group::{LogSink, PlantedBug, RaftGroup, Severity};
pub use ready::{Append, Outgoing, Persist, ReadAnswer, Ready, SnapshotOffer, SnapshotWanted};
pub use recovered::Recovered;
pub use snapshot_mark::SnapshotMark;
pub use status::{Leadership, Progress, ProgressKind, Quorum, Role, Status};

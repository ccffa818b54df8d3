//! An ordered map of bytes with atomic conditional sequences and hosted functions, kept as a log of commands
//! and snapshots (DESIGN section 7).
//!
//! What holds at every moment:
//! 1. Whatever was answered to a command is in the log, and synced; so is everything before it.
//! 2. A command changes the map once, however often it comes and whatever crashes between.
//! 3. A question is answered from commands that are synced, and sees all that was received before it.
//! 4. Snapshot and log together give the state; a file goes only when a durable snapshot stands for it.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod asked;
mod config;
mod counters;
mod disk;
pub mod limits;
mod log;
mod machine;
mod map;
mod overlay;
mod recover;
mod requests;
mod room;
mod serving;
mod sessions;
mod snapshot;
mod start;
mod state;
mod status;
mod transaction;

pub use config::{Config, SNAPSHOT_LOG_BYTES};
pub use counters::COUNTERS;
pub use machine::Kv;

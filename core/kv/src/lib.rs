//! An ordered map of bytes with atomic conditional sequences and hosted functions, kept as a log of commands
//! and checkpoints in a table (DESIGN section 7) by a group of members that agree on the log; of one member, where it is embedded.
//!
//! What holds at every moment:
//! 1. Whatever was answered to a command is in the log, and synced by a majority of the group; so is everything
//!    before it.
//! 2. A command changes the map once, however often it comes, to whichever member, and whatever crashes between.
//! 3. A question is answered from commands that are synced by a majority, sees all that was answered by any member
//!    before it was asked, and all that this member received before it.
//! 4. Table and log together give the states; a file goes only when a durable checkpoint stands for it.
//! 5. A member forgets no vote: what the group must have written is durable before anything is said that needs it.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod admission;
mod asked;
mod changed;
mod changes;
mod checkpoint;
mod config;
mod counters;
mod device;
mod disk;
mod emptied;
mod fingerprints;
mod fold;
mod follow;
mod forgotten;
mod found;
mod group;
mod groups;
mod hash;
mod heal;
mod held;
mod hosted;
mod knows;
mod level;
pub mod limits;
mod log;
mod log_files;
mod look;
mod machine;
mod map;
mod members;
#[cfg(test)]
mod model;
#[cfg(test)]
mod no_function;
mod overlay;
mod preferred;
mod proposals;
mod reads;
mod recent;
mod records;
mod recover;
mod refusals;
mod replica;
mod replicate;
mod requests;
mod room;
mod rows;
mod serving;
mod session;
mod sessions;
mod sleep;
mod standings;
mod start;
mod state;
mod status;
mod steps;
mod table;
mod transaction;
mod transfer;
mod unwritten;
mod verbs;
mod waiting;
mod wanted;
mod writing;

pub use config::{CHECKPOINT_LOG_BYTES, Config};
pub use counters::COUNTERS;
pub use disk::new_file;
pub use group::Group;
pub use look::Look;
pub use machine::Kv;
pub use refusals::is_healable;

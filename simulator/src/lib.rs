//! A second executor for the roles: network, disks, clocks and crashes by seed, in one thread.
//!
//! The same seed gives the same run. A failing seed is a bug report.
#![forbid(unsafe_code)]

pub mod bugs;
pub mod checkers;
pub mod cluster;
mod digest;
pub mod disk;
pub mod engine;
pub mod faults;
pub mod kv;
mod moment;
pub mod network;
mod random;
pub mod replay;
pub mod roles_cluster;
pub mod runs;
mod tally;
mod trace;
pub mod workload;

pub use digest::Digest;
pub use moment::Moment;
pub use random::Random;
pub use tally::{Kind, Tally};
pub use trace::Trace;

//! The objects client: stores whole objects as fragments on ASDs, and reads any part of them.
//!
//! [`Objects`] is a [`step::Machine`]; [`perform`] does the work that it asks for. It owns nothing durable: a
//! role that restarts knows what namespaces and ASDs tell it, and who asked asks again.
//!
//! What always holds, checked at the end of every turn of debug builds:
//! 1. Permits: what is free and what chunks in work hold make the bound.
//! 2. Late fragments: the count is that of the uploads and joins that wait for them.
//! 3. Reads at work: the count is that of reads that had their turn, and within the bound.
//! 4. Every request to an ASD that an upload, a join or a read waits for has a task that is still there.
//! 5. The cache of manifests is within its bound.
//!
//! And what is never done: a fragment counted before its ASD said `Applied` (P7); data answered that doesn't
//! match the checksums coded with it (P6, F2); a fragment deleted that a manifest may name (P8).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod answers;
mod calls;
mod chunk;
mod collect;
mod config;
mod context;
mod counters;
mod deadlines;
mod delete;
mod get;
mod health;
mod inspect;
mod join;
mod latency;
pub mod layout;
mod manifests;
mod members;
mod namespace;
mod objects;
mod osds;
mod perform;
pub mod placement;
mod put;
mod requests;
mod scan;
mod segment;
mod sweep;
mod task;
mod wanted;

pub use config::{Config, OsdConfig, Settings};
pub use counters::COUNTERS;
pub use objects::Objects;
pub use perform::perform;

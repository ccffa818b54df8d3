//! Where guests connect: a listener for NBD, hosted by the executor on the shard of its Edge.
//!
//! [`Nbd`] drives one `nbd::Session` per connection and turns its requests into those of an Edge.
//! Payloads are shared from the socket's buffer to the volume and back; their checksums are computed here,
//! where they enter (PROTOCOLS F1). Memory has a bound whatever clients do ([`Settings::memory_bound`]): a
//! permit is taken before a payload is received and before a read is asked for.
#![forbid(unsafe_code)]

mod answers;
mod asks;
mod client;
mod gateway;
mod hall;
mod monitor;
mod outgoing;
mod permits;
mod requests;
mod settings;
mod zeroes;

pub use gateway::Nbd;
pub use monitor::Monitor;
pub use settings::Settings;

//! Links before nodes that run, and clients at their sockets.
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod bed;
mod client;
mod local;
mod remote;
mod remote_strangers;
mod servers;
mod strangers;

//! The gateway on a runtime, before an Edge in memory, as clients see it over TCP.
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod bed;
mod bounds;
mod client;
mod commands;
mod volumes;

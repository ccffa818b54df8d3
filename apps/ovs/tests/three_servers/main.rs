//! Three servers of a cluster, each a process of its own, as an operator makes and loses them.
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod cluster;
mod group;
mod operating;

//! The Edge: between guests and the volume driver.
//!
//! Guests ask through gateways; the Edge keeps one session per vDisk with the volume driver, for all of its
//! gateways (PROTOCOLS E4). It numbers changes, remembers them until they are stable and sends them again to a
//! volume driver that restarted (E1), takes no answer of an owner that was replaced (O6), and is the last to
//! check what is read (P6).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod ask;
mod attaching;
mod change;
mod config;
mod context;
mod counters;
mod cut;
mod disk;
mod edge;
mod memory;
mod patience;

pub use config::Config;
pub use counters::COUNTERS;
pub use edge::Edge;

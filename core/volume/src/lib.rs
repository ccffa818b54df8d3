//! The volume driver: turns block writes into an append-only log of objects (DESIGN sections 4 and 5,
//! PROTOCOLS section 1).
//!
//! Start with `serving/mod.rs` (a volume at work), then `serving/queue.rs` and `serving/log.rs` (a write on
//! its way into the log), `takeover/mod.rs` (every start), `driver.rs` (what the volumes of a node share).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod admin;
mod asks;
mod config;
mod context;
mod counters;
mod deletion;
mod driver;
mod files;
mod kv_session;
mod map;
mod record;
mod room;
mod serving;
mod takeover;
mod volume;

pub use config::Config;
pub use counters::COUNTERS;
pub use driver::VolumeDriver;

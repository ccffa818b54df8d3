//! Every byte of ours that reaches a wire or a disk: one module for each format.
//!
//! Fixed layouts are little-endian and written out by hand; message bodies and values of the KV are
//! postcard, always inside a versioned envelope. Golden bytes per version stand beside each codec.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod asd_record;
mod crcs;
pub mod fragment;
pub mod frame;
pub mod hello;
pub mod identity;
pub mod journal;
pub mod kv_backup;
pub mod kv_client;
pub mod kv_groups;
pub mod kv_level;
pub mod kv_limits;
pub mod kv_member;
pub mod kv_members;
pub mod kv_route;
pub mod kv_scope;
pub mod kv_store;
pub mod kv_table;
pub mod manifest;
pub mod map_image;
pub mod message;
pub mod namespace;
pub mod payload;
pub mod recording;
pub mod registry;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod sco;
pub mod tlog;
pub mod whole;
pub mod work;

pub use crcs::Crcs;
pub use message::Message;
pub use payload::{Payload, ZERO_CLUSTER_CRC};

/// What can happen to a role of ours.
pub type Event = step::Event<Message, work::Done>;

/// What a role of ours can want.
pub type Effect = step::Effect<Message, work::Work>;

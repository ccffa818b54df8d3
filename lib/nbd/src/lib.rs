//! The server side of the NBD protocol as a pure machine: bytes of a client go in, requests come out,
//! and what has to be sent back is encoded. It performs no I/O and knows nothing about what it exports.
//!
//! The specification is `doc/proto.md` of the `NetworkBlockDevice/nbd` project. A line that obeys a
//! clause names it: `//= NBD#section` followed by `//# the clause in few words`. All integers on this
//! wire are big-endian, as the standard demands.
//!
//! A driver owns a connection and a [`Session`], and loops:
//!
//! 1. receive until [`Session::wants`] bytes are there, as one contiguous [`bytes::Bytes`];
//! 2. call [`Session::next`] until it returns `None`, and do what each [`Item`] says;
//! 3. when the work of a [`Request`] is done, encode its reply with [`Replies`], the payload going
//!    out behind the header without being copied.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod errno;
mod export;
mod handshake;
mod item;
mod option_data;
mod option_reply;
mod reply;
mod request;
mod session;
mod settings;
mod transmission;
mod wire;

pub use errno::Errno;
pub use export::{BlockSizes, Export, Features, Listing};
pub use item::{Fatal, Item, Purpose, Refusal};
pub use reply::{Allocation, BLOCK_STATUS_DESCRIPTORS_MAX, Extent, Last, READ_HEADER_BYTES_MAX, Replies};
pub use request::{Command, Cookie, Request};
pub use session::Session;
pub use settings::Settings;

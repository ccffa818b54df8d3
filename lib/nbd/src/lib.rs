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
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use nbd::{BlockSizes, Command, Errno, Export, Fatal, Features, Item, Refusal, Session, Settings};
//!
//! /// All that `input` lets happen, for an export of zeroes. True: close the connection.
//! fn turn(session: &mut Session, input: &mut Bytes, out: &mut BytesMut) -> Result<bool, Fatal> {
//!     while let Some(item) = session.next(input)? {
//!         match item {
//!             Item::Send(bytes) => out.extend_from_slice(&bytes),
//!             Item::ListExports => out.extend_from_slice(&session.provide_exports(Ok(&[]))),
//!             Item::FindExport { name, .. } if name == "zeroes" => out.extend_from_slice(
//!                 &session.provide_export(Ok(Export {
//!                     name,
//!                     description: String::new(),
//!                     size: 1 << 30,
//!                     block_sizes: BlockSizes::DEFAULT,
//!                     features: Features::NONE,
//!                 }))?,
//!             ),
//!             Item::FindExport { .. } => {
//!                 out.extend_from_slice(&session.provide_export(Err(Refusal::Unknown))?);
//!             }
//!             Item::PayloadAhead { .. } => {} // Room for the payload is taken here.
//!             Item::Request(request) => match request.command {
//!                 Command::Read { offset, length, .. } => {
//!                     session.replies().read(out, request.cookie, offset, length);
//!                     out.resize(out.len() + length as usize, 0);
//!                 }
//!                 _ => session.replies().error(out, request.cookie, Errno::NoSpace, "always zeroes"),
//!             },
//!             Item::Disconnect => return Ok(true),
//!         }
//!     }
//!     Ok(false)
//! }
//!
//! let (mut session, mut out) = (Session::new(Settings::DEFAULT), BytesMut::new());
//! assert_eq!(turn(&mut session, &mut Bytes::new(), &mut out), Ok(false));
//! assert_eq!(out[..], *b"NBDMAGICIHAVEOPT\0\x03");
//! assert_eq!(session.wants(), 4);
//! ```
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

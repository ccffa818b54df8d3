//! A client of the KV for ordinary threads: it blocks, follows the leader, and repeats itself without harm.
//!
//! A [`Client`] is one session over streams that a [`Dial`] opens: unix sockets ([`UnixDial`]) and TLS ([`TlsDial`]). A command
//! that is sent again is applied once. What ends in [`Error::TimedOut`] or [`Error::Unknown`] may have happened.
//!
//! ```no_run
//! use kv_client::{Client, Consistency, UnixDial};
//!
//! # fn main() -> Result<(), kv_client::Error> {
//! let mut client = Client::connect(Box::new(UnixDial::new("/var/lib/ovs/kv.sock")))?;
//! client.set(b"colour", b"green")?;
//! assert_eq!(client.get(b"colour")?.as_deref(), Some(&b"green"[..]));
//! let old = client.replace(b"colour", Some(b"blue"))?;
//! client.read_with(Consistency::Stale);
//! for pair in client.prefix(b"col") {
//!     let (key, value) = pair?;
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod backup;
mod client;
mod connection;
mod dial;
mod error;
mod groups;
mod learning;
mod pages;
mod pipeline;
mod restore;
mod steps;
mod tls;
mod verbs;
mod watch;

pub use backup::{BackupFailure, Taken};
pub use client::{Client, Scope};
pub use dial::{Dial, Stream, UnixDial};
pub use error::Error;
pub use formats::kv_limits as limits;
pub use formats::message::admin::KvGroupStatus;
pub use formats::message::kv::{Consistency, KvCommand, KvExpected, KvQuery, KvStep, StepAnswer, StepError};
pub use formats::message::kv_range::KvRange;
pub use pages::{Keys, Pair, Pairs};
pub use pipeline::{MAX_OUTSTANDING, Outcome};
pub use steps::Steps;
pub use tls::TlsDial;
pub use watch::{Event, Watch};

//! How operators reach a running cluster: HTTP with JSON over a unix socket in its directory.
//!
//! [`serve`] is the cluster's end and asks an [`Admin`]; [`Client`] is the command line's. What they exchange
//! is in [`model`].
#![forbid(unsafe_code)]

mod admin;
mod client;
pub mod model;
mod refusal;
mod server;
mod wait;

use std::path::{Path, PathBuf};

pub use admin::Admin;
pub use client::{Client, ClientError};
pub use io::{BindError, SOCKET_PATH_MAX};
pub use refusal::{Kind, Refusal};
pub use server::{Server, serve};

/// The name of the socket in a cluster's directory.
pub const SOCKET: &str = "ovs.sock";

/// The version of the routes and of what they say.
pub const VERSION: u32 = 1;

/// Where the cluster of a directory is reached.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}

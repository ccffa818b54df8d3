//! What was chosen for a cluster.

use std::net::SocketAddr;

use glossary::{ByteCount, Policy};
use serde::{Deserialize, Serialize};

/// What was chosen for a cluster: at its first start, or at this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Disks.
    pub disks: u32,
    /// Policies, tried in order.
    pub policies: Vec<Policy>,
    /// Size of new SCOs.
    #[serde(rename = "sco_size_bytes")]
    pub sco_size: ByteCount,
    /// Room of the write buffer.
    #[serde(rename = "write_buffer_bytes")]
    pub write_buffer: ByteCount,
    /// Room of each disk.
    #[serde(rename = "disk_size_bytes")]
    pub disk_size: ByteCount,
    /// Where NBD is served.
    pub nbd: SocketAddr,
    /// How disks are reached: `portable` or `uring`.
    pub io: String,
    /// Whether messages between roles go encoded through a socket.
    pub frames: bool,
}

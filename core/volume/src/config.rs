//! Settings of a volume driver.

use alloc::vec::Vec;
use core::time::Duration;
use glossary::{GroupId, NodeId};
use step::Bug;

/// What a volume driver is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its own node id: the owner that the registry records.
    pub node: NodeId,
    /// The members of the KV's groups, at least one. The root group has the registry.
    pub kv: Vec<NodeId>,
    /// The group that hosts the namespace manager.
    pub namespaces: GroupId,
    /// The objects client.
    pub objects: NodeId,
    /// Bytes of one volume's SCOs that may be on their way to the backend at once, which is the memory that they
    /// take; two SCOs may be, however large. An upload waits for disks most of the time, one after another: a few
    /// at once keep them busy.
    pub upload_bytes_max: u64,
    /// How much data a TLog covers before it is closed and published, in bytes.
    pub tlog_covers: u64,
    /// How long to wait for an answer before asking again; doubles up to [`Config::retry_max`].
    pub retry_first: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// How long a read asks for what too few OSDs answer for, before it is an error to the guest. What is lost is
    /// one at once: this is for OSDs that may come back, longer than a restart of machines takes.
    pub read_patience: Duration,
    /// How often the objects client is asked which OSDs are gone.
    pub watch_every: Duration,
    /// How long after a sync without a later batch an empty one is written, so that its mark tells damage
    /// from a tail.
    pub mark_after: Duration,
    /// The operator accepts that what the write buffer can't give back at a take-over is lost: what came before it
    /// is served (PROTOCOLS O5). Otherwise such a vDisk halts.
    pub accept_loss: bool,
    /// A planted bug, in the simulator.
    pub bug: Option<Bug>,
}

impl Config {
    /// Settings as shipped, where the root group hosts the namespace manager.
    pub fn new(node: NodeId, kv: Vec<NodeId>, objects: NodeId) -> Self {
        Config {
            node,
            kv,
            namespaces: GroupId::ROOT,
            objects,
            upload_bytes_max: 64 << 20,
            tlog_covers: 64 << 20,
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            read_patience: Duration::from_secs(600),
            watch_every: Duration::from_secs(10),
            mark_after: Duration::from_millis(10),
            accept_loss: false,
            bug: None,
        }
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

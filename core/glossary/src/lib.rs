//! The nouns of Open vStorage: one type for each term, and its doc comment is the glossary entry.
//!
//! Nothing here decides anything. Units live in types, so that an index, a count and a size never mix.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod addresses;
mod groups;
mod identities;
mod log;
mod policy;
mod servers;
mod sizes;

pub use addresses::{ClusterAddress, Location, ScoId, ScoOffset};
pub use groups::GroupId;
pub use identities::{
    AttemptId, BufferIdentity, ClientId, ClusterIdentity, FragmentId, NamespaceId, NodeId, ObjectId, OsdId,
    OsdIdentity, SessionId, VdiskId, VdiskName, VdiskNameError,
};
pub use log::{Generation, LogNumber, TlogId};
pub use policy::{Policy, PolicyError};
pub use servers::{OSDS_PER_SERVER, ServerId};
pub use sizes::{ByteCount, CLUSTER_BYTES, ClusterCount, MAX_VDISK_BYTES, SCO_BLOCK, format_bytes};

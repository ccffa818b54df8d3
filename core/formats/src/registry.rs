//! What the KV holds of the cluster and its vDisks: one value each, every change one compare-and-set of the
//! whole (PROTOCOLS O1). Values are postcard behind a version byte; keys sort.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use glossary::{
    BufferIdentity, ByteCount, ClusterIdentity, Generation, NamespaceId, NodeId, OsdId, OsdIdentity, Policy,
    ServerId, VdiskId, VdiskName,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version byte of registry values.
pub const VERSION: u8 = 1;

/// The key of the [`ClusterRecord`].
pub const CLUSTER_KEY: &[u8] = b"cluster";

/// The prefix of the keys of vDisks by name; the value is a [`VdiskId`].
pub const NAME_PREFIX: &[u8] = b"vdisk-name/";

/// The prefix of the keys of vDisks by id; the value is a [`VdiskRecord`].
pub const VDISK_PREFIX: &[u8] = b"vdisk/";

/// The prefix of the keys of servers by number; the value is a [`ServerRecord`].
pub const SERVER_PREFIX: &[u8] = b"server/";

/// The key of a server.
pub fn server_key(server: ServerId) -> Vec<u8> {
    format!("server/{:04x}", server.0).into_bytes()
}

/// A server of the cluster, as it says itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Its number.
    pub server: ServerId,
    /// Where it listens, for the other servers and for clients: a host and a port.
    pub address: String,
}

/// The key of the [`VolumeDriverRecord`].
pub const VOLUME_DRIVER_KEY: &[u8] = b"volume-driver";

/// The group of the KV that hosts the namespaces, where the root group's map says that the cluster counts on it
/// ([`crate::kv_groups::wanted_key`]). In clusters whose record is older than that the root group hosts them.
pub const NAMESPACES_GROUP: &str = "namespaces";

/// Which server runs the cluster's volume driver. It says so with the first record of the cluster, and keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDriverRecord {
    /// Its number.
    pub server: ServerId,
}

/// The key of a vDisk by name.
pub fn name_key(name: &VdiskName) -> Vec<u8> {
    [NAME_PREFIX, name.as_str().as_bytes()].concat()
}

/// The key of a vDisk by id.
pub fn vdisk_key(vdisk: VdiskId) -> Vec<u8> {
    format!("vdisk/{:016x}", vdisk.0).into_bytes()
}

/// The cluster: what was settled at its first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Who it is.
    pub identity: ClusterIdentity,
    /// Policies for new namespaces, tried in order.
    pub policies: Vec<Policy>,
    /// Size of new SCOs.
    pub sco_size: ByteCount,
    /// Room of the write buffer.
    pub write_buffer: ByteCount,
    /// The write buffer that belongs to the volume driver (O5).
    pub buffer: BufferIdentity,
    /// The OSDs, ordered by id.
    pub osds: Vec<OsdRecord>,
    /// The next vDisk's id; namespaces take the same number.
    pub next_vdisk: VdiskId,
    /// The first SCO number of the next block of 4,096 (L5).
    pub next_sco: u64,
}

/// An OSD that belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsdRecord {
    /// Its number.
    pub osd: OsdId,
    /// The identity that its disk carries.
    pub identity: OsdIdentity,
    /// The storage node it is on: at most x fragments of a chunk go to one.
    pub storage_node: u32,
    /// Bytes that its segments may take.
    pub capacity: ByteCount,
}

/// A vDisk (O1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VdiskRecord {
    /// Its name.
    pub name: VdiskName,
    /// Its size.
    pub size: ByteCount,
    /// The size of its SCOs, for new ones.
    pub sco_size: ByteCount,
    /// Its namespace.
    pub namespace: NamespaceId,
    /// Who owns it.
    pub owner: NodeId,
    /// The owner's generation.
    pub generation: Generation,
    /// The write buffer that may hold acknowledged data which is nowhere else; none after everything was
    /// pushed to the backend (O5).
    pub buffer: Option<BufferIdentity>,
    /// Its Distributed Transaction Log.
    pub dtl: DtlRecord,
    /// Whether it is being deleted: it serves no more, and what it has on disks goes.
    pub deleting: bool,
}

/// The state of a vDisk's DTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DtlRecord {
    /// None, by an operator's choice, or because there is only one node.
    Off,
}

/// Encodes a registry value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, alloc::vec![VERSION]).expect("values of ours encode")
}

/// Decodes a registry value; `None` when it is damaged or of another version.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, body) = bytes.split_first()?;
    let (value, rest) = (*version == VERSION).then(|| postcard::take_from_bytes(body).ok())??;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_volume_drivers_record() {
        let record = VolumeDriverRecord { server: ServerId(0x1234) };
        let bytes = encode(&record);
        assert_eq!(bytes, [1, 0xb4, 0x24], "the version, the number in groups of seven bits");
        assert_eq!(decode(&bytes), Some(record));
        assert_eq!(decode::<VolumeDriverRecord>(&[1, 0xb4, 0x24, 0]), None);
    }
}

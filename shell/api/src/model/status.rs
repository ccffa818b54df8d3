//! How a cluster is.

use glossary::{ByteCount, OsdId, Policy, VdiskName};
use serde::{Deserialize, Serialize};

use super::health::Health;

/// How a cluster is: what was found, and what that means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// What it means.
    pub health: Health,
    /// What was found.
    #[serde(flatten)]
    pub facts: Facts,
}

impl ClusterStatus {
    /// The status that these facts make.
    pub fn of(facts: Facts) -> Self {
        ClusterStatus { health: Health::of(&facts), facts }
    }
}

/// What was found of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its identity, as hex digits.
    pub cluster: String,
    /// Its policies, tried in order.
    pub policies: Vec<Policy>,
    /// Its disks, ordered by number. Each stands for a storage node of its own where the cluster is one process; those of
    /// servers are on the storage node that their server is.
    pub osds: Vec<Osd>,
    /// Its vDisks, ordered by name.
    pub vdisks: Vec<Vdisk>,
    /// Its write buffer.
    pub write_buffer: WriteBuffer,
    /// Its KV.
    pub kv: Kv,
    /// The memory that requests under way take at most.
    #[serde(rename = "memory_limit_bytes")]
    pub memory_limit: ByteCount,
    /// What else is wrong: one line each, as `the Edge does not answer`.
    pub troubles: Vec<String>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Osd {
    /// Its number.
    pub osd: OsdId,
    /// Its name, which is that of its folder.
    pub name: String,
    /// How it is.
    pub state: OsdState,
    /// Bytes that its log takes; 0 when it doesn't say.
    #[serde(rename = "used_bytes")]
    pub used: ByteCount,
    /// Bytes that its log may take.
    #[serde(rename = "capacity_bytes")]
    pub capacity: ByteCount,
    /// Bytes of its log that nothing needs any more.
    #[serde(rename = "dead_bytes")]
    pub dead: ByteCount,
    /// How many keys it holds.
    pub keys: u64,
    /// Why it doesn't serve, when it doesn't.
    pub trouble: Option<String>,
}

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OsdState {
    /// It serves.
    Up,
    /// It serves, but has no room for guests.
    Full,
    /// An operator stopped it.
    Stopped,
    /// Its folder is missing, damaged or another's.
    Missing,
    /// It can't serve, or does not answer.
    Failed,
}

impl OsdState {
    /// Whether what it holds can be read.
    pub fn serves(self) -> bool {
        matches!(self, OsdState::Up | OsdState::Full)
    }

    /// One word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            OsdState::Up => "up",
            OsdState::Full => "full",
            OsdState::Stopped => "stopped",
            OsdState::Missing => "missing",
            OsdState::Failed => "failed",
        }
    }
}

/// A vDisk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vdisk {
    /// Its name.
    pub name: VdiskName,
    /// Its number, which stays whatever its name becomes.
    pub id: u64,
    /// Where guests reach it.
    pub uri: String,
    /// Its size.
    #[serde(rename = "size_bytes")]
    pub size: ByteCount,
    /// The owner's generation.
    pub generation: u32,
    /// Bytes of clusters that hold data.
    #[serde(rename = "stored_bytes")]
    pub stored: ByteCount,
    /// Bytes that the disks don't hold yet with redundancy.
    pub unsafe_bytes: ByteCount,
    /// Why it doesn't serve, when it doesn't.
    pub halted: Option<String>,
    /// Ranges that can't be read; the first few.
    pub lost: Vec<LostRange>,
}

/// A range of a vDisk that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRange {
    /// Where it begins.
    #[serde(rename = "offset_bytes")]
    pub offset: ByteCount,
    /// How long it is.
    #[serde(rename = "length_bytes")]
    pub length: ByteCount,
}

/// A write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBuffer {
    /// Bytes that it holds and the disks lack.
    #[serde(rename = "used_bytes")]
    pub used: ByteCount,
    /// Bytes that its files may take.
    #[serde(rename = "limit_bytes")]
    pub limit: ByteCount,
}

/// A KV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    /// How many copies there are of it.
    pub copies: u32,
    /// How many keys it holds.
    pub keys: u64,
    /// The number of its last command.
    pub index: u64,
    /// Why it doesn't serve, when it doesn't.
    pub trouble: Option<String>,
}

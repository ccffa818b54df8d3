//! Bodies of requests, and the smallest answer.

use glossary::ByteCount;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/vdisks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateVdisk {
    /// The name, unchecked.
    pub name: String,
    /// The size.
    #[serde(rename = "size_bytes")]
    pub size: ByteCount,
}

/// Body of `PATCH /v1/vdisks/NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeVdisk {
    /// The new size.
    #[serde(rename = "size_bytes")]
    pub size: ByteCount,
}

/// What `GET /v1/version` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The program's version.
    pub program: String,
    /// [`crate::VERSION`].
    pub api: u32,
}

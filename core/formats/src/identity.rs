//! The file `identity` in every folder of ours: whose it is, so that a folder that was swapped, copied or
//! left behind by another cluster is known before anything is touched.

use alloc::vec::Vec;
use checksum::crc32c;
use glossary::{BufferIdentity, ClusterIdentity, OsdId, OsdIdentity};
use serde::{Deserialize, Serialize};

/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"OVSIDENT";

/// The version that this program writes.
pub const VERSION: u16 = 1;

/// What an identity file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster: ClusterIdentity,
    /// What the folder is.
    pub folder: Folder,
}

/// What a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Folder {
    /// The root of a cluster in one directory.
    Root,
    /// An ASD.
    Asd {
        /// Its number.
        osd: OsdId,
        /// Its identity.
        identity: OsdIdentity,
    },
    /// A write buffer.
    WriteBuffer {
        /// Its identity.
        identity: BufferIdentity,
    },
    /// A KV.
    Kv,
}

/// Why bytes are no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not an identity file at all.
    #[error("it is no identity file")]
    Foreign,
    /// Written by a newer program.
    #[error("it has format version {0}, and this program knows up to {VERSION}")]
    Newer(u16),
    /// The check doesn't hold.
    #[error("it is damaged")]
    Damaged,
}

impl Identity {
    /// Magic, version (u16), length of the body (u16), body (postcard), CRC-32C of all before.
    pub fn encode(&self) -> Vec<u8> {
        let body = postcard::to_allocvec(self).expect("identities encode");
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&body);
        let check = crc32c(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads what [`Identity::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(IdentityError::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(IdentityError::Damaged)?;
        let version = u16::from_le_bytes(*version);
        if version > VERSION {
            return Err(IdentityError::Newer(version));
        }
        let (length, rest) = rest.split_first_chunk().ok_or(IdentityError::Damaged)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (body, check) = rest.split_at_checked(length).ok_or(IdentityError::Damaged)?;
        if version != VERSION || check != crc32c(&bytes[..bytes.len() - check.len()]).to_le_bytes() {
            return Err(IdentityError::Damaged);
        }
        postcard::from_bytes(body).map_err(|_| IdentityError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        let folder = Folder::Asd { osd: OsdId(3), identity: OsdIdentity([2; 16]) };
        Identity { cluster: ClusterIdentity([1; 16]), folder }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut expected = b"OVSIDENT\x01\x00\x22\x00".to_vec();
        expected.extend_from_slice(&[1; 16]);
        expected.extend_from_slice(&[1, 3]);
        expected.extend_from_slice(&[2; 16]);
        let check = crc32c(&expected);
        expected.extend_from_slice(&check.to_le_bytes());
        assert_eq!(sample().encode(), expected);
        assert_eq!(Identity::decode(&expected), Ok(sample()));
    }

    #[test]
    fn other_files_newer_versions_and_damage_are_told_apart() {
        let good = sample().encode();
        assert_eq!(Identity::decode(b"#!/bin/sh"), Err(IdentityError::Foreign));
        let mut newer = good.clone();
        newer[8] = 9;
        assert_eq!(Identity::decode(&newer), Err(IdentityError::Newer(9)));
        for index in 10..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 0x40;
            assert_eq!(Identity::decode(&bad), Err(IdentityError::Damaged), "byte {index}");
            assert!(Identity::decode(&good[..index]).is_err(), "cut at {index}");
        }
    }
}

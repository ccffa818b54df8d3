//! The file `member` of a server's data: which member of the KV's group it is, and how that began. It is written once,
//! before the KV starts for the first time; from then on the KV's log says who belongs to the group.

use alloc::vec::Vec;
use checksum::crc32c;
use consensus::{Member, Membership};
use glossary::{ClusterIdentity, ServerId};
use serde::{Deserialize, Serialize};

/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"OVSMEMBR";

/// The version that this program writes.
pub const VERSION: u16 = 1;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFile {
    /// The cluster that the data belongs to.
    pub cluster: ClusterIdentity,
    /// The server that it belongs to.
    pub server: ServerId,
    /// The member that it is.
    pub member: Member,
    /// With whom the group begins; none for one that joins a group that runs.
    pub first: Option<Membership>,
}

/// Why bytes are no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberFileError {
    /// Something else.
    #[error("it doesn't say which member of a group this is")]
    Foreign,
    /// Written by a newer program.
    #[error("it has format version {0}, and this program knows up to {VERSION}")]
    Newer(u16),
    /// The check doesn't hold.
    #[error("it is damaged")]
    Damaged,
}

impl MemberFile {
    /// Magic, version (u16), body (postcard), CRC-32C of all before.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let mut bytes = postcard::to_extend(self, bytes).expect("members encode");
        let check = crc32c(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads what [`MemberFile::encode`] wrote.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(bytes: &[u8]) -> Result<Self, MemberFileError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(MemberFileError::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(MemberFileError::Damaged)?;
        let version = u16::from_le_bytes(*version);
        if version > VERSION {
            return Err(MemberFileError::Newer(version));
        }
        let (body, check) = rest.split_last_chunk::<4>().ok_or(MemberFileError::Damaged)?;
        if version != VERSION || crc32c(&bytes[..bytes.len() - check.len()]).to_le_bytes() != *check {
            return Err(MemberFileError::Damaged);
        }
        postcard::from_bytes(body).map_err(|_| MemberFileError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> MemberFile {
        let first = Some(Membership::of_voters([1, 2, 3].map(Member)));
        MemberFile { cluster: ClusterIdentity([1; 16]), server: ServerId(2), member: Member(2), first }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut expected = b"OVSMEMBR\x01\x00".to_vec();
        expected.extend_from_slice(&[1; 16]);
        expected.extend_from_slice(&[2, 2, 1, 3, 1, 2, 3, 0]);
        let check = crc32c(&expected);
        expected.extend_from_slice(&check.to_le_bytes());
        assert_eq!(sample().encode(), expected);
        assert_eq!(MemberFile::decode(&expected), Ok(sample()));
    }

    #[test]
    fn other_files_newer_versions_and_damage_are_told_apart() {
        let good = sample().encode();
        assert_eq!(MemberFile::decode(b"#!/bin/sh"), Err(MemberFileError::Foreign));
        let mut newer = good.clone();
        newer[8] = 9;
        assert_eq!(MemberFile::decode(&newer), Err(MemberFileError::Newer(9)));
        for index in 10..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 0x40;
            assert_eq!(MemberFile::decode(&bad), Err(MemberFileError::Damaged), "byte {index}");
            assert!(MemberFile::decode(&good[..index]).is_err(), "cut at {index}");
        }
    }
}

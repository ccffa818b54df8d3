//! The ASD key of a fragment: `f`, namespace (8 bytes, big-endian), object id (32), chunk (2, big-endian),
//! index (1), attempt (8, big-endian). Big-endian, so that keys sort by namespace and object.

use alloc::vec::Vec;
use glossary::{AttemptId, FragmentId, NamespaceId, ObjectId};

use crate::message::asd::AsdKey;

/// Bytes of a fragment's key.
pub const KEY_BYTES: usize = 52;

/// The first byte of every fragment's key.
const KIND: u8 = b'f';

/// The key that an ASD stores a fragment under.
pub fn fragment_key(namespace: NamespaceId, id: &FragmentId) -> AsdKey {
    let mut key = Vec::with_capacity(KEY_BYTES);
    key.push(KIND);
    key.extend_from_slice(&namespace.0.to_be_bytes());
    key.extend_from_slice(&id.object.0);
    key.extend_from_slice(&id.chunk.to_be_bytes());
    key.push(id.index);
    key.extend_from_slice(&id.attempt.0.to_be_bytes());
    key
}

/// What the keys of all fragments start with, and no other key.
pub fn fragments_prefix() -> AsdKey {
    alloc::vec![KIND]
}

/// What the keys of all fragments of a namespace start with, and no other key.
pub fn namespace_prefix(namespace: NamespaceId) -> AsdKey {
    let mut prefix = Vec::with_capacity(9);
    prefix.push(KIND);
    prefix.extend_from_slice(&namespace.0.to_be_bytes());
    prefix
}

/// Which fragment of which namespace a key is for; `None` when it is for something else.
pub fn parse_fragment_key(key: &[u8]) -> Option<(NamespaceId, FragmentId)> {
    let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
    let (kind, rest) = key.split_first()?;
    let (namespace, rest) = rest.split_first_chunk()?;
    let (object, rest) = rest.split_first_chunk()?;
    let (chunk, rest) = rest.split_first_chunk()?;
    let (index, attempt) = rest.split_first()?;
    let id = FragmentId {
        object: ObjectId(*object),
        chunk: u16::from_be_bytes(*chunk),
        index: *index,
        attempt: AttemptId(u64::from_be_bytes(attempt.try_into().ok()?)),
    };
    (*kind == KIND).then_some((NamespaceId(u64::from_be_bytes(*namespace)), id))
}

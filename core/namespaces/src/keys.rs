//! Keys: big-endian, so that they sort as names do: SCOs before TLogs, each by number.

use alloc::vec::Vec;
use formats::namespace::ObjectName;
use glossary::{Generation, NamespaceId, ScoId, TlogId};

const SCO: u8 = b's';
const TLOG: u8 = b't';

/// The key of a namespace's record.
pub(crate) fn record_key(namespace: NamespaceId) -> Vec<u8> {
    [&b"n/"[..], &namespace.0.to_be_bytes()].concat()
}

/// What the keys of a namespace's manifests start with.
pub(crate) fn manifest_prefix(namespace: NamespaceId) -> Vec<u8> {
    [&b"o/"[..], &namespace.0.to_be_bytes(), b"/"].concat()
}

/// The key of a manifest.
pub(crate) fn manifest_key(namespace: NamespaceId, name: ObjectName) -> Vec<u8> {
    let mut key = manifest_prefix(namespace);
    match name {
        ObjectName::Sco(sco) => {
            key.push(SCO);
            key.extend_from_slice(&sco.0.to_be_bytes());
        }
        ObjectName::Tlog(tlog) => {
            key.push(TLOG);
            key.extend_from_slice(&tlog.generation.0.to_be_bytes());
            key.extend_from_slice(&tlog.sequence.to_be_bytes());
        }
    }
    key
}

/// The name in what follows the prefix in a manifest's key.
pub(crate) fn name_of(rest: &[u8]) -> Option<ObjectName> {
    let (kind, number) = rest.split_first()?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    match *kind {
        SCO => Some(ObjectName::Sco(ScoId(number))),
        TLOG => {
            let generation = Generation((number >> 32) as u32);
            Some(ObjectName::Tlog(TlogId { generation, sequence: number as u32 }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_keys() {
        let tlog = ObjectName::Tlog(TlogId { generation: Generation(3), sequence: 4 });
        assert_eq!(record_key(NamespaceId(258)), b"n/\0\0\0\0\0\0\x01\x02");
        assert_eq!(manifest_key(NamespaceId(1), tlog), b"o/\0\0\0\0\0\0\0\x01/t\0\0\0\x03\0\0\0\x04");
        let sco = ObjectName::Sco(ScoId(5));
        assert_eq!(manifest_key(NamespaceId(1), sco), b"o/\0\0\0\0\0\0\0\x01/s\0\0\0\0\0\0\0\x05");
        for name in [sco, tlog] {
            assert_eq!(name_of(&manifest_key(NamespaceId(1), name)[11..]), Some(name));
        }
        assert_eq!(name_of(b"x\0\0\0\0\0\0\0\x05"), None);
        assert_eq!(name_of(b"s\0\0\0\0\0\0\x05"), None);
        assert_eq!(name_of(b""), None);
    }
}

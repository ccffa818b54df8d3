//! Whom to ask: the servers whose members the KV's root group has, under a key of its own in that group's map.
//!
//! Who asks the KV begins with the servers that its configuration names. Members come and go, until none of those is left:
//! so askers read [`MEMBERS_KEY`] now and then, and go on with whom it names ([`crate::kv_route`]). The leader of the root
//! group writes it when members joined or left. A group of one does not write it, and so it may still name who left last:
//! whoever follows it asks the next in turn.
//!
//! It is an ordinary pair, set by an ordinary command, which members of every level apply: no new level is needed
//! ([`crate::kv_level`]). A leader whose program doesn't know the key leaves it as it is, and the next that does puts it right.
//! So what it says may be old, and is never all that an asker relies on.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use glossary::{NodeId, ServerId};

/// The key of the servers with members.
pub const MEMBERS_KEY: &[u8] = b"kv/members";

/// Servers that it names at most: groups have far fewer members, and an asker remembers them all.
pub const MEMBERS_MAX: usize = 64;

/// The version byte of what it says.
const VERSION: u8 = 1;

/// Encodes the servers; of more than [`MEMBERS_MAX`] the first.
pub fn encode(servers: &BTreeSet<ServerId>) -> Vec<u8> {
    let numbers = servers.iter().take(MEMBERS_MAX).flat_map(|server| server.0.to_le_bytes());
    [VERSION].into_iter().chain(numbers).collect()
}

/// Decodes them, in order; `None` when it is no such list, or names nobody.
pub fn decode(value: &[u8]) -> Option<Vec<ServerId>> {
    let (numbers, rest) = value.strip_prefix(&[VERSION])?.as_chunks::<2>();
    let servers: Vec<ServerId> = numbers.iter().map(|number| ServerId(u16::from_le_bytes(*number))).collect();
    let is_list = rest.is_empty() && !servers.is_empty() && servers.len() <= MEMBERS_MAX;
    (is_list && servers.is_sorted_by(|one, next| one < next)).then_some(servers)
}

/// Where members are that an answer to [`MEMBERS_KEY`] names; nobody where it is none, or there is no such key.
pub fn named(value: Option<&[u8]>) -> Vec<NodeId> {
    value.and_then(decode).unwrap_or_default().into_iter().map(NodeId::kv_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn servers(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<ServerId> {
        numbers.into_iter().map(ServerId).collect()
    }

    #[test]
    fn golden_bytes_of_version_1() {
        assert_eq!(encode(&servers([0x0302, 1])), [1, 1, 0, 2, 3]);
        assert_eq!(decode(&[1, 1, 0, 2, 3]), Some(vec![ServerId(1), ServerId(0x0302)]));
        let none = [&[][..], &[1], &[1, 1], &[2, 1, 0], &[1, 1, 0, 2], &[1, 2, 0, 1, 0], &[1, 2, 0, 2, 0]];
        assert_eq!(none.map(decode), [const { None }; 7]);
    }

    #[test]
    fn what_names_nobody_is_nobody() {
        assert_eq!(named(Some(&[1, 7, 0])), [NodeId::kv_of(ServerId(7))]);
        assert_eq!([None, Some(&[][..])].map(named), [const { Vec::new() }; 2]);
    }

    #[test]
    fn it_is_bounded() {
        let named = decode(&encode(&servers(0..100))).expect("a list");
        assert_eq!(named, (0..MEMBERS_MAX as u16).map(ServerId).collect::<Vec<_>>());
        let longer: Vec<u8> = [1].into_iter().chain((0..65u16).flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&longer), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(numbers in proptest::collection::btree_set(any::<u16>(), 1..=MEMBERS_MAX)) {
            let servers = servers(numbers);
            prop_assert_eq!(decode(&encode(&servers)), Some(servers.into_iter().collect()));
        }

        #[test]
        fn nothing_else_is(value in proptest::collection::vec(any::<u8>(), 0..140)) {
            if let Some(servers) = decode(&value) {
                prop_assert_eq!(encode(&servers.into_iter().collect()), value);
            }
        }
    }
}

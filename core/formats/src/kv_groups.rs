//! Which groups there are, as the root group's map has it: `kv/group/<name>` says which a name is, and `kv/groups` which
//! number comes next. `kv/wanted/<name>` says that the cluster counts on a group: the KV makes it by itself, and does not drop
//! it. All values begin with a version byte.

use alloc::string::String;
use alloc::vec::Vec;
use consensus::Membership;
use glossary::GroupId;
use serde::{Deserialize, Serialize};

/// The prefix of the keys that name groups.
pub const GROUP_PREFIX: &[u8] = b"kv/group/";

/// The key of the number that the next group gets.
pub const NEXT_KEY: &[u8] = b"kv/groups";

/// The prefix of the keys that name groups that the cluster counts on.
pub const WANTED_PREFIX: &[u8] = b"kv/wanted/";

/// What stands under such a key.
pub const WANTED: [u8; 1] = [VERSION];

/// The longest name of a group, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The most groups beside the root group: each has a member, a queue and a session table in memory, at every server.
pub const GROUPS_MAX: usize = 1024;

const VERSION: u8 = 1;

/// What is said of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its number.
    pub group: GroupId,
    /// With whom it began.
    pub first: Membership,
}

/// Whether a group can have this name.
///
/// # Errors
/// Says in words why it can't.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().next() {
        None => Err("a group needs a name"),
        Some(_) if name.len() > NAME_BYTES_MAX => Err("a group's name has at most 64 bytes"),
        Some(first) if !first.is_ascii_alphanumeric() => {
            Err("a group's name starts with a letter or digit, and has letters, digits, '.', '_' and '-'")
        }
        Some(_) if !name.chars().all(is_known) => {
            Err("a group's name has letters, digits, '.', '_' and '-', and no other characters")
        }
        Some(_) => Ok(()),
    }
}

/// The key of a group's name.
pub fn group_key(name: &str) -> Vec<u8> {
    [GROUP_PREFIX, name.as_bytes()].concat()
}

/// The name that a key is of; `None` when it is none.
pub fn name_of(key: &[u8]) -> Option<String> {
    name_behind(GROUP_PREFIX, key)
}

/// The key that says that the cluster counts on a group.
pub fn wanted_key(name: &str) -> Vec<u8> {
    [WANTED_PREFIX, name.as_bytes()].concat()
}

/// The name of the group that such a key is of; `None` when it is none.
pub fn wanted_of(key: &[u8]) -> Option<String> {
    name_behind(WANTED_PREFIX, key)
}

fn name_behind(prefix: &[u8], key: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(key.strip_prefix(prefix)?).ok()?;
    check_name(name).is_ok().then(|| name.into())
}

/// Encodes what is said of a group.
pub fn encode_group(record: &GroupRecord) -> Vec<u8> {
    postcard::to_extend(record, alloc::vec![VERSION]).expect("records encode")
}

/// Decodes it; `None` when it is none. The root group is never said of.
pub fn decode_group(value: &[u8]) -> Option<GroupRecord> {
    let (record, rest): (GroupRecord, _) = postcard::take_from_bytes(value.strip_prefix(&[VERSION])?).ok()?;
    let is_whole = rest.is_empty() && record.group != GroupId::ROOT && record.first.is_valid();
    is_whole.then_some(record)
}

/// Encodes the number that the next group gets.
pub fn encode_next(next: GroupId) -> Vec<u8> {
    [&[VERSION], &next.0.to_le_bytes()[..]].concat()
}

/// Decodes it; `None` when it is none.
pub fn decode_next(value: &[u8]) -> Option<GroupId> {
    let bytes: [u8; 4] = value.strip_prefix(&[VERSION])?.try_into().ok()?;
    Some(GroupId(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::Member;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let first = Membership { voters: [Member(1), Member(2)].into(), learners: [Member(3)].into() };
        let record = GroupRecord { group: GroupId(300), first };
        let bytes = encode_group(&record);
        assert_eq!(bytes, [1, 0xac, 2, 2, 1, 2, 1, 3]);
        assert_eq!(decode_group(&bytes), Some(record.clone()));
        assert_eq!(decode_group(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(decode_group(&encode_group(&GroupRecord { group: GroupId::ROOT, ..record })), None);
        assert_eq!(encode_next(GroupId(300)), [1, 0x2c, 1, 0, 0]);
        assert_eq!(decode_next(&[1, 0x2c, 1, 0, 0]), Some(GroupId(300)));
        assert_eq!([&[][..], &[1, 1], &[2, 1, 0, 0, 0], &[1, 1, 0, 0, 0, 0]].map(decode_next), [None; 4]);
    }

    #[test]
    fn names_are_keys_and_back() {
        assert_eq!(name_of(&group_key("abm-1")).as_deref(), Some("abm-1"));
        assert_eq!(
            [&b"kv/group/"[..], b"kv/groups", b"kv/group/a/b", b"kv/group/\xff"].map(name_of),
            [const { None }; 4]
        );
        assert_eq!(wanted_of(&wanted_key("abm-1")).as_deref(), Some("abm-1"));
        assert_eq!([wanted_of(&group_key("a")), name_of(&wanted_key("a"))], [const { None }; 2]);
        assert!(check_name("-a").is_err() && check_name(&"a".repeat(65)).is_err());
        assert!(!NEXT_KEY.starts_with(GROUP_PREFIX), "it names no group");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(record) = decode_group(&bytes) {
                prop_assert!(encode_group(&record).len() <= bytes.len());
            }
            if let Some(next) = decode_next(&bytes) {
                prop_assert_eq!(encode_next(next), bytes);
            }
        }
    }
}

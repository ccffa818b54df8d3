//! The KV's table: the states of its groups as they were at their last checkpoint.
//!
//! | key | value |
//! |---|---|
//! | `00` | [`TableHead`] |
//! | `01`, group | [`GroupHead`]: the state that counts |
//! | `02`, group | [`GroupHead`] of a state that another member gave. It counts once the log says that it is installed |
//! | `03`, group, generation, row | a row of a state: session, answer, what is forgotten, or pair |
//!
//! Numbers in keys are big-endian: the group has 4 bytes, a generation 8. A row begins with its kind: `01` and a session,
//! `02` with session and number of a command, `03` alone, `04` and a key of the map. Every value begins with the CRC-32C
//! (4 bytes, little-endian) of key and rest, for a row without group and generation, so that rows can be given to other
//! members as they are; the rest is postcard, but the value of a pair, which is itself. The first byte of the rest of
//! `00` is the table's version. Lost rows show in the sums of a group's head.

use alloc::vec::Vec;
use checksum::Crc32c;
use consensus::SnapshotMark;
use glossary::GroupId;
use serde::{Deserialize, Serialize};

use crate::message::kv::KvAnswer;

/// The version of tables that this program writes.
pub const TABLE_VERSION: u8 = 1;

/// What holds for the whole table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHead {
    /// The table's version.
    pub version: u8,
    /// The cluster that it belongs to.
    pub owner: [u8; 16],
    /// The log goes on from here with the file of this number.
    pub log: u64,
}

/// What a group's rows add up to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHead {
    /// What the state stands for.
    pub mark: SnapshotMark,
    /// The generation of its rows.
    pub generation: u64,
    /// The index of the last command.
    pub index: u64,
    /// How hashes are made; sums of another kind say nothing.
    pub scheme: u16,
    /// How many pairs.
    pub pairs: u64,
    /// The sum of their hashes.
    pub pairs_hash: u64,
    /// How many sessions.
    pub sessions: u64,
    /// The sum of their hashes, and of what is forgotten.
    pub sessions_hash: u64,
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKey<'a> {
    /// What holds for the whole table.
    Head,
    /// The state of a group that counts.
    Group(GroupId),
    /// The state of a group that another member gave.
    Arrived(GroupId),
    /// A row of a state.
    Row {
        /// Whose.
        group: GroupId,
        /// Of which generation.
        generation: u64,
        /// See [`RowKey`].
        row: &'a [u8],
    },
}

impl<'a> TableKey<'a> {
    /// The key's bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            TableKey::Head => alloc::vec![0],
            TableKey::Group(group) => [&[1], &group.0.to_be_bytes()[..]].concat(),
            TableKey::Arrived(group) => [&[2], &group.0.to_be_bytes()[..]].concat(),
            TableKey::Row { group, generation, row } => {
                [&[3], &group.0.to_be_bytes()[..], &generation.to_be_bytes()[..], row].concat()
            }
        }
    }

    /// What a key's bytes name; `None` when they are none.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        if kind == 0 {
            return rest.is_empty().then_some(TableKey::Head);
        }
        let (group, rest) = rest.split_first_chunk()?;
        let group = GroupId(u32::from_be_bytes(*group));
        match kind {
            1 if rest.is_empty() => Some(TableKey::Group(group)),
            2 if rest.is_empty() => Some(TableKey::Arrived(group)),
            3 => {
                let (generation, row) = rest.split_first_chunk()?;
                Some(TableKey::Row { group, generation: u64::from_be_bytes(*generation), row })
            }
            _ => None,
        }
    }
}

/// What a row is, by its key within a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKey<'a> {
    /// A session: below which number its answers are forgotten, and the index of its last command.
    Session(u64),
    /// The answer to a session's command of this number.
    Answer(u64, u64),
    /// The sessions that were forgotten, the oldest first.
    Forgotten,
    /// A pair.
    Pair(&'a [u8]),
}

impl<'a> RowKey<'a> {
    /// The key's bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            RowKey::Session(session) => [&[1], &session.to_be_bytes()[..]].concat(),
            RowKey::Answer(session, sequence) => {
                [&[2], &session.to_be_bytes()[..], &sequence.to_be_bytes()[..]].concat()
            }
            RowKey::Forgotten => alloc::vec![3],
            RowKey::Pair(key) => [&[4], key].concat(),
        }
    }

    /// What a key's bytes name; `None` when they are none.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let word = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        match kind {
            1 => Some(RowKey::Session(word(rest)?)),
            2 => {
                let (session, sequence) = rest.split_at_checked(8)?;
                Some(RowKey::Answer(word(session)?, word(sequence)?))
            }
            3 if rest.is_empty() => Some(RowKey::Forgotten),
            4 => Some(RowKey::Pair(rest)),
            _ => None,
        }
    }
}

/// A row's value without its check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// See [`RowKey::Session`].
    Session(u64, SessionRow),
    /// See [`RowKey::Answer`].
    Answer(u64, u64, KvAnswer),
    /// See [`RowKey::Forgotten`].
    Forgotten(Vec<u64>),
    /// Key and value.
    Pair(Vec<u8>, Vec<u8>),
}

/// A session without its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The answers of all commands below this number are forgotten.
    pub answered_below: u64,
    /// The index of its last command.
    pub used: u64,
}

/// Bytes of a check.
const CHECK_BYTES: usize = 4;

fn check(key: &[u8], body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut crc = Crc32c::new();
    crc.update(key);
    crc.update(body);
    crc.finish().to_le_bytes()
}

fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    [&check(key, body)[..], body].concat()
}

fn opened<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (found, body) = value.split_first_chunk()?;
    (*found == check(key, body)).then_some(body)
}

fn decoded<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(value)
}

/// The value of a head under its key.
pub fn encode_head<T: Serialize>(key: TableKey<'_>, head: &T) -> Vec<u8> {
    sealed(&key.encode(), &postcard::to_allocvec(head).expect("heads encode"))
}

/// The version of a table by the value of its head; `None` when that is damaged.
pub fn table_version(value: &[u8]) -> Option<u8> {
    opened(&TableKey::Head.encode(), value)?.first().copied()
}

/// A head by its value; `None` when it is damaged.
pub fn decode_head<'a, T: Deserialize<'a>>(key: TableKey<'_>, value: &'a [u8]) -> Option<T> {
    decoded(opened(&key.encode(), value)?)
}

/// Key and value of a row.
pub fn encode_row(row: &Row) -> (Vec<u8>, Vec<u8>) {
    let encoded = |key: RowKey<'_>, body: &[u8]| {
        let key = key.encode();
        let value = sealed(&key, body);
        (key, value)
    };
    let numbers = "numbers and answers encode";
    match row {
        Row::Session(session, row) => {
            encoded(RowKey::Session(*session), &postcard::to_allocvec(row).expect(numbers))
        }
        Row::Answer(session, sequence, answer) => {
            encoded(RowKey::Answer(*session, *sequence), &postcard::to_allocvec(answer).expect(numbers))
        }
        Row::Forgotten(sessions) => {
            encoded(RowKey::Forgotten, &postcard::to_allocvec(sessions).expect(numbers))
        }
        Row::Pair(key, value) => encoded(RowKey::Pair(key), value),
    }
}

/// A row by its key and value; `None` when it is damaged.
pub fn decode_row(key: &[u8], value: &[u8]) -> Option<Row> {
    let body = opened(key, value)?;
    Some(match RowKey::decode(key)? {
        RowKey::Session(session) => Row::Session(session, decoded(body)?),
        RowKey::Answer(session, sequence) => Row::Answer(session, sequence, decoded(body)?),
        RowKey::Forgotten => Row::Forgotten(decoded(body)?),
        RowKey::Pair(key) => Row::Pair(key.to_vec(), body.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use consensus::{LogIndex, Member, Membership, Term};
    use proptest::prelude::*;

    fn rows() -> Vec<Row> {
        vec![
            Row::Session(300, SessionRow { answered_below: 2, used: 7 }),
            Row::Answer(300, 2, KvAnswer::Done(vec![9])),
            Row::Forgotten(vec![1, 300]),
            Row::Pair(b"k".to_vec(), b"v".to_vec()),
        ]
    }

    fn mark() -> SnapshotMark {
        SnapshotMark { index: LogIndex(300), term: Term(4), membership: Membership::of_voters([Member(1)]) }
    }

    fn bytes(check: u32, rest: &[u8]) -> Vec<u8> {
        [&check.to_le_bytes()[..], rest].concat()
    }

    #[test]
    fn golden_rows() {
        let expected = [
            (&b"\x01\0\0\0\0\0\0\x01\x2c"[..], &b"\x02\x07"[..]),
            (b"\x02\0\0\0\0\0\0\x01\x2c\0\0\0\0\0\0\0\x02", b"\x00\x01\x09"),
            (b"\x03", b"\x02\x01\xac\x02"),
            (b"\x04k", b"v"),
        ];
        for (row, (key, body)) in rows().iter().zip(expected) {
            let whole = checksum::crc32c(&[key, body].concat());
            assert_eq!(encode_row(row), (key.to_vec(), bytes(whole, body)));
        }
        let (_, value) = encode_row(&rows()[3]);
        assert_eq!(value, b"\xa2\xfa\xec\x80v");
    }

    #[test]
    fn golden_heads() {
        let head = TableHead { version: TABLE_VERSION, owner: [7; 16], log: 300 };
        let value = encode_head(TableKey::Head, &head);
        assert_eq!(value[4..], [&[1][..], &[7; 16], b"\xac\x02"].concat());
        assert_eq!(table_version(&value), Some(1));
        assert_eq!(decode_head(TableKey::Head, &value), Some(head));
        let head = GroupHead {
            mark: mark(),
            generation: 1,
            index: 2,
            scheme: 1,
            pairs: 3,
            pairs_hash: 300,
            sessions: 4,
            sessions_hash: 5,
        };
        let key = TableKey::Group(GroupId(0x0102));
        let value = encode_head(key, &head);
        assert_eq!(value[4..], b"\xac\x02\x04\x01\x01\x00\x01\x02\x01\x03\xac\x02\x04\x05"[..]);
        assert_eq!(decode_head(key, &value), Some(head));
        assert_eq!(decode_head::<GroupHead>(TableKey::Arrived(GroupId(0x0102)), &value), None);
    }

    #[test]
    fn golden_keys() {
        let group = GroupId(0x0102);
        for (key, bytes) in [
            (TableKey::Head, &b"\0"[..]),
            (TableKey::Group(group), b"\x01\0\0\x01\x02"),
            (TableKey::Arrived(group), b"\x02\0\0\x01\x02"),
            (TableKey::Row { group, generation: 3, row: b"row" }, b"\x03\0\0\x01\x02\0\0\0\0\0\0\0\x03row"),
        ] {
            assert_eq!(key.encode(), bytes);
            assert_eq!(TableKey::decode(bytes), Some(key));
        }
        for none in [&b""[..], b"\0\0", b"\x01\0\0\0", b"\x02\0\0\0\0\0", b"\x03\0\0\0\0\0", b"\x04"] {
            assert_eq!(TableKey::decode(none), None);
        }
    }

    #[test]
    fn a_row_decodes_under_its_own_key_alone_and_with_no_bit_changed() {
        for row in rows() {
            let (key, value) = encode_row(&row);
            assert_eq!(decode_row(&key, &value), Some(row));
            for at in 0..key.len() + value.len() {
                let (mut key, mut value) = (key.clone(), value.clone());
                let split = at.checked_sub(key.len());
                *split.map_or_else(|| &mut key[at], |at| &mut value[at]) ^= 1;
                assert_eq!(decode_row(&key, &value), None);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(
            key in proptest::collection::vec(any::<u8>(), 0..30),
            body in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let value = sealed(&key, &body);
            let _ = (decode_row(&key, &value), decode_row(&key, &body), table_version(&body));
            if let Some(key) = TableKey::decode(&key) {
                let value = sealed(&key.encode(), &body);
                let _ = (decode_head::<TableHead>(key, &value), decode_head::<GroupHead>(key, &value));
            }
        }
    }
}

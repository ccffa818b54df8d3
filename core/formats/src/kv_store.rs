//! What the KV writes: batches of its log, and snapshots.
//!
//! Both are journals ([`crate::journal`]). A log is `log-<sequence, 16 hex>`; the body of a batch is empty (a
//! mark after a sync) or records in postcard, until its end: the number of a group, and a [`LogRecord`] of that
//! group's. An entry's command is a list of [`LoggedCommand`]s in postcard.
//!
//! A snapshot is `snapshot-<sequence>`; the log goes on from it with the file that says so
//! ([`LogRecord::upon`]). The bodies of its batches are [`SnapshotPart`]s in postcard: the mark, sessions, pairs in
//! order, and one end. Without its end it is none. The version of both is that in the header of the file.
//!
//! Version 2 of the log knew one group, the root group: its records are [`LogRecord`]s without a number before them.
//!
//! Version 1 knew no group: the body of a log's batch was the index of its first command (8 bytes, little-endian)
//! and the commands in postcard; a snapshot had no mark, and was named after the first log whose commands it lacked.

use alloc::vec::Vec;
use consensus::{Entry, HardState, LogIndex, Member, SnapshotMark};
use glossary::{GroupId, ServerId};
use serde::{Deserialize, Serialize};

use crate::message::kv::{FunctionId, KvAnswer, KvCommand};

/// A command as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCommand {
    /// Who asked.
    pub session: u64,
    /// The asker's number for it.
    pub sequence: u64,
    /// The asker has the answers of all commands below.
    pub answered_below: u64,
    /// What to change.
    pub command: KvCommand,
}

/// One record of a log: what a member of the group must have written before it says more. The records of a member,
/// in their order, give what it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Nothing before this record counts, once the snapshot of this number is whole: all of it is there, or is said
    /// again here. Only the first record of a file says so.
    pub upon: Option<u64>,
    /// Replaces the one before.
    pub hard_state: Option<HardState>,
    /// The state is that of this snapshot from here on, and no entries follow it; or the group begins here.
    pub install: Option<SnapshotMark>,
    /// Entries, in place of all that were behind the first of them.
    pub append: Option<Appended>,
}

/// Entries of the group's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The last index that stays.
    pub after: LogIndex,
    /// The entries from `after + 1`.
    pub entries: Vec<Entry>,
}

/// What a session has had, for commands that are sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The answers of all commands below this number are forgotten.
    pub answered_below: u64,
    /// The index of its last command: the session that is longest idle is forgotten first.
    pub used: u64,
    /// The answers that may still be asked for, by the number of the command, in order.
    pub answers: Vec<(u64, KvAnswer)>,
}

/// One batch of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotPart {
    /// Sessions, in order of their numbers.
    Sessions(Vec<(u64, SessionRecord)>),
    /// Sessions that were forgotten, the oldest first.
    Forgotten(Vec<u64>),
    /// Pairs, in order of their keys.
    Pairs(Vec<(Vec<u8>, Vec<u8>)>),
    /// All has been said.
    End {
        /// The index of the last command that the snapshot holds.
        index: u64,
        /// How many sessions.
        sessions: u64,
        /// How many pairs.
        pairs: u64,
    },
    /// What the snapshot stands for. The first part, since version 2.
    Mark(SnapshotMark),
}

/// Appends records of a group to the body of a log batch.
pub fn encode_records(mut body: Vec<u8>, group: GroupId, records: &[LogRecord]) -> Vec<u8> {
    for record in records {
        body = postcard::to_extend(&(group, record), body).expect("records encode");
    }
    body
}

/// Decodes the body of a log batch; `None` when it is none. An empty one has no records.
pub fn decode_records(body: &[u8]) -> Option<Vec<(GroupId, LogRecord)>> {
    decode_all(body)
}

/// Encodes the body of a log batch of version 2.
pub fn encode_records_2(records: &[LogRecord]) -> Vec<u8> {
    let encode = |body, record: &LogRecord| postcard::to_extend(record, body).expect("records encode");
    records.iter().fold(Vec::new(), encode)
}

/// Decodes the body of a log batch of version 2; `None` when it is none. An empty one has no records.
pub fn decode_records_2(body: &[u8]) -> Option<Vec<LogRecord>> {
    decode_all(body)
}

fn decode_all<'a, T: Deserialize<'a>>(mut body: &'a [u8]) -> Option<Vec<T>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (record, rest) = postcard::take_from_bytes(body).ok()?;
        records.push(record);
        body = rest;
    }
    Some(records)
}

/// Encodes the command of an entry.
pub fn encode_entry<'a>(commands: impl ExactSizeIterator<Item = &'a LoggedCommand>) -> Vec<u8> {
    let body = postcard::to_extend(&(commands.len() as u64), Vec::new()).expect("numbers encode");
    commands.fold(body, |body, command| postcard::to_extend(command, body).expect("commands encode"))
}

/// Decodes the command of an entry; `None` when it is none.
pub fn decode_entry(bytes: &[u8]) -> Option<Vec<LoggedCommand>> {
    let (commands, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(commands)
}

/// Encodes the body of a log batch of version 1 whose first command has `first_index`.
pub fn encode_commands<'a>(
    first_index: u64,
    commands: impl ExactSizeIterator<Item = &'a LoggedCommand>,
) -> Vec<u8> {
    let body = first_index.to_le_bytes().to_vec();
    let mut body = postcard::to_extend(&(commands.len() as u64), body).expect("numbers encode");
    for command in commands {
        body = postcard::to_extend(command, body).expect("commands encode");
    }
    body
}

/// Decodes the body of a log batch of version 1; `None` when it is none. An empty one has no commands.
pub fn decode_commands(body: &[u8]) -> Option<(u64, Vec<LoggedCommand>)> {
    let Some((index, rest)) = body.split_first_chunk() else {
        return body.is_empty().then_some((0, Vec::new()));
    };
    let (commands, rest) = postcard::take_from_bytes(rest).ok()?;
    rest.is_empty().then_some((u64::from_le_bytes(*index), commands))
}

/// The prefix of the keys under which members of the group say which versions of functions they know.
pub const KNOWS_PREFIX: &[u8] = b"kv/knows/";

/// The version byte of what they say.
const KNOWS_VERSION: u8 = 1;

/// The key of what a member knows.
pub fn knows_key(member: Member) -> Vec<u8> {
    [KNOWS_PREFIX, &member.0.to_be_bytes()].concat()
}

/// The member that a key of what one knows is of; `None` when it is no such key.
pub fn member_of_knows(key: &[u8]) -> Option<Member> {
    Some(Member(u64::from_be_bytes(key.strip_prefix(KNOWS_PREFIX)?.try_into().ok()?)))
}

/// Encodes which functions a member knows in another version than the first, and the level of its program
/// ([`FunctionId::LEVEL`]) where that is not 0.
pub fn encode_knows(functions: &[(FunctionId, u32)]) -> Vec<u8> {
    postcard::to_extend(functions, alloc::vec![KNOWS_VERSION]).expect("numbers encode")
}

/// Decodes it; `None` when it is none.
pub fn decode_knows(value: &[u8]) -> Option<Vec<(FunctionId, u32)>> {
    let body = value.strip_prefix(&[KNOWS_VERSION])?;
    let (functions, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(functions)
}

/// The key that says which server's member leads the group, where it can.
pub const PREFERRED_KEY: &[u8] = b"kv/leader";

/// The version byte of what it says.
const PREFERRED_VERSION: u8 = 1;

/// Encodes whose member leads where it can.
pub fn encode_preferred(server: ServerId) -> Vec<u8> {
    let [low, high] = server.0.to_le_bytes();
    alloc::vec![PREFERRED_VERSION, low, high]
}

/// Decodes it; `None` when it is none.
pub fn decode_preferred(value: &[u8]) -> Option<ServerId> {
    match value {
        [PREFERRED_VERSION, low, high] => Some(ServerId(u16::from_le_bytes([*low, *high]))),
        _ => None,
    }
}

/// Encodes a part of a snapshot.
pub fn encode_part(part: &SnapshotPart) -> Vec<u8> {
    postcard::to_allocvec(part).expect("parts encode")
}

/// Decodes a part of a snapshot; `None` when it is none.
pub fn decode_part(body: &[u8]) -> Option<SnapshotPart> {
    let (part, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::kv::KvStep;
    use alloc::vec;
    use consensus::{EntryBody, Member, Membership, MembershipChange, Term};
    use proptest::prelude::*;

    fn command() -> LoggedCommand {
        let step = KvStep::Set { key: b"k".to_vec(), value: b"v".to_vec() };
        LoggedCommand {
            session: 300,
            sequence: 2,
            answered_below: 1,
            command: KvCommand::Sequence(vec![step]),
        }
    }

    #[test]
    fn golden_batch_of_version_1() {
        let body = encode_commands(5, [command(), command()].iter());
        let one = b"\xac\x02\x02\x01\x00\x01\x02\x01k\x01v";
        let expected = [&b"\x05\0\0\0\0\0\0\0\x02"[..], one, one].concat();
        assert_eq!(body, expected);
        assert_eq!(decode_commands(&body), Some((5, vec![command(), command()])));
        assert_eq!(decode_commands(&[]), Some((0, Vec::new())));
        assert_eq!(decode_commands(&body[..body.len() - 1]), None);
        assert_eq!(decode_commands(&[body, vec![0]].concat()), None);
    }

    #[test]
    fn golden_parts_of_version_1() {
        let answers = vec![(2, KvAnswer::Done(vec![9]))];
        let record = SessionRecord { answered_below: 2, used: 7, answers };
        for (part, bytes) in [
            (
                SnapshotPart::Sessions(vec![(300, record)]),
                &b"\x00\x01\xac\x02\x02\x07\x01\x02\x00\x01\x09"[..],
            ),
            (SnapshotPart::Forgotten(vec![1, 300]), b"\x01\x02\x01\xac\x02"),
            (SnapshotPart::Pairs(vec![(b"k".to_vec(), b"v".to_vec())]), b"\x02\x01\x01k\x01v"),
            (SnapshotPart::End { index: 7, sessions: 1, pairs: 300 }, b"\x03\x07\x01\xac\x02"),
        ] {
            assert_eq!(encode_part(&part), bytes);
            assert_eq!(decode_part(bytes), Some(part));
            assert_eq!(decode_part(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn golden_batch_of_version_2() {
        let mark = SnapshotMark {
            index: LogIndex(1),
            term: Term(1),
            membership: Membership::of_voters([Member(3)]),
        };
        let hard_state = HardState { term: Term(2), vote: Some(Member(3)), commit: LogIndex(1) };
        let body = EntryBody::Command(encode_entry([command()].iter()).into());
        let entry = |index, body| Entry { term: Term(2), index: LogIndex(index), body };
        let change = EntryBody::Membership(MembershipChange::AddLearner(Member(4)));
        let entries = vec![entry(2, EntryBody::Nothing), entry(3, body), entry(300, change)];
        let append = Some(Appended { after: LogIndex(1), entries });
        let first = LogRecord { upon: Some(7), hard_state: Some(hard_state), install: Some(mark), append };
        let records = [first, LogRecord::default()];
        let bytes = encode_records_2(&records);
        let expected = b"\x01\x07\x01\x02\x01\x03\x01\x01\x01\x01\x01\x03\x00\x01\x01\x03\x02\x02\x00\
            \x02\x03\x01\x0c\x01\xac\x02\x02\x01\x00\x01\x02\x01k\x01v\x02\xac\x02\x02\x00\x04\x00\x00\x00\x00";
        assert_eq!(bytes, expected);
        assert_eq!(decode_records_2(&bytes).as_deref(), Some(&records[..]));
        assert_eq!(decode_records_2(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_records_2(&[]), Some(Vec::new()));
        assert_eq!(decode_entry(&encode_entry([command()].iter())), Some(vec![command()]));
        assert_eq!(decode_entry(&[encode_entry([command()].iter()), vec![0]].concat()), None);
    }

    #[test]
    fn golden_batch_of_version_3() {
        let hard_state = HardState { term: Term(2), vote: Some(Member(3)), commit: LogIndex(1) };
        let entries = vec![Entry { term: Term(2), index: LogIndex(2), body: EntryBody::Nothing }];
        let append = Some(Appended { after: LogIndex(1), entries });
        let vote = LogRecord { hard_state: Some(hard_state), ..LogRecord::default() };
        let append = LogRecord { append, ..LogRecord::default() };
        let records = [vote, append];
        let bytes = encode_records(Vec::new(), GroupId::ROOT, &records[..1]);
        let bytes = encode_records(bytes, GroupId(300), &records);
        let vote = b"\x00\x01\x02\x01\x03\x01\x00\x00";
        let append = b"\x00\x00\x00\x01\x01\x01\x02\x02\x00";
        let expected = [b"\x00", &vote[..], b"\xac\x02", vote, b"\xac\x02", append].concat();
        assert_eq!(bytes, expected);
        let [vote, append] = records;
        let decoded = vec![(GroupId::ROOT, vote.clone()), (GroupId(300), vote), (GroupId(300), append)];
        assert_eq!(decode_records(&bytes), Some(decoded));
        assert_eq!(decode_records(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode_records(&[]), Some(Vec::new()));
    }

    #[test]
    fn golden_mark_of_version_2() {
        let membership = Membership { voters: [Member(1)].into(), learners: [Member(2)].into() };
        let mark = SnapshotPart::Mark(SnapshotMark { index: LogIndex(300), term: Term(4), membership });
        let bytes = b"\x04\xac\x02\x04\x01\x01\x01\x02";
        assert_eq!(encode_part(&mark), bytes);
        assert_eq!(decode_part(bytes), Some(mark));
    }

    #[test]
    fn golden_bytes_of_what_a_member_knows() {
        assert_eq!(encode_preferred(ServerId(0x0203)), [1, 3, 2]);
        assert_eq!(decode_preferred(&[1, 3, 2]), Some(ServerId(0x0203)));
        assert_eq!([&[][..], &[1, 3], &[2, 3, 2], &[1, 3, 2, 0]].map(decode_preferred), [None; 4]);
        assert_eq!(knows_key(Member(258)), b"kv/knows/\0\0\0\0\0\0\x01\x02");
        assert_eq!(member_of_knows(&knows_key(Member(258))), Some(Member(258)));
        assert_eq!([&b"kv/knows/"[..], b"kv/knows/\0\0\0\0\0\0\x01\x02\0"].map(member_of_knows), [None; 2]);
        let known = [(FunctionId(1), 300), (FunctionId(2), 1)];
        let bytes = encode_knows(&known);
        assert_eq!(bytes, [1, 2, 1, 0xac, 2, 2, 1]);
        assert_eq!(decode_knows(&bytes).as_deref(), Some(&known[..]));
        assert_eq!(decode_knows(&[2, 0]), None, "of a newer program");
        assert_eq!(decode_knows(&[1, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(records) = decode_records(&bytes) {
                let again = records.iter().fold(Vec::new(), |body, (group, record)| {
                    encode_records(body, *group, core::slice::from_ref(record))
                });
                prop_assert!(again.len() <= bytes.len());
            }
            if let Some(records) = decode_records_2(&bytes) {
                prop_assert!(encode_records_2(&records).len() <= bytes.len());
            }
            if let Some(commands) = decode_entry(&bytes) {
                prop_assert!(encode_entry(commands.iter()).len() <= bytes.len());
            }
            if let Some((index, commands)) = decode_commands(&bytes) {
                prop_assert!(bytes.is_empty() || encode_commands(index, commands.iter()).len() <= bytes.len());
            }
            if let Some(part) = decode_part(&bytes) {
                prop_assert!(encode_part(&part).len() <= bytes.len());
            }
        }
    }
}

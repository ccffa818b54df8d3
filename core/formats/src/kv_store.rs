//! What the KV writes: batches of its log, and snapshots.
//!
//! Both are journals ([`crate::journal`]). A log is `log-<sequence, 16 hex>`; the body of a batch is empty (a
//! mark after a sync) or the index of its first command (8 bytes, little-endian) and the commands in postcard.
//!
//! A snapshot is `snapshot-<sequence>`, named after the first log whose commands it lacks. The bodies of its
//! batches are [`SnapshotPart`]s in postcard: sessions, pairs in order, and one end. Without its end it is
//! none. The version of both is that in the header of the file.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::message::kv::{KvAnswer, KvCommand};

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
}

/// Encodes the body of a log batch whose first command has `first_index`.
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

/// Decodes the body of a log batch; `None` when it is none. An empty one has no commands.
pub fn decode_commands(body: &[u8]) -> Option<(u64, Vec<LoggedCommand>)> {
    let Some((index, rest)) = body.split_first_chunk() else {
        return body.is_empty().then_some((0, Vec::new()));
    };
    let (commands, rest) = postcard::take_from_bytes(rest).ok()?;
    rest.is_empty().then_some((u64::from_le_bytes(*index), commands))
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

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((index, commands)) = decode_commands(&bytes) {
                prop_assert!(bytes.is_empty() || encode_commands(index, commands.iter()).len() <= bytes.len());
            }
            if let Some(part) = decode_part(&bytes) {
                prop_assert!(encode_part(&part).len() <= bytes.len());
            }
        }
    }
}

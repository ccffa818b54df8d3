//! Checkpoints of an ASD's index: a journal file of kind `ASD_CHECKPOINT` whose sequence is the number of
//! the checkpoint, and whose label says from where in the log it has to be followed up.
//!
//! ```text
//! label      sequence 8, position 8
//! segment    1, sequence 8, bytes 8
//! value      2, flags 1, key length 1, segment 8, position 4, length 4, CRC-32C 4, oldest 8, key
//! tombstone  3, flags 1, key length 1, segment 8, position 4, oldest 8, newest 8, key
//! end        4, entries 8, synced: sequence 8, position 8
//! ```
//!
//! Flags: bit 0 the value is damaged, bit 1 segments between oldest and newest may hold the key too. An
//! entry never spans two batches. A checkpoint counts when it ends with its end entry; that one says how many
//! entries came before, and up to where the log was synced by then: what a log lacks below that is damage.

use alloc::vec::Vec;

use crate::journal::Mark;

const DAMAGED: u8 = 1;
const WIDE: u8 = 2;

/// Something that a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A segment that is still needed.
    Segment {
        /// Its sequence.
        sequence: u64,
        /// How many of its bytes count, from its start.
        bytes: u64,
    },
    /// A key with a value.
    Value(Value<'a>),
    /// A key that is gone while segments may still hold records of it.
    Tombstone(Tombstone<'a>),
    /// Nothing follows.
    End {
        /// How many entries came before.
        entries: u64,
        /// Up to where the log was synced when this was written.
        synced: Mark,
    },
}

/// A key and where its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The key, 1 to 255 bytes.
    pub key: &'a [u8],
    /// The segment of the record.
    pub segment: u64,
    /// Where the record starts in it, in bytes.
    pub position: u32,
    /// The length of the value, in bytes.
    pub length: u32,
    /// The CRC-32C of the value.
    pub crc: u32,
    /// Known to be damaged.
    pub damaged: bool,
    /// The oldest segment that may hold a record of the key.
    pub oldest: u64,
    /// Whether segments between that one and the record's may hold some too.
    pub wide: bool,
}

/// A key that is gone and where the record that says so is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone<'a> {
    /// The key, 1 to 255 bytes.
    pub key: &'a [u8],
    /// The segment of the record.
    pub segment: u64,
    /// Where the record starts in it, in bytes.
    pub position: u32,
    /// The oldest segment that may hold a put of the key.
    pub oldest: u64,
    /// The newest one.
    pub newest: u64,
    /// Whether segments between these two may hold some too.
    pub wide: bool,
}

/// The label of a checkpoint that has to be followed up from `mark` on.
pub fn encode_label(mark: Mark) -> Vec<u8> {
    [mark.sequence.to_le_bytes(), mark.position.to_le_bytes()].concat()
}

/// Reads what [`encode_label`] wrote.
pub fn decode_label(label: &[u8]) -> Option<Mark> {
    let mut rest = label;
    let mark = take_mark(&mut rest)?;
    rest.is_empty().then_some(mark)
}

impl<'a> Entry<'a> {
    /// Appends the entry to the body of a batch.
    pub fn encode(&self, body: &mut Vec<u8>) {
        match self {
            Entry::Segment { sequence, bytes } => {
                body.push(1);
                body.extend_from_slice(&sequence.to_le_bytes());
                body.extend_from_slice(&bytes.to_le_bytes());
            }
            Entry::Value(value) => {
                let damaged = if value.damaged { DAMAGED } else { 0 };
                body.extend_from_slice(&[2, damaged | wide_flag(value.wide), key_length(value.key)]);
                body.extend_from_slice(&value.segment.to_le_bytes());
                body.extend_from_slice(&value.position.to_le_bytes());
                body.extend_from_slice(&value.length.to_le_bytes());
                body.extend_from_slice(&value.crc.to_le_bytes());
                body.extend_from_slice(&value.oldest.to_le_bytes());
                body.extend_from_slice(value.key);
            }
            Entry::Tombstone(tombstone) => {
                body.extend_from_slice(&[3, wide_flag(tombstone.wide), key_length(tombstone.key)]);
                body.extend_from_slice(&tombstone.segment.to_le_bytes());
                body.extend_from_slice(&tombstone.position.to_le_bytes());
                body.extend_from_slice(&tombstone.oldest.to_le_bytes());
                body.extend_from_slice(&tombstone.newest.to_le_bytes());
                body.extend_from_slice(tombstone.key);
            }
            Entry::End { entries, synced } => {
                body.push(4);
                body.extend_from_slice(&entries.to_le_bytes());
                body.extend_from_slice(&encode_label(*synced));
            }
        }
    }
}

/// The entries in the body of a batch. Ends after the first `None`, which says that what is there is none.
pub fn entries(body: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    let mut rest = body;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = decode(&mut rest);
        if entry.is_none() {
            rest = &[];
        }
        Some(entry)
    })
}

fn decode<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let [kind] = take(rest)?;
    match kind {
        1 => Some(Entry::Segment { sequence: take_u64(rest)?, bytes: take_u64(rest)? }),
        2 => decode_value(rest).map(Entry::Value),
        3 => decode_tombstone(rest).map(Entry::Tombstone),
        4 => Some(Entry::End { entries: take_u64(rest)?, synced: take_mark(rest)? }),
        _ => None,
    }
}

fn decode_value<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let [flags, key_length] = take(rest)?;
    let mut value = Value {
        key: &[],
        segment: take_u64(rest)?,
        position: take_u32(rest)?,
        length: take_u32(rest)?,
        crc: take_u32(rest)?,
        damaged: flags & DAMAGED != 0,
        oldest: take_u64(rest)?,
        wide: flags & WIDE != 0,
    };
    value.key = take_key(rest, key_length)?;
    (flags & !(DAMAGED | WIDE) == 0 && value.oldest <= value.segment).then_some(value)
}

fn decode_tombstone<'a>(rest: &mut &'a [u8]) -> Option<Tombstone<'a>> {
    let [flags, key_length] = take(rest)?;
    let mut tombstone = Tombstone {
        key: &[],
        segment: take_u64(rest)?,
        position: take_u32(rest)?,
        oldest: take_u64(rest)?,
        newest: take_u64(rest)?,
        wide: flags & WIDE != 0,
    };
    tombstone.key = take_key(rest, key_length)?;
    let ordered = tombstone.oldest <= tombstone.newest && tombstone.newest <= tombstone.segment;
    (flags & !WIDE == 0 && ordered).then_some(tombstone)
}

fn wide_flag(wide: bool) -> u8 {
    if wide { WIDE } else { 0 }
}

fn key_length(key: &[u8]) -> u8 {
    assert!(!key.is_empty(), "a key has at least one byte");
    u8::try_from(key.len()).expect("a key has at most 255 bytes")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*field)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take_mark(rest: &mut &[u8]) -> Option<Mark> {
    Some(Mark { sequence: take_u64(rest)?, position: take_u64(rest)? })
}

fn take_key<'a>(rest: &mut &'a [u8], length: u8) -> Option<&'a [u8]> {
    let (key, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> [Entry<'static>; 4] {
        [
            Entry::Segment { sequence: 3, bytes: 0x2000 },
            Entry::Value(Value {
                key: b"key",
                segment: 3,
                position: 0x1038,
                length: 5,
                crc: 0x1122_3344,
                damaged: true,
                oldest: 2,
                wide: false,
            }),
            Entry::Tombstone(Tombstone {
                key: b"k",
                segment: 9,
                position: 7,
                oldest: 2,
                newest: 8,
                wide: true,
            }),
            Entry::End { entries: 3, synced: Mark { sequence: 9, position: 0x3000 } },
        ]
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut body = Vec::new();
        samples().iter().for_each(|entry| entry.encode(&mut body));
        let expected = b"\x01\x03\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\
            \x02\x01\x03\x03\0\0\0\0\0\0\0\x38\x10\0\0\x05\0\0\0\x44\x33\x22\x11\x02\0\0\0\0\0\0\0key\
            \x03\x02\x01\x09\0\0\0\0\0\0\0\x07\0\0\0\x02\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0k\
            \x04\x03\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\x30\0\0\0\0\0\0";
        assert_eq!(body, expected);
        assert_eq!(entries(&body).collect::<Option<Vec<_>>>(), Some(samples().to_vec()));
        let mark = Mark { sequence: 1, position: 0x1000 };
        assert_eq!(encode_label(mark), b"\x01\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0");
        assert_eq!(decode_label(&encode_label(mark)), Some(mark));
        assert_eq!(decode_label(&[0; 17]), None);
    }

    #[test]
    fn a_cut_body_is_not_taken_for_a_shorter_one() {
        let mut body = Vec::new();
        samples().iter().for_each(|entry| entry.encode(&mut body));
        let ends: Vec<usize> = (0..4)
            .scan(Vec::new(), |body, index| {
                samples()[index].encode(body);
                Some(body.len())
            })
            .collect();
        for length in 1..body.len() {
            let whole = entries(&body[..length]).all(|entry| entry.is_some());
            assert_eq!(whole, ends.contains(&length), "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(entries(&bytes).take(bytes.len() + 1).count() <= bytes.len());
        }
    }
}

//! What an ASD's segments hold: records, one after another in the body of a journal batch (PROTOCOLS F10).
//!
//! ```text
//!   0  kind: 1 put, 2 delete, 3 lost  1
//!   1  length of the key              1
//!   2  zero                           2
//!   4  length of the value            4
//!   8  CRC-32C of the value           4
//!  12  check                          4
//!  16  key, then (of a put) the value
//! ```
//!
//! The check covers the segment's sequence (8 bytes), the 12 bytes before it, and the key; through the
//! CRC-32C in these, the value too. A record that is read in another segment, under another key or beside
//! another value doesn't check. Every read compares all of that, so it needs no more than the record itself.
//!
//! `lost` stands for a value that didn't check any more when it was to be moved: the key is kept, and
//! what its value should have been, so that it is told as damaged and never forgotten.

pub mod checkpoint;

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::{Crc32c, combine, crc32c};

/// Bytes of a record before its key.
pub const RECORD_BYTES: usize = 16;

/// The longest key, in bytes; the shortest has one.
pub const MAX_KEY: usize = 255;

const CHECK_AT: usize = 12;

/// What a record says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// It has this value.
    Put,
    /// It is gone.
    Delete,
    /// It had this value, which is damaged.
    Lost,
}

/// A record without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says.
    pub kind: RecordKind,
    /// The key, 1 to 255 bytes.
    pub key: &'a [u8],
    /// The length of the value, in bytes; 0 for a delete.
    pub length: u32,
    /// The CRC-32C of the value; 0 for a delete.
    pub crc: u32,
}

impl<'a> Record<'a> {
    /// The bytes before the value, for this segment.
    pub fn encode(&self, segment: u64) -> Bytes {
        let mut bytes = Vec::with_capacity(RECORD_BYTES + self.key.len());
        bytes.push(match self.kind {
            RecordKind::Put => 1,
            RecordKind::Delete => 2,
            RecordKind::Lost => 3,
        });
        let key_length = u8::try_from(self.key.len()).expect("a key has at most 255 bytes");
        assert!(key_length > 0, "a key has at least one byte");
        assert!(
            self.kind != RecordKind::Delete || (self.length, self.crc) == (0, 0),
            "a delete has no value"
        );
        bytes.push(key_length);
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        let check = check(segment, &bytes, self.key);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.extend_from_slice(self.key);
        bytes.into()
    }

    /// Reads the record at the start of `bytes`, when it is whole and of this segment. The value, which
    /// follows after [`Record::head_bytes`], is not looked at and need not be there.
    pub fn decode(segment: u64, bytes: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<RECORD_BYTES>()?;
        let kind = match fixed[0] {
            1 => RecordKind::Put,
            2 => RecordKind::Delete,
            3 => RecordKind::Lost,
            _ => return None,
        };
        let key = rest.get(..usize::from(fixed[1]))?;
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let record = Record { kind, key, length: number(4), crc: number(8) };
        let possible = !key.is_empty()
            && fixed[2..4] == [0; 2]
            && (kind != RecordKind::Delete || (record.length, record.crc) == (0, 0));
        (possible && check(segment, &fixed[..CHECK_AT], key) == number(CHECK_AT)).then_some(record)
    }

    /// Bytes before the value.
    pub fn head_bytes(&self) -> usize {
        RECORD_BYTES + self.key.len()
    }

    /// Bytes of the whole record, its value included.
    pub fn stored_bytes(&self) -> u64 {
        let value = if self.kind == RecordKind::Put { u64::from(self.length) } else { 0 };
        self.head_bytes() as u64 + value
    }
}

/// The records in the body of a batch, each with its place in the body. Ends after the first `None`, which
/// says that what is there is no record.
pub fn records(segment: u64, body: &[u8]) -> impl Iterator<Item = Option<(usize, Record<'_>)>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let found = Record::decode(segment, rest).and_then(|record| {
            let length = usize::try_from(record.stored_bytes()).ok()?;
            (length <= rest.len()).then_some((at, record, length))
        });
        at = found.map_or(body.len(), |(at, _, length)| at + length);
        Some(found.map(|(at, record, _)| (at, record)))
    })
}

/// Whether the heads of the records in a body that doesn't check are those that were written, so that only values
/// can be damaged. `check` is that of the body as it was written: the heads as they are, each followed by a value
/// with the checksum that its head names, must come to it.
pub fn heads_are_whole(segment: u64, body: &[u8], check: u32) -> bool {
    let (mut found, mut end) = (0, 0);
    for record in records(segment, body) {
        let Some((at, record)) = record else { return false };
        let head = &body[at..at + record.head_bytes()];
        found = combine(found, crc32c(head), head.len() as u64);
        if record.kind == RecordKind::Put {
            found = combine(found, record.crc, u64::from(record.length));
        }
        end = at as u64 + record.stored_bytes();
    }
    end == body.len() as u64 && found == check
}

fn check(segment: u64, fixed: &[u8], key: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&segment.to_le_bytes());
    crc.update(fixed);
    crc.update(key);
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Record<'static> {
        Record { kind: RecordKind::Put, key: b"key", length: 5, crc: crc32c(b"value") }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut expected = b"\x01\x03\0\0\x05\0\0\0".to_vec();
        expected.extend_from_slice(&crc32c(b"value").to_le_bytes());
        let check = crc32c(&[&7_u64.to_le_bytes()[..], &expected, b"key"].concat());
        expected.extend_from_slice(&check.to_le_bytes());
        expected.extend_from_slice(b"key");
        assert_eq!(sample().encode(7), expected);
        assert_eq!(
            expected,
            [1, 3, 0, 0, 5, 0, 0, 0, 99, 3, 224, 225, 76, 22, 149, 11, b'k', b'e', b'y'],
            "the bytes themselves, so that no helper may change them",
        );
        assert_eq!(Record::decode(7, &expected), Some(sample()));
        let delete = Record { kind: RecordKind::Delete, key: b"k", length: 0, crc: 0 };
        assert_eq!(delete.encode(1)[..12], *b"\x02\x01\0\0\0\0\0\0\0\0\0\0");
        let lost = Record { kind: RecordKind::Lost, ..sample() };
        assert_eq!(lost.encode(1)[0], 3);
        assert_eq!((sample().stored_bytes(), lost.stored_bytes(), delete.stored_bytes()), (24, 19, 17));
    }

    #[test]
    fn heads_prove_themselves_beside_damaged_values() {
        let put = |key: &'static [u8], value: &[u8]| {
            let record =
                Record { kind: RecordKind::Put, key, length: value.len() as u32, crc: crc32c(value) };
            [&record.encode(7)[..], value].concat()
        };
        let delete = Record { kind: RecordKind::Delete, key: b"gone", length: 0, crc: 0 };
        let body =
            [put(b"key", b"value"), delete.encode(7).to_vec(), put(b"other", b""), put(b"k", b"v")].concat();
        let check = crc32c(&body);
        assert!(heads_are_whole(7, &body, check));
        let is_value = |byte: usize| (19..24).contains(&byte) || byte == body.len() - 1;
        for byte in 0..body.len() {
            let mut bad = body.clone();
            bad[byte] ^= 0x10;
            assert_eq!(heads_are_whole(7, &bad, check), is_value(byte), "byte {byte}");
        }
        // A head that checks, of another record: an order that was never written.
        let swapped = [put(b"yek", b"value"), body[24..].to_vec()].concat();
        assert!(!heads_are_whole(7, &swapped, check));
        assert!(!heads_are_whole(7, &body[..body.len() - 1], check));
    }

    #[test]
    fn another_segment_key_length_or_value_does_not_check() {
        let good = sample().encode(7);
        assert_eq!(Record::decode(8, &good), None);
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(7, &bad), None, "bit {bit}");
        }
        for length in 0..good.len() {
            assert_eq!(Record::decode(7, &good[..length]), None, "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn bodies_come_back(items in proptest::collection::vec((0_u8..3, 1_usize..256, 0_usize..300), 0..20)) {
            let mut body = Vec::new();
            let mut expected = Vec::new();
            for (kind, key_length, value_length) in items {
                let (key, value) = (alloc::vec![kind; key_length], alloc::vec![7; value_length]);
                let kind = [RecordKind::Put, RecordKind::Delete, RecordKind::Lost][usize::from(kind)];
                let said = if kind == RecordKind::Delete { (0, 0) } else { (value_length as u32, crc32c(&value)) };
                let record = Record { kind, key: &key, length: said.0, crc: said.1 };
                expected.push((body.len(), kind, key.clone(), said));
                body.extend_from_slice(&record.encode(3));
                if kind == RecordKind::Put {
                    body.extend_from_slice(&value);
                }
            }
            let found: Option<Vec<_>> = records(3, &body)
                .map(|found| found.map(|(at, r)| (at, r.kind, r.key.to_vec(), (r.length, r.crc))))
                .collect();
            prop_assert_eq!(found, Some(expected));
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..600), segment in any::<u64>()) {
            prop_assert!(records(segment, &bytes).take(bytes.len() + 1).count() <= bytes.len());
        }
    }
}

//! Comparing what was read with what the index says: every read does (PROTOCOLS F10).

use bytes::Bytes;
use checksum::crc32c;
use formats::asd_record::{RECORD_BYTES, Record, RecordKind};

use crate::index::Value;

/// The value, when `bytes` is its record, whole and undamaged.
pub(crate) fn whole_value(key: &[u8], value: &Value, bytes: &Bytes, is_unchecked: bool) -> Option<Bytes> {
    let start = value_start(key, value, bytes, is_unchecked)?;
    let end = start + value.length as usize;
    if bytes.len() < end {
        return None;
    }
    let found = bytes.slice(start..end);
    (is_unchecked || crc32c(&found) == value.crc).then_some(found)
}

/// Where the value starts, when `bytes` begins with its record. The value itself is not looked at.
pub(crate) fn value_start(key: &[u8], value: &Value, bytes: &[u8], is_unchecked: bool) -> Option<usize> {
    let expected = Record { kind: RecordKind::Put, key, length: value.length, crc: value.crc };
    let is_right = is_unchecked || Record::decode(value.segment, bytes) == Some(expected);
    is_right.then_some(RECORD_BYTES + key.len())
}

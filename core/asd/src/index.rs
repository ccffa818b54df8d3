//! Where each key's record is: in memory, and small.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Range;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::ops::Bound;
use formats::asd_record::{RECORD_BYTES, RecordKind};

use crate::holders::Holders;
use crate::segments::Segments;

/// A key, 1 to 255 bytes.
pub(crate) type Key = Box<[u8]>;

/// Where a value is and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// The segment of the record.
    pub(crate) segment: u64,
    /// The oldest segment that may hold a record of the key.
    pub(crate) oldest: u64,
    /// Where the record starts, in bytes.
    pub(crate) position: u32,
    pub(crate) length: u32,
    pub(crate) crc: u32,
    /// Its bytes are lost: the record says only that they were there.
    pub(crate) damaged: bool,
    /// Whether segments between the two may hold a record of the key.
    pub(crate) wide: bool,
}

// One for each key of a full disk: every byte counts.
const _: () = assert!(size_of::<Value>() == 32);

/// The record that says that a key is gone, kept while an older segment may hold a put of it (F10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) segment: u64,
    pub(crate) position: u32,
    /// The segments that may hold a put.
    pub(crate) holders: Holders,
}

/// What the index knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Value(Value),
    Tombstone(Tombstone),
}

/// A record that has become part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) kind: RecordKind,
    pub(crate) key: Key,
    pub(crate) position: u32,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    values: BTreeMap<Key, Value>,
    tombstones: BTreeMap<Key, Tombstone>,
    /// How many of the values are known to be damaged.
    damaged: u64,
}

impl Value {
    pub(crate) fn record_bytes(&self, key: &[u8]) -> u64 {
        head_bytes(key) + if self.damaged { 0 } else { u64::from(self.length) }
    }

    fn holders(&self) -> Holders {
        Holders { oldest: self.oldest, newest: self.segment, wide: self.wide }
    }
}

impl Tombstone {
    /// Whether an older segment may still hold a put of the key.
    pub(crate) fn is_needed(&self, segments: &Segments) -> bool {
        self.holders.any_before(self.segment, |from, to| segments.any_in(from, to))
    }
}

impl Slot {
    pub(crate) fn segment(&self) -> u64 {
        match self {
            Slot::Value(value) => value.segment,
            Slot::Tombstone(tombstone) => tombstone.segment,
        }
    }

    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Slot::Value(value) if value.damaged)
    }

    pub(crate) fn position(&self) -> u32 {
        match self {
            Slot::Value(value) => value.position,
            Slot::Tombstone(tombstone) => tombstone.position,
        }
    }

    pub(crate) fn record_bytes(&self, key: &[u8]) -> u64 {
        match self {
            Slot::Value(value) => value.record_bytes(key),
            Slot::Tombstone(_) => head_bytes(key),
        }
    }
}

impl Index {
    /// Follows the log: what a record of `segment` says is so from here on.
    pub(crate) fn follow(&mut self, segment: u64, record: Logged, segments: &mut Segments) {
        match record.kind {
            RecordKind::Put => self.put(segment, record, segments),
            RecordKind::Lost => self.put(segment, record, segments),
            RecordKind::Delete => self.delete(segment, record, segments),
        }
    }

    fn put(&mut self, segment: u64, record: Logged, segments: &mut Segments) {
        let there = |segment| segments.contains(segment);
        let holders = match self.get(&record.key) {
            Some(Slot::Value(old)) => old.holders().with(segment, there),
            Some(Slot::Tombstone(old)) => old.holders.with(segment, there),
            None => Holders::one(segment),
        };
        self.forget(&record.key, segments);
        let value = Value {
            segment,
            oldest: holders.oldest.min(segment),
            position: record.position,
            length: record.length,
            crc: record.crc,
            damaged: record.kind == RecordKind::Lost,
            wide: holders.wide,
        };
        self.load(record.key, Slot::Value(value), segments);
    }

    fn delete(&mut self, segment: u64, record: Logged, segments: &mut Segments) {
        let holders = match self.get(&record.key) {
            Some(Slot::Value(old)) => old.holders(),
            Some(Slot::Tombstone(old)) => old.holders,
            // Not there and not remembered: no older segment holds it either.
            None => return,
        };
        self.forget(&record.key, segments);
        let tombstone = Tombstone { segment, position: record.position, holders };
        if tombstone.is_needed(segments) {
            self.load(record.key, Slot::Tombstone(tombstone), segments);
        }
    }

    /// Takes in what is known of a key of which nothing is known.
    pub(crate) fn load(&mut self, key: Key, slot: Slot, segments: &mut Segments) {
        segments.claim(slot.segment(), slot.record_bytes(&key));
        self.damaged += u64::from(slot.is_damaged());
        let is_new = match slot {
            Slot::Value(value) => self.values.insert(key, value).is_none(),
            Slot::Tombstone(tombstone) => self.tombstones.insert(key, tombstone).is_none(),
        };
        assert!(is_new, "what was known of the key was forgotten before");
    }

    /// Forgets a key and what it needed.
    pub(crate) fn forget(&mut self, key: &[u8], segments: &mut Segments) {
        if let Some(slot) = self.get(key) {
            segments.release(slot.segment(), slot.record_bytes(key));
            self.damaged -= u64::from(slot.is_damaged());
            self.values.remove(key);
            self.tombstones.remove(key);
        }
    }

    /// Says of values that they are damaged whose segments aren't there, or end before them.
    pub(crate) fn mark_lost(&mut self, segments: &mut Segments) {
        let ends_before = |value: &Value| {
            let bytes = segments.get(value.segment).map_or(0, |segment| segment.bytes);
            !value.damaged && u64::from(value.position) >= bytes
        };
        let lost: Vec<(Key, Value)> = self
            .values
            .iter()
            .filter(|(_, value)| ends_before(value))
            .map(|(key, value)| (key.clone(), Value { damaged: true, ..*value }))
            .collect();
        for (key, value) in &lost {
            self.forget(key, segments);
            self.load(key.clone(), Slot::Value(*value), segments);
        }
    }

    /// How many values are known to be damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        let value = self.values.get(key).map(|value| Slot::Value(*value));
        value.or_else(|| self.tombstones.get(key).map(|tombstone| Slot::Tombstone(*tombstone)))
    }

    pub(crate) fn value(&self, key: &[u8]) -> Option<&Value> {
        self.values.get(key)
    }

    /// Keys with values from `from` on, in order.
    pub(crate) fn keys_from(&self, from: &[u8]) -> impl Iterator<Item = &[u8]> {
        let range = (Bound::Included(from), Bound::Unbounded);
        self.values.range::<[u8], _>(range).map(|(key, _)| &**key)
    }

    /// How many keys have values.
    pub(crate) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// How many keys are known to be gone.
    pub(crate) fn tombstones(&self) -> u64 {
        self.tombstones.len() as u64
    }

    /// All that is known, in order of the keys after `cursor`: each key once.
    pub(crate) fn after(&self, cursor: Option<&[u8]>) -> After<'_> {
        let range = (cursor.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        After {
            values: self.values.range::<[u8], _>(range).peekable(),
            tombstones: self.tombstones.range::<[u8], _>(range).peekable(),
        }
    }
}

/// Goes through values and tombstones in one order.
pub(crate) struct After<'a> {
    values: Peekable<Range<'a, Key, Value>>,
    tombstones: Peekable<Range<'a, Key, Tombstone>>,
}

impl<'a> Iterator for After<'a> {
    type Item = (&'a [u8], Slot);

    fn next(&mut self) -> Option<Self::Item> {
        let value_first = match (self.values.peek(), self.tombstones.peek()) {
            (Some((value, _)), Some((tombstone, _))) => value < tombstone,
            (value, _) => value.is_some(),
        };
        if value_first {
            self.values.next().map(|(key, value)| (&**key, Slot::Value(*value)))
        } else {
            self.tombstones.next().map(|(key, tombstone)| (&**key, Slot::Tombstone(*tombstone)))
        }
    }
}

/// Bytes of a record before its value.
pub(crate) fn head_bytes(key: &[u8]) -> u64 {
    (RECORD_BYTES + key.len()) as u64
}

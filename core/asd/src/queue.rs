//! Applies that wait for their batch: checked as far as that needs no state.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::Payload;
use formats::asd_record::{MAX_KEY, RecordKind};
use formats::message::asd::{AsdAssert, AsdError, AsdUpdate, Purpose};
use formats::payload::slice_pieces;
use glossary::NodeId;

use crate::index::{Key, head_bytes};
use crate::limits::{MAX_APPLY_ITEMS, MAX_WAITING, MAX_WAITING_BYTES};

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: RecordKind,
    pub(crate) key: Key,
    pub(crate) length: u32,
    pub(crate) crc: u32,
    /// The value, uncopied.
    pub(crate) pieces: Vec<Bytes>,
}

impl Change {
    pub(crate) fn delete(key: Key) -> Self {
        Change { kind: RecordKind::Delete, key, length: 0, crc: 0, pieces: Vec::new() }
    }

    pub(crate) fn record_bytes(&self) -> u64 {
        head_bytes(&self.key) + if self.kind == RecordKind::Put { u64::from(self.length) } else { 0 }
    }
}

/// An Apply that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) to: NodeId,
    pub(crate) request: u64,
    pub(crate) purpose: Purpose,
    pub(crate) asserts: Vec<AsdAssert>,
    pub(crate) updates: Vec<Change>,
    /// Bytes of its records, were all of them written, and of the keys of its asserts.
    pub(crate) bytes: u64,
}

impl Waiting {
    /// Cuts an Apply into records. `max_bytes` is the longest batch.
    pub(crate) fn new(
        (to, request): (NodeId, u64),
        purpose: Purpose,
        asserts: Vec<AsdAssert>,
        updates: Vec<AsdUpdate>,
        payload: &Payload,
        max_bytes: u64,
    ) -> Result<Self, AsdError> {
        if asserts.len() + updates.len() > MAX_APPLY_ITEMS || !asserts.iter().all(|a| is_key(assert_key(a))) {
            return Err(AsdError::Invalid);
        }
        // The values' checksums are made from bytes that were checked just now (F1).
        if !payload.verify() {
            return Err(AsdError::Damaged);
        }
        let updates = cut(updates, payload).ok_or(AsdError::Invalid)?;
        let asserted = asserts.iter().map(|assert| head_bytes(assert_key(assert)));
        let bytes = updates.iter().map(Change::record_bytes).chain(asserted).sum();
        if bytes > max_bytes {
            return Err(AsdError::Invalid);
        }
        Ok(Waiting { to, request, purpose, asserts, updates, bytes })
    }
}

/// The updates with their values; `None` when keys or lengths can't be.
fn cut(updates: Vec<AsdUpdate>, payload: &Payload) -> Option<Vec<Change>> {
    let (mut changes, mut at) = (Vec::with_capacity(updates.len()), 0);
    for update in updates {
        let (AsdUpdate::Put { key, .. } | AsdUpdate::Delete { key }) = &update;
        if !is_key(key) {
            return None;
        }
        changes.push(match update {
            AsdUpdate::Delete { key } => Change::delete(key.into()),
            AsdUpdate::Put { key, length } => {
                let bytes = usize::try_from(length).ok()?;
                let (start, end) = (at, at + bytes);
                if end > payload.len() {
                    return None;
                }
                let pieces = slice_pieces(payload.pieces(), at, bytes);
                at = end;
                let crc = payload.checksum_of(start, bytes);
                Change { kind: RecordKind::Put, key: key.into(), length, crc, pieces }
            }
        });
    }
    (at == payload.len()).then_some(changes)
}

pub(crate) fn assert_key(assert: &AsdAssert) -> &[u8] {
    match assert {
        AsdAssert::Present(key) | AsdAssert::Absent(key) => key,
    }
}

fn is_key(key: &[u8]) -> bool {
    (1..=MAX_KEY).contains(&key.len())
}

/// Applies in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    list: VecDeque<Waiting>,
    bytes: u64,
}

impl Queue {
    /// Takes one in, or gives it back when too much waits already.
    pub(crate) fn push(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let bytes = self.bytes + waiting.bytes;
        if self.list.len() >= MAX_WAITING || bytes > MAX_WAITING_BYTES {
            return Err(waiting);
        }
        self.bytes = bytes;
        self.list.push_back(waiting);
        Ok(())
    }

    pub(crate) fn front(&self) -> Option<&Waiting> {
        self.list.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.list.pop_front()?;
        self.bytes -= waiting.bytes;
        Some(waiting)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether its sum is right and its bounds hold.
    pub(crate) fn is_sound(&self) -> bool {
        let bytes: u64 = self.list.iter().map(|waiting| waiting.bytes).sum();
        bytes == self.bytes && bytes <= MAX_WAITING_BYTES && self.list.len() <= MAX_WAITING
    }
}

//! Reads: what is durable, compared with everything the index knows (promise P6, PROTOCOLS F3, F10).

use bytes::Bytes;
use formats::Payload;
use formats::fragment::{FragmentError, Located, check_blocks, locate, parse_fragment_key, table_range};
use formats::message::asd::{AsdAnswer, AsdError, AsdKey};
use glossary::NodeId;
use step::{Bug, DiskError, DiskOperation, DiskOutcome, DiskResult};

use crate::batch::Answer;
use crate::counters::Counter;
use crate::index::{Key, Value, head_bytes};
use crate::limits::{
    HEAD_READ_BYTES, MAX_BLOCKS, MAX_BLOCKS_BYTES, MAX_LIST, MAX_READ_BYTES, MAX_READS, WHOLE_VALUE_BYTES,
};
use crate::names::segment_file;
use crate::verify::{value_start, whole_value};
use crate::{Asd, Outbox, Phase, Waits};

/// A read in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    to: NodeId,
    request: u64,
    key: Key,
    value: Value,
    /// Bytes that it counts for.
    bytes: u64,
    what: What,
}

/// What is being read, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The record, for its value.
    Value,
    /// The record, for some of its blocks.
    WholeForBlocks { first: u32, count: u32 },
    /// The record up to the end of the block table's part, to learn where the blocks are.
    Head { first: u32, count: u32 },
    /// The blocks.
    Blocks { first: u32, located: Located, table: Bytes },
}

/// What reads in flight come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadLoad {
    count: usize,
    bytes: u64,
}

impl Asd {
    pub(crate) fn get(&mut self, to: NodeId, request: u64, key: AsdKey, effects: &mut Outbox) {
        self.read(to, request, key, What::Value, effects);
    }

    pub(crate) fn read_blocks(
        &mut self,
        (to, request): (NodeId, u64),
        key: AsdKey,
        (first, count): (u32, u32),
        effects: &mut Outbox,
    ) {
        let is_possible = (1..=MAX_BLOCKS).contains(&count) && first.checked_add(count).is_some();
        if !is_possible || parse_fragment_key(&key).is_none() {
            let body = AsdAnswer::Failed(AsdError::Invalid);
            return self.send(Answer { to, request, body }, effects);
        }
        self.read(to, request, key, What::Head { first, count }, effects);
    }

    fn read(&mut self, to: NodeId, request: u64, key: AsdKey, what: What, effects: &mut Outbox) {
        self.counters.count(Counter::Reads);
        let (what, bytes, value) = match self.plan(&key, what) {
            Ok(plan) => plan,
            Err(error) => {
                return self.send(Answer { to, request, body: AsdAnswer::Failed(error) }, effects);
            }
        };
        self.read_load.count += 1;
        self.read_load.bytes += bytes;
        self.segments.start_read(value.segment);
        let read = Read { to, request, key: key.into(), value, bytes, what };
        let known = match read.what {
            What::Head { first, count } => {
                let wanted = head_bytes(&read.key) + table_range(first, count).end;
                self.heads.get((value.segment, value.position), wanted)
            }
            _ => None,
        };
        match known {
            Some(head) => {
                self.counters.count(Counter::HeadsKnown);
                self.on_bytes(read, head, effects);
            }
            None => self.issue(read, 0, bytes, effects),
        }
    }

    /// What to read, and how much, to begin with.
    fn plan(&self, key: &[u8], what: What) -> Result<(What, u64, Value), AsdError> {
        let value = *self.index.value(key).ok_or(AsdError::NotFound)?;
        if value.damaged {
            return Err(AsdError::Damaged);
        }
        let (what, bytes) = match what {
            What::Head { first, count } if value.length > WHOLE_VALUE_BYTES => {
                let table_end = table_range(first, count).end;
                if table_end > u64::from(value.length) {
                    return Err(AsdError::Invalid);
                }
                (What::Head { first, count }, (head_bytes(key) + table_end).max(HEAD_READ_BYTES))
            }
            What::Head { first, count } => (What::WholeForBlocks { first, count }, value.record_bytes(key)),
            other => (other, value.record_bytes(key)),
        };
        let is_too_much = self.read_load.count >= MAX_READS || self.read_load.bytes + bytes > MAX_READ_BYTES;
        if is_too_much { Err(AsdError::Unavailable) } else { Ok((what, bytes, value)) }
    }

    /// Reads `length` bytes of the record from its byte `skip` on.
    fn issue(&mut self, read: Read, skip: u64, length: u64, effects: &mut Outbox) {
        let file = segment_file(read.value.segment);
        let offset = u64::from(read.value.position) + skip;
        self.disk(Waits::Read(read), DiskOperation::Read { file, offset, length }, effects);
    }

    /// A read ended.
    pub(crate) fn on_read(&mut self, read: Read, result: DiskResult, effects: &mut Outbox) {
        let body = match result {
            _ if matches!(self.phase, Phase::Stopped(_) | Phase::Unreadable(_)) => {
                AsdAnswer::Failed(AsdError::Unavailable)
            }
            Ok(DiskOutcome::Read(bytes)) => {
                self.counters.add(Counter::ReadBytes, bytes.len() as u64);
                return self.on_bytes(read, bytes, effects);
            }
            // The index knows of it, so it should be there.
            Ok(_) | Err(DiskError::NotFound) => AsdAnswer::Failed(AsdError::Damaged),
            Err(DiskError::Failed | DiskError::Full | DiskError::Damaged) => {
                AsdAnswer::Failed(AsdError::Unavailable)
            }
        };
        self.end_read(read, body, effects);
    }

    /// The bytes are there, from the disk or from memory.
    fn on_bytes(&mut self, read: Read, bytes: Bytes, effects: &mut Outbox) {
        let body = match self.understand(&read, bytes.clone()) {
            Ok(Step::Answer(body)) => body,
            Ok(Step::Blocks(located, table)) => {
                self.heads.keep((read.value.segment, read.value.position), bytes);
                return self.go_on_reading(read, located, table, effects);
            }
            Err(error) => AsdAnswer::Failed(error),
        };
        self.end_read(read, body, effects);
    }

    fn go_on_reading(&mut self, read: Read, located: Located, table: Bytes, effects: &mut Outbox) {
        let What::Head { first, .. } = read.what else { return };
        let skip = head_bytes(&read.key) + located.blocks.start;
        let length = located.blocks.end - located.blocks.start;
        let more = length.saturating_sub(read.bytes);
        self.read_load.bytes += more;
        let bytes = read.bytes + more;
        self.issue(
            Read { what: What::Blocks { first, located, table }, bytes, ..read },
            skip,
            length,
            effects,
        );
    }

    fn end_read(&mut self, read: Read, body: AsdAnswer, effects: &mut Outbox) {
        match &body {
            AsdAnswer::Failed(AsdError::Damaged) => self.counters.count(Counter::Damaged),
            AsdAnswer::Blocks { table, .. } => {
                self.counters.add(Counter::ReadBlocks, (table.len() / formats::fragment::ENTRY_BYTES) as u64);
            }
            _ => {}
        }
        self.read_load.count -= 1;
        self.read_load.bytes -= read.bytes;
        if self.segments.end_read(read.value.segment) {
            self.free(read.value.segment, effects);
        }
        self.send(Answer { to: read.to, request: read.request, body }, effects);
    }

    /// Checks what was read, and makes of it an answer or the next thing to read.
    fn understand(&self, read: &Read, bytes: Bytes) -> Result<Step, AsdError> {
        let Read { key, value, what, .. } = read;
        let is_unchecked = self.config.has(Bug::CrcUnchecked) || self.config.has(Bug::CrcMadeAnew);
        match what {
            What::Value => {
                let found = whole_value(key, value, &bytes, is_unchecked).ok_or(AsdError::Damaged)?;
                // Its checksums are made from bytes that were checked just now (F1).
                Ok(Step::Answer(AsdAnswer::Value(Payload::entering(found))))
            }
            What::WholeForBlocks { first, count } => {
                let container = whole_value(key, value, &bytes, is_unchecked).ok_or(AsdError::Damaged)?;
                let located = find_blocks(&container, *first, *count, container.len() as u64)?;
                let table = slice(&container, &located.table)?;
                let stored = slice(&container, &located.blocks)?;
                blocks_answer(key, *first, &located, &table, stored, is_unchecked)
            }
            What::Head { first, count } => {
                let start = value_start(key, value, &bytes, is_unchecked).ok_or(AsdError::Damaged)?;
                let head = bytes.slice(start.min(bytes.len())..);
                let located = find_blocks(&head, *first, *count, u64::from(value.length))?;
                let table = slice(&head, &located.table)?;
                Ok(Step::Blocks(located, table))
            }
            What::Blocks { first, located, table } => {
                blocks_answer(key, *first, located, table, bytes, is_unchecked)
            }
        }
    }

    pub(crate) fn list(
        &mut self,
        (to, request): (NodeId, u64),
        (prefix, from): (AsdKey, AsdKey),
        limit: u32,
        effects: &mut Outbox,
    ) {
        self.counters.count(Counter::Lists);
        let limit = usize::try_from(limit).unwrap_or(MAX_LIST).min(MAX_LIST);
        let start = if prefix > from { &prefix } else { &from };
        let mut found = self.index.keys_from(start).take_while(|key| key.starts_with(&prefix));
        let keys = found.by_ref().take(limit).map(<[u8]>::to_vec).collect();
        let more = found.next().is_some();
        drop(found);
        self.send(Answer { to, request, body: AsdAnswer::Keys { keys, more } }, effects);
    }
}

/// What a read leads to.
enum Step {
    Answer(AsdAnswer),
    Blocks(Located, Bytes),
}

/// Where blocks are in a container of `length` bytes of which the head is given.
fn find_blocks(head: &Bytes, first: u32, count: u32, length: u64) -> Result<Located, AsdError> {
    let located = locate(head, first, count).map_err(|error| match error {
        FragmentError::Range { .. } => AsdError::Invalid,
        _ => AsdError::Damaged,
    })?;
    if located.blocks.end > length {
        return Err(AsdError::Damaged);
    }
    if located.blocks.end - located.blocks.start > MAX_BLOCKS_BYTES {
        return Err(AsdError::Invalid);
    }
    Ok(located)
}

fn blocks_answer(
    key: &[u8],
    first: u32,
    located: &Located,
    table: &Bytes,
    stored: Bytes,
    is_unchecked: bool,
) -> Result<Step, AsdError> {
    let (_, id) = parse_fragment_key(key).ok_or(AsdError::Invalid)?;
    if !is_unchecked {
        check_blocks(&id, &located.header, first, table, &stored).map_err(|_| AsdError::Damaged)?;
    }
    Ok(Step::Answer(AsdAnswer::Blocks { table: table.to_vec(), payload: Payload::entering(stored) }))
}

fn slice(bytes: &Bytes, range: &core::ops::Range<u64>) -> Result<Bytes, AsdError> {
    let is_within = range.start <= range.end && range.end <= bytes.len() as u64;
    if is_within { Ok(bytes.slice(range.start as usize..range.end as usize)) } else { Err(AsdError::Damaged) }
}

//! An ASD in memory: what the client sees of one, and what a test does to it.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use formats::Payload;
use formats::fragment::{check_blocks, locate, namespace_prefix, parse_fragment_key};
use formats::message::asd::{AsdAnswer, AsdBody, AsdError, AsdReply, AsdRequest, AsdUpdate, Purpose};
use glossary::{NamespaceId, OsdIdentity};

pub(crate) struct FakeAsd {
    pub(crate) identity: OsdIdentity,
    pub(crate) values: BTreeMap<Vec<u8>, Bytes>,
    /// All that was ever written.
    written: BTreeMap<Vec<u8>, Bytes>,
    /// Says nothing.
    pub(crate) dead: bool,
    /// How long it takes for everything, and for writes beyond that.
    pub(crate) late: Duration,
    pub(crate) slow_writes: Duration,
    /// Says "not now" to whatever takes a disk, so many times.
    pub(crate) busy: u32,
    /// Says "not now" to everything.
    pub(crate) stopped: bool,
    /// Found at its start that its log can't be read.
    pub(crate) unreadable: bool,
    /// Finds what guests want stored against a bound of its own.
    pub(crate) refuses: bool,
    /// Has no room for guests.
    pub(crate) full: bool,
    /// Hands out blocks without a look at their checks, as a disk controller would.
    pub(crate) careless: bool,
    /// Requests for blocks, as (first, count), and bytes of blocks handed out.
    pub(crate) reads: Vec<(u32, u32)>,
    pub(crate) bytes_read: usize,
    /// Lists of keys of some namespace; a question whether it is there is none.
    pub(crate) lists: usize,
}

impl FakeAsd {
    pub(crate) fn new(identity: OsdIdentity) -> Self {
        FakeAsd {
            identity,
            values: BTreeMap::new(),
            written: BTreeMap::new(),
            dead: false,
            late: Duration::ZERO,
            slow_writes: Duration::ZERO,
            busy: 0,
            stopped: false,
            unreadable: false,
            full: false,
            refuses: false,
            careless: false,
            reads: Vec::new(),
            bytes_read: 0,
            lists: 0,
        }
    }

    /// How long it takes to answer this.
    pub(crate) fn takes(&self, request: &AsdRequest) -> Duration {
        let is_write = matches!(request.body, AsdBody::Apply { .. });
        self.late + if is_write { self.slow_writes } else { Duration::ZERO }
    }

    pub(crate) fn answer(&mut self, request: AsdRequest) -> Option<AsdReply> {
        if self.dead {
            return None;
        }
        let body = if request.osd == self.identity {
            self.body(request.body)
        } else {
            AsdAnswer::Failed(AsdError::WrongOsd(self.identity))
        };
        Some(AsdReply { request: request.request, body })
    }

    fn body(&mut self, body: AsdBody) -> AsdAnswer {
        let is_busy = self.busy > 0 && !matches!(body, AsdBody::List { .. });
        if self.stopped || is_busy {
            self.busy = self.busy.saturating_sub(1);
            return AsdAnswer::Failed(AsdError::Unavailable);
        }
        if self.unreadable {
            return AsdAnswer::Failed(AsdError::Stopped);
        }
        match body {
            AsdBody::Apply { purpose: Purpose::Guest, .. } if self.full => AsdAnswer::Failed(AsdError::Full),
            AsdBody::Apply { purpose: Purpose::Guest, .. } if self.refuses => {
                AsdAnswer::Failed(AsdError::Invalid)
            }
            AsdBody::Apply { updates, payload, .. } => self.apply(updates, payload),
            AsdBody::ReadBlocks { key, first, count } => {
                self.reads.push((first, count));
                self.read_blocks(&key, first, count).unwrap_or_else(AsdAnswer::Failed)
            }
            AsdBody::Get { key } => match self.values.get(&key) {
                Some(value) => AsdAnswer::Value(Payload::entering(value.clone())),
                None => AsdAnswer::Failed(AsdError::NotFound),
            },
            AsdBody::List { prefix, from, limit } => {
                self.lists += usize::from(prefix != namespace_prefix(NamespaceId(0)));
                let mut keys: Vec<_> = self.values.range(from..).map(|(key, _)| key.clone()).collect();
                keys.retain(|key| key.starts_with(&prefix));
                let more = keys.len() > limit as usize;
                keys.truncate(limit as usize);
                AsdAnswer::Keys { keys, more }
            }
        }
    }

    fn apply(&mut self, updates: Vec<AsdUpdate>, payload: Payload) -> AsdAnswer {
        assert!(payload.verify(), "what is sent has the checksums that go with it");
        let bytes = payload.contiguous();
        let mut at = 0;
        for update in updates {
            match update {
                AsdUpdate::Put { key, length } => {
                    let value = bytes.slice(at..at + length as usize);
                    at += length as usize;
                    let first = self.written.entry(key.clone()).or_insert_with(|| value.clone());
                    assert!(*first == value, "a key is never written with two contents (F4)");
                    self.values.insert(key, value);
                }
                AsdUpdate::Delete { key } => {
                    self.values.remove(&key);
                }
            }
        }
        AsdAnswer::Applied
    }

    fn read_blocks(&mut self, key: &[u8], first: u32, count: u32) -> Result<AsdAnswer, AsdError> {
        let value = self.values.get(key).ok_or(AsdError::NotFound)?;
        let (_, id) = parse_fragment_key(key).ok_or(AsdError::Invalid)?;
        let located = locate(value, first, count).map_err(|_| AsdError::Damaged)?;
        let table = value.slice(located.table.start as usize..located.table.end as usize);
        let stored = value.slice(located.blocks.start as usize..located.blocks.end as usize);
        if !self.careless {
            check_blocks(&id, &located.header, first, &table, &stored).map_err(|_| AsdError::Damaged)?;
        }
        self.bytes_read += stored.len();
        Ok(AsdAnswer::Blocks { table: table.to_vec(), payload: Payload::entering(stored) })
    }
}

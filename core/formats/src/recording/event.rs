//! Events as bytes.

use alloc::vec::Vec;
use bytes::Bytes;
use glossary::NodeId;
use step::{DiskError, DiskOutcome, DiskResult, FileName, JobId, OperationId, TimerId};

use crate::Payload;
use crate::work::Done;
use crate::{Event, frame};

/// Appends an event of `node`.
pub(super) fn encode(event: &Event, node: NodeId, bytes: &mut Vec<u8>) {
    match event {
        Event::Start { seed } => {
            bytes.push(0);
            bytes.extend_from_slice(seed);
        }
        Event::Message { from, message } => {
            bytes.push(1);
            put_pieces(&frame::encode(message, *from, node), bytes);
        }
        Event::Disk { operation, result } => {
            bytes.push(2);
            bytes.extend_from_slice(&operation.0.to_le_bytes());
            put_result(result, bytes);
        }
        Event::Worked { job, result } => {
            bytes.push(3);
            bytes.extend_from_slice(&job.0.to_le_bytes());
            put_done(result, bytes);
        }
        Event::Timer(timer) => {
            bytes.push(4);
            bytes.extend_from_slice(&timer.0.to_le_bytes());
        }
        Event::TurnEnd => bytes.push(5),
    }
}

fn put_pieces(pieces: &[Bytes], bytes: &mut Vec<u8>) {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
    pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
}

fn put_result(result: &DiskResult, bytes: &mut Vec<u8>) {
    match result {
        Ok(DiskOutcome::Done) => bytes.push(0),
        Ok(DiskOutcome::Read(data)) => {
            bytes.push(1);
            put_pieces(core::slice::from_ref(data), bytes);
        }
        Ok(DiskOutcome::Listed(files)) => {
            bytes.push(2);
            bytes.extend_from_slice(&(files.len() as u64).to_le_bytes());
            for (name, length) in files {
                bytes.push(name.as_str().len() as u8);
                bytes.extend_from_slice(name.as_str().as_bytes());
                bytes.extend_from_slice(&length.to_le_bytes());
            }
        }
        Ok(DiskOutcome::Space { free, total }) => {
            bytes.push(3);
            bytes.extend_from_slice(&free.to_le_bytes());
            bytes.extend_from_slice(&total.to_le_bytes());
        }
        Err(DiskError::NotFound) => bytes.push(4),
        Err(DiskError::Full) => bytes.push(5),
        Err(DiskError::Failed) => bytes.push(6),
        Ok(DiskOutcome::Pairs { pairs, is_all }) => {
            bytes.extend_from_slice(&[7, u8::from(*is_all)]);
            bytes.extend_from_slice(&(pairs.len() as u64).to_le_bytes());
            for part in pairs.iter().flat_map(|(key, value)| [key, value]) {
                put_pieces(core::slice::from_ref(part), bytes);
            }
        }
        Err(DiskError::Damaged) => bytes.push(8),
    }
}

fn put_done(done: &Done, bytes: &mut Vec<u8>) {
    match done {
        Done::Encoded(fragments) => {
            bytes.push(0);
            bytes.extend_from_slice(&(fragments.len() as u64).to_le_bytes());
            fragments.iter().for_each(|fragment| put_pieces(fragment.pieces(), bytes));
        }
        Done::Reconstructed(blocks) => {
            bytes.push(1);
            bytes.extend_from_slice(&(blocks.len() as u64).to_le_bytes());
            blocks.iter().for_each(|block| put_pieces(core::slice::from_ref(block), bytes));
        }
        Done::Damaged => bytes.push(2),
        Done::Impossible => bytes.push(3),
        Done::Checked => bytes.push(4),
    }
}

/// Takes values off the front of bytes; `None` where they don't hold one.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (first, rest) = self.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(first)
    }

    fn data(&mut self) -> Option<Bytes> {
        let length = self.u64()?;
        self.bytes(length).map(Bytes::copy_from_slice)
    }

    pub(super) fn event(&mut self) -> Option<Event> {
        Some(match self.u8()? {
            0 => Event::Start { seed: self.take()? },
            1 => {
                let mut decoder = frame::Decoder::new();
                decoder.feed(self.data()?);
                let (from, _, message) = decoder.next().ok()??;
                Event::Message { from, message }
            }
            2 => Event::Disk { operation: OperationId(self.u64()?), result: self.result()? },
            3 => Event::Worked { job: JobId(self.u64()?), result: self.done()? },
            4 => Event::Timer(TimerId(self.u64()?)),
            5 => Event::TurnEnd,
            _ => return None,
        })
    }

    fn result(&mut self) -> Option<DiskResult> {
        Some(match self.u8()? {
            0 => Ok(DiskOutcome::Done),
            1 => Ok(DiskOutcome::Read(self.data()?)),
            2 => {
                let mut files = Vec::new();
                for _ in 0..self.u64()? {
                    let length = u64::from(self.u8()?);
                    let name = core::str::from_utf8(self.bytes(length)?).ok()?;
                    files.push((FileName::parse(name)?, self.u64()?));
                }
                Ok(DiskOutcome::Listed(files))
            }
            3 => Ok(DiskOutcome::Space { free: self.u64()?, total: self.u64()? }),
            4 => Err(DiskError::NotFound),
            5 => Err(DiskError::Full),
            6 => Err(DiskError::Failed),
            7 => {
                let is_all = self.u8()? != 0;
                let mut pairs = Vec::new();
                for _ in 0..self.u64()? {
                    pairs.push((self.data()?, self.data()?));
                }
                Ok(DiskOutcome::Pairs { pairs, is_all })
            }
            8 => Err(DiskError::Damaged),
            _ => return None,
        })
    }

    fn done(&mut self) -> Option<Done> {
        let list = |reader: &mut Self| -> Option<Vec<Bytes>> {
            let mut list = Vec::new();
            for _ in 0..reader.u64()? {
                list.push(reader.data()?);
            }
            Some(list)
        };
        Some(match self.u8()? {
            0 => Done::Encoded(list(self)?.into_iter().map(Payload::entering).collect()),
            1 => Done::Reconstructed(list(self)?),
            2 => Done::Damaged,
            3 => Done::Impossible,
            4 => Done::Checked,
            _ => return None,
        })
    }
}

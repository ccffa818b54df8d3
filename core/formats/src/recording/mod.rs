//! What happened to each role of a live process, so that the same roles can be stepped through it again and
//! must want the same (row 247).
//!
//! A file is the magic `OVSRECRD`, the version, and entries: length (u32), CRC-32C of the entry (u32), the
//! entry. An entry is a role's card, when it starts, or one step: node, time, event, digest of the effects.

mod card;
mod digest;
mod event;

pub use card::RoleCard;
pub use digest::digest_of;

use alloc::vec::Vec;
use checksum::crc32c;
use glossary::NodeId;
use step::Timestamp;

use crate::Event;
use event::Reader;

const MAGIC: [u8; 8] = *b"OVSRECRD";

/// The version of recordings.
pub const VERSION: u16 = 1;

/// The longest entry, in bytes: the largest event carries a whole SCO.
const ENTRY_MAX: u32 = 512 << 20;

/// An entry of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A node begins a life with this role.
    Begins {
        /// The node.
        node: NodeId,
        /// The role.
        card: RoleCard,
    },
    /// A node took a step.
    Stepped {
        /// The node.
        node: NodeId,
        /// Its time.
        now: Timestamp,
        /// What happened.
        event: Event,
        /// The digest of what it wanted.
        effects: u32,
    },
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// Another kind of file.
    #[error("it is no recording")]
    Foreign,
    /// Written by another version of the program.
    #[error("it has format version {0}, and this program knows {VERSION}")]
    Version(u16),
    /// The next entry is torn or damaged: a recording ends so when its process was killed.
    #[error("it ends within an entry, or the entry is damaged")]
    Torn,
}

/// The bytes that a recording begins with.
pub fn header() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes()].concat()
}

/// Takes the header off the front.
pub fn read_header(bytes: &mut &[u8]) -> Result<(), RecordingError> {
    let (start, rest) = bytes.split_at_checked(10).ok_or(RecordingError::Foreign)?;
    if start[..8] != MAGIC {
        return Err(RecordingError::Foreign);
    }
    let version = u16::from_le_bytes([start[8], start[9]]);
    if version != VERSION {
        return Err(RecordingError::Version(version));
    }
    *bytes = rest;
    Ok(())
}

impl Recorded {
    /// The entry with its length and check.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; 8];
        match self {
            Recorded::Begins { node, card } => {
                bytes.push(0);
                bytes.extend_from_slice(&node.0.to_le_bytes());
                bytes.extend_from_slice(&postcard::to_allocvec(card).expect("cards encode"));
            }
            Recorded::Stepped { node, now, event, effects } => {
                bytes.push(1);
                bytes.extend_from_slice(&node.0.to_le_bytes());
                bytes.extend_from_slice(&now.0.to_le_bytes());
                bytes.extend_from_slice(&effects.to_le_bytes());
                event::encode(event, *node, &mut bytes);
            }
        }
        let (length, check) = ((bytes.len() - 8) as u32, crc32c(&bytes[8..]));
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Takes the next entry off the front; `None` at the end.
    pub fn next(bytes: &mut &[u8]) -> Result<Option<Self>, RecordingError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (head, rest) = bytes.split_first_chunk::<8>().ok_or(RecordingError::Torn)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let check = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let (entry, rest) = rest.split_at_checked(length as usize).ok_or(RecordingError::Torn)?;
        if length > ENTRY_MAX || crc32c(entry) != check {
            return Err(RecordingError::Torn);
        }
        *bytes = rest;
        Recorded::decode(entry).ok_or(RecordingError::Torn).map(Some)
    }

    fn decode(entry: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(entry);
        let (kind, node) = (reader.u8()?, NodeId(reader.u32()?));
        if kind == 0 {
            let card = postcard::from_bytes(reader.rest()).ok()?;
            return Some(Recorded::Begins { node, card });
        }
        let (now, effects) = (Timestamp(reader.u64()?), reader.u32()?);
        let event = reader.event()?;
        (kind == 1 && reader.rest().is_empty()).then_some(Recorded::Stepped { node, now, event, effects })
    }
}

#[cfg(test)]
mod tests;

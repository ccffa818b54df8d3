//! What happened to each role of a live process, so that the same roles can be stepped through it again and
//! must want the same (row 247).
//!
//! A file is the magic `OVSRECRD`, the version, and entries: length (u32), CRC-32C of the length (u32), CRC-32C
//! of the entry (u32), the entry. An entry is a role's card, when it starts, or one step: node, time, event,
//! digest of the effects.
//!
//! The length proves itself, so that an end within an entry, which a kill leaves, is told from damage.

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

/// The version of recordings. Version 1 had no cards for groups of a KV; what it has is read as it was.
pub const VERSION: u16 = 2;

/// The longest entry, in bytes: the largest event carries a whole SCO.
const ENTRY_MAX: u32 = 512 << 20;

/// Bytes before each entry: its length, the check of the length, the check of the entry.
const HEAD_BYTES: usize = 12;

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
    /// It ends within an entry, as it does when its process was killed.
    #[error("it ends within an entry")]
    Torn,
    /// An entry is not what was written, or makes no sense.
    #[error("an entry is damaged")]
    Damaged,
}

/// The bytes that a recording begins with.
pub fn header() -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes()].concat()
}

/// Takes the header off the front.
pub fn read_header(bytes: &mut &[u8]) -> Result<(), RecordingError> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(RecordingError::Foreign)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(RecordingError::Foreign)?;
    if *magic != MAGIC {
        return Err(RecordingError::Foreign);
    }
    let version = u16::from_le_bytes(*version);
    if !(1..=VERSION).contains(&version) {
        return Err(RecordingError::Version(version));
    }
    *bytes = rest;
    Ok(())
}

impl Recorded {
    /// The entry with its length and check.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; HEAD_BYTES];
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
        let length = ((bytes.len() - HEAD_BYTES) as u32).to_le_bytes();
        let check = crc32c(&bytes[HEAD_BYTES..]);
        bytes[..4].copy_from_slice(&length);
        bytes[4..8].copy_from_slice(&crc32c(&length).to_le_bytes());
        bytes[8..HEAD_BYTES].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Takes the next entry off the front; `None` at the end.
    ///
    /// # Errors
    /// [`RecordingError::Torn`] when the bytes end within it, [`RecordingError::Damaged`] when it isn't whole.
    pub fn next(bytes: &mut &[u8]) -> Result<Option<Self>, RecordingError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(RecordingError::Torn)?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = number(0);
        if crc32c(&head[..4]) != number(4) || length > ENTRY_MAX {
            return Err(RecordingError::Damaged);
        }
        let (entry, rest) = rest.split_at_checked(length as usize).ok_or(RecordingError::Torn)?;
        if crc32c(entry) != number(8) {
            return Err(RecordingError::Damaged);
        }
        *bytes = rest;
        Recorded::decode(entry).ok_or(RecordingError::Damaged).map(Some)
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

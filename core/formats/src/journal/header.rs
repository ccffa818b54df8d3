//! The header page of a journal file.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;

use super::{Mark, PAGE};

const FIXED: usize = 64;
const CHECK_AT: usize = 60;

/// What a journal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The first bytes of its files.
    pub magic: [u8; 8],
    /// The version that this program writes; it reads this one and refuses newer ones.
    pub version: u16,
}

impl Kind {
    /// A translation log of a volume.
    pub const TLOG: Kind = Kind { magic: *b"OVSTLOG\0", version: 1 };
    /// A segment of an ASD.
    pub const ASD_SEGMENT: Kind = Kind { magic: *b"OVSASDSG", version: 1 };
    /// A checkpoint of an ASD's index.
    pub const ASD_CHECKPOINT: Kind = Kind { magic: *b"OVSASDCP", version: 1 };
    /// The log of the KV.
    pub const KV_LOG: Kind = Kind { magic: *b"OVSKVLOG", version: 3 };
    /// A snapshot of the KV.
    pub const KV_SNAPSHOT: Kind = Kind { magic: *b"OVSKVSNP", version: 2 };
    /// A backup of the KV.
    pub const KV_BACKUP: Kind = Kind { magic: *b"OVSKVBKP", version: 2 };
    /// Pages of a volume's map.
    pub const MAP: Kind = Kind { magic: *b"OVSVMAP\0", version: 1 };
}

/// The file before this one, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Where it ends: what lies behind was cut.
    pub end: Mark,
    /// The check of its last batch, or of its header when it has none.
    pub check: u32,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What the journal is for.
    pub kind: Kind,
    /// Whose it is.
    pub owner: [u8; 16],
    /// The file's place in the log, from 1, never used again.
    pub sequence: u64,
    /// The file before it.
    pub predecessor: Option<Predecessor>,
    /// What the user of the journal wants to have here: at most 4,032 bytes.
    pub label: Vec<u8>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another kind of file.
    #[error("it is another kind of file")]
    Foreign,
    /// Written by a newer program: its check holds, so that no bit that rotted says this.
    #[error("it has format version {0}, which is newer than this program")]
    Newer(u16),
    /// Torn, damaged, or never written.
    #[error("its header is damaged")]
    Damaged,
}

impl FileHeader {
    /// The longest label, in bytes.
    pub const MAX_LABEL: usize = PAGE as usize - FIXED;

    /// The page, and the check in it, which the first batch names.
    pub fn encode(&self) -> (Bytes, u32) {
        assert!(self.label.len() <= Self::MAX_LABEL, "a label fits its page");
        assert!(self.sequence != 0, "sequences start at 1");
        let (end, check) = self.predecessor.map_or((Mark::default(), 0), |p| (p.end, p.check));
        let mut page = Vec::with_capacity(PAGE as usize);
        page.extend_from_slice(&self.kind.magic);
        page.extend_from_slice(&self.kind.version.to_le_bytes());
        page.extend_from_slice(&(self.label.len() as u16).to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.extend_from_slice(&self.owner);
        page.extend_from_slice(&self.sequence.to_le_bytes());
        page.extend_from_slice(&end.sequence.to_le_bytes());
        page.extend_from_slice(&end.position.to_le_bytes());
        page.extend_from_slice(&check.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.extend_from_slice(&self.label);
        page.resize(PAGE as usize, 0);
        let own = Self::seal(&mut page);
        (page.into(), own)
    }

    /// Writes the check of a header's page, of 4096 bytes, and gives it.
    pub fn seal(page: &mut [u8]) -> u32 {
        page[CHECK_AT..FIXED].fill(0);
        let own = crc32c(page);
        page[CHECK_AT..FIXED].copy_from_slice(&own.to_le_bytes());
        own
    }

    /// Whether a page's check holds: of a newer version too, as the check stays where it is.
    pub fn is_sound(page: &[u8]) -> bool {
        let Some(page) = page.get(..PAGE as usize) else { return false };
        let mut blank = Vec::from(page);
        blank[CHECK_AT..FIXED].fill(0);
        crc32c(&blank) == u32::from_le_bytes(fixed(page, CHECK_AT))
    }

    /// Reads a page of the expected kind. Gives its check too.
    pub fn decode(page: &[u8], kind: Kind) -> Result<(Self, u32), HeaderError> {
        let page = page.get(..PAGE as usize).ok_or(HeaderError::Damaged)?;
        if page[..8] != kind.magic {
            let blank = page.iter().all(|byte| *byte == 0);
            return Err(if blank { HeaderError::Damaged } else { HeaderError::Foreign });
        }
        let version = u16::from_le_bytes(fixed(page, 8));
        let is_sound = Self::is_sound(page);
        if version > kind.version && is_sound {
            return Err(HeaderError::Newer(version));
        }
        let own = u32::from_le_bytes(fixed(page, CHECK_AT));
        let label_length = usize::from(u16::from_le_bytes(fixed(page, 10)));
        let sequence = u64::from_le_bytes(fixed(page, 32));
        if !is_sound || version == 0 || label_length > Self::MAX_LABEL || sequence == 0 {
            return Err(HeaderError::Damaged);
        }
        let end = Mark {
            sequence: u64::from_le_bytes(fixed(page, 40)),
            position: u64::from_le_bytes(fixed(page, 48)),
        };
        let check = u32::from_le_bytes(fixed(page, 56));
        let header = FileHeader {
            kind: Kind { magic: kind.magic, version },
            owner: fixed(page, 16),
            sequence,
            predecessor: (end.sequence != 0).then_some(Predecessor { end, check }),
            label: page[FIXED..FIXED + label_length].to_vec(),
        };
        Ok((header, own))
    }
}

/// `N` bytes at `at`; they lie within.
pub(super) fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

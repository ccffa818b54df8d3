//! The first thing that each side of a stream between processes says.
//!
//! Who connected speaks first; who was connected to answers when it has read that. All numbers are little-endian.
//!
//! ```text
//!   0  magic "OVSHELLO"              8       32  server: 0xffff for a client        2
//!   8  length of all of it           2       34  refusal: 0 for none                2
//!  10  oldest version spoken         2       36  roles offered, a bit for each      4
//!  12  newest version spoken         2       40  what later programs add            any
//!  14  flags: 0, others are ignored  2           check of everything before it      4
//!  16  cluster: zeros for whichever 16
//! ```
//!
//! The highest version that both speak is spoken from then on: it says what frames follow. A later program may
//! add to the end; this one proves it by the check and passes over it. So this layout is never changed, only
//! continued.

use alloc::string::String;
use alloc::vec::Vec;
use checksum::crc32c;
use core::fmt;
use glossary::{ClusterIdentity, ServerId};

/// The first bytes of a stream between processes.
pub const MAGIC: [u8; 8] = *b"OVSHELLO";

/// The versions that this program speaks. Version 1: frames of [`crate::frame`].
pub const VERSIONS: Versions = Versions { oldest: 1, newest: 1 };

/// The longest hello, in bytes: what is here, and room for what later programs add.
pub const MAX_BYTES: usize = 1024;

/// Bytes before what later programs may add.
const FIXED_BYTES: usize = 40;

/// Bytes of the check.
const CHECK_BYTES: usize = 4;

/// How a client stands where a server has its number.
const CLIENT: u16 = u16::MAX;

/// What a side says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// Its cluster; `None`: a client of whichever it reaches.
    pub cluster: Option<ClusterIdentity>,
    /// Who it is; `None`: a client, which is nobody's server.
    pub server: Option<ServerId>,
    /// Why it will not talk, when it won't: the stream ends behind this hello.
    pub refusal: Option<Refusal>,
    /// The roles that can be reached through it.
    pub offers: Offers,
}

/// Versions that a program speaks: all from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest, from 1.
    pub oldest: u16,
    /// The newest, not before the oldest.
    pub newest: u16,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "{}", self.oldest),
            false => write!(f, "{} to {}", self.oldest, self.newest),
        }
    }
}

/// A set of roles. Bits that this program doesn't know are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers(pub u32);

impl Offers {
    /// A member of the KV's group.
    pub const KV: Offers = Offers(1);

    /// Whether all of the others' roles are among these.
    pub fn has(self, others: Offers) -> bool {
        self.0 & others.0 == others.0
    }
}

/// Why a side will not talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no version that both speak.
    Version,
    /// It belongs to another cluster.
    Cluster,
    /// It has as many connections as it takes; another try may succeed.
    Full,
    /// The certificate, or who connected without one, allows nothing here.
    NotAllowed,
    /// Another reason, of a newer program.
    Other(u16),
}

impl Refusal {
    fn number(self) -> u16 {
        match self {
            Refusal::Version => 1,
            Refusal::Cluster => 2,
            Refusal::Full => 3,
            Refusal::NotAllowed => 4,
            Refusal::Other(number) => number,
        }
    }

    fn of(number: u16) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Refusal::Version),
            2 => Some(Refusal::Cluster),
            3 => Some(Refusal::Full),
            4 => Some(Refusal::NotAllowed),
            other => Some(Refusal::Other(other)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Version => f.write_str("it speaks no version that this program speaks"),
            Refusal::Cluster => f.write_str("it belongs to another cluster"),
            Refusal::Full => f.write_str("it has as many connections as it takes"),
            Refusal::NotAllowed => f.write_str("it allows nothing to who asks"),
            Refusal::Other(number) => {
                write!(f, "its reason has number {number}, which a newer program knows")
            }
        }
    }
}

/// Why bytes are no hello, or two sides can't talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Not ours at all.
    #[error("the peer doesn't say hello as a process of Open vStorage does: is it another service's port?")]
    Foreign,
    /// The length is out of bounds.
    #[error("the peer's hello of {0} bytes is no sensible one")]
    Length(u16),
    /// The check doesn't hold, or what it says contradicts itself.
    #[error("the peer's hello is damaged")]
    Damaged,
    /// No version in common.
    #[error("the peer speaks versions {theirs} and this program {ours}: upgrade the older of the two")]
    Versions {
        /// What the peer speaks.
        theirs: Versions,
        /// What this program speaks.
        ours: Versions,
    },
    /// Another cluster.
    #[error("the peer belongs to cluster {theirs}, not {ours}: is the address right?")]
    Cluster {
        /// The peer's.
        theirs: ClusterIdentity,
        /// This side's.
        ours: ClusterIdentity,
    },
    /// The peer will not talk.
    #[error("the peer refuses: {0}")]
    Refused(Refusal),
}

impl Hello {
    /// A hello of this program.
    pub fn new(cluster: Option<ClusterIdentity>, server: Option<ServerId>, offers: Offers) -> Self {
        Hello { versions: VERSIONS, cluster, server, refusal: None, offers }
    }

    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let length = FIXED_BYTES + CHECK_BYTES;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        for number in [length as u16, self.versions.oldest, self.versions.newest, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.cluster.map_or([0; 16], |cluster| cluster.0));
        bytes.extend_from_slice(&self.server.map_or(CLIENT, |server| server.0).to_le_bytes());
        bytes.extend_from_slice(&self.refusal.map_or(0, Refusal::number).to_le_bytes());
        bytes.extend_from_slice(&self.offers.0.to_le_bytes());
        let check = crc32c(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a hello at the start of what came in: it and how many bytes it took; `None` while more must come,
    /// which is never so from [`MAX_BYTES`] on.
    ///
    /// # Errors
    /// [`HelloError::Foreign`], as soon as the first bytes tell; [`HelloError::Length`], [`HelloError::Damaged`].
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HelloError> {
        let begun = bytes.len().min(MAGIC.len());
        if bytes[..begun] != MAGIC[..begun] {
            return Err(HelloError::Foreign);
        }
        let Some(length) = number(bytes, 8) else { return Ok(None) };
        let whole = usize::from(length);
        if !(FIXED_BYTES + CHECK_BYTES..=MAX_BYTES).contains(&whole) {
            return Err(HelloError::Length(length));
        }
        let Some((body, check)) = bytes.get(..whole).and_then(|all| all.split_last_chunk::<CHECK_BYTES>())
        else {
            return Ok(None);
        };
        if crc32c(body).to_le_bytes() != *check {
            return Err(HelloError::Damaged);
        }
        let hello = Self::read(body).ok_or(HelloError::Damaged)?;
        Ok(Some((hello, whole)))
    }

    fn read(body: &[u8]) -> Option<Self> {
        let versions = Versions { oldest: number(body, 10)?, newest: number(body, 12)? };
        let cluster: [u8; 16] = body.get(16..32)?.try_into().ok()?;
        let server = number(body, 32)?;
        let is_server = server <= ServerId::MAX.0;
        if versions.oldest == 0 || versions.newest < versions.oldest || !(is_server || server == CLIENT) {
            return None;
        }
        let offers = u32::from_le_bytes(body.get(36..40)?.try_into().ok()?);
        Some(Hello {
            versions,
            cluster: (cluster != [0; 16]).then_some(ClusterIdentity(cluster)),
            server: is_server.then_some(ServerId(server)),
            refusal: Refusal::of(number(body, 34)?),
            offers: Offers(offers),
        })
    }

    /// What both sides speak from now on: the highest version in common. Both sides judge alike.
    ///
    /// # Errors
    /// [`HelloError::Versions`], [`HelloError::Cluster`], [`HelloError::Refused`], in this order: a refusal is told
    /// last, as the reasons before it are clearer in one's own words.
    pub fn agree(&self, theirs: &Hello) -> Result<u16, HelloError> {
        let common = self.versions.newest.min(theirs.versions.newest);
        if common < self.versions.oldest.max(theirs.versions.oldest) {
            return Err(HelloError::Versions { theirs: theirs.versions, ours: self.versions });
        }
        if let (Some(ours), Some(theirs)) = (self.cluster, theirs.cluster)
            && ours != theirs
        {
            return Err(HelloError::Cluster { theirs, ours });
        }
        theirs.refusal.map_or(Ok(common), |refusal| Err(HelloError::Refused(refusal)))
    }
}

impl HelloError {
    /// What to tell the peer, where there is somebody who understands.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            HelloError::Versions { .. } => Some(Refusal::Version),
            HelloError::Cluster { .. } => Some(Refusal::Cluster),
            HelloError::Foreign | HelloError::Length(_) | HelloError::Damaged | HelloError::Refused(_) => {
                None
            }
        }
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.server.map_or_else(|| String::from("a client"), |it| alloc::format!("server {it}"));
        write!(f, "{who}, versions {}", self.versions)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;

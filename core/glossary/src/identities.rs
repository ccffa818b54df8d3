//! Identities: who and what things are. None is ever used again for something else.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

macro_rules! byte_strings {
    ($($(#[$doc:meta])* $name:ident[$length:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

numbers! {
    /// A node in the sense of the core: one role that receives events and has effects.
    NodeId(u32);
    /// An OSD of a backend: here, one ASD.
    OsdId(u32);
    /// A vDisk, for ever, whatever its name becomes.
    VdiskId(u64);
    /// A namespace of a backend: one per vDisk.
    NamespaceId(u64);
    /// A client of a vDisk: an attachment (PROTOCOLS E4). All connections of one listener are one client.
    ClientId(u64);
    /// One session of a client: a newer one ends the older (PROTOCOLS E2).
    SessionId(u64);
    /// One attempt to write one fragment (PROTOCOLS F4): a key is never written twice.
    AttemptId(u64);
}

byte_strings! {
    /// A cluster of Open vStorage: what belongs together, and to nobody else.
    ClusterIdentity[16];
    /// The identity that an ASD carries on its disk.
    OsdIdentity[16];
    /// The identity that a write buffer carries on its disk (PROTOCOLS O5).
    BufferIdentity[16];
    /// An object of a backend, drawn anew for every upload.
    ObjectId[32];
}

/// What a fragment is: its object, chunk, place among the k + m, and attempt (PROTOCOLS F3, F4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FragmentId {
    /// The object it is of.
    pub object: ObjectId,
    /// The chunk of the object, from 0.
    pub chunk: u16,
    /// Its place: 0 to k - 1 hold data, the others parity.
    pub index: u8,
    /// The attempt that wrote it.
    pub attempt: AttemptId,
}

/// The name of a vDisk: 1 to 64 bytes of letters, digits, `.`, `_` and `-`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VdiskName(String);

/// Why a text is no name for a vDisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VdiskNameError {
    /// Nothing at all.
    Empty,
    /// Above 64 bytes.
    TooLong,
    /// A character that names don't have.
    Character(char),
    /// The first character is neither letter nor digit.
    Start(char),
}

impl VdiskName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// A name, when the text can be one.
    pub fn new(text: &str) -> Result<Self, VdiskNameError> {
        let Some(first) = text.chars().next() else { return Err(VdiskNameError::Empty) };
        if text.len() > Self::MAX_BYTES {
            return Err(VdiskNameError::TooLong);
        }
        let odd = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
        if let Some(character) = odd {
            return Err(VdiskNameError::Character(character));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(VdiskNameError::Start(first));
        }
        Ok(VdiskName(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VdiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for VdiskNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VdiskNameError::Empty => f.write_str("a vDisk needs a name"),
            VdiskNameError::TooLong => f.write_str("a vDisk's name has at most 64 bytes"),
            VdiskNameError::Character(c) => {
                write!(f, "a vDisk's name has letters, digits, '.', '_' and '-', not {c:?}")
            }
            VdiskNameError::Start(c) => write!(f, "a vDisk's name starts with a letter or digit, not {c:?}"),
        }
    }
}

impl core::error::Error for VdiskNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn odd_names_are_refused() {
        assert_eq!(VdiskName::new(""), Err(VdiskNameError::Empty));
        assert_eq!(VdiskName::new(&"a".repeat(65)), Err(VdiskNameError::TooLong));
        assert_eq!(VdiskName::new("a/b"), Err(VdiskNameError::Character('/')));
        assert_eq!(VdiskName::new("a@b"), Err(VdiskNameError::Character('@')));
        assert_eq!(VdiskName::new("d\u{e9}"), Err(VdiskNameError::Character('\u{e9}')));
        assert_eq!(VdiskName::new("-a"), Err(VdiskNameError::Start('-')));
        assert_eq!(VdiskName::new(&"a".repeat(64)).map(|n| n.as_str().len()), Ok(64));
    }

    #[test]
    fn byte_strings_read_as_hex() {
        assert_eq!(OsdIdentity([0xab; 16]).to_string(), "ab".repeat(16));
    }
}

//! Names of files, small enough to be copied with every operation.

use core::fmt;

/// The name of a file in a role's folder: up to 39 bytes of ASCII letters, digits, `.`, `_` and `-`.
/// Roles have no folders within their folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    bytes: [u8; FileName::MAX_BYTES],
    length: u8,
}

impl FileName {
    /// The longest name.
    pub const MAX_BYTES: usize = 39;

    /// A name, when the text can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_BYTES;
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !fits || !plain || text.starts_with('.') {
            return None;
        }
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(FileName { bytes, length: text.len() as u8 })
    }

    /// A name that the program itself composes: `FileName::new(format_args!("sco-{sco}"))`.
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        let mut writer = Writer { bytes: [0; Self::MAX_BYTES], length: 0 };
        fmt::Write::write_fmt(&mut writer, text).expect("composed names fit");
        let text = core::str::from_utf8(&writer.bytes[..writer.length]).expect("composed names are ASCII");
        Self::parse(text).expect("composed names are plain")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("names are ASCII")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

struct Writer {
    bytes: [u8; FileName::MAX_BYTES],
    length: usize,
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_stay_in_their_folder() {
        for text in ["", ".", "..", ".hidden", "a/b", "a b", &"a".repeat(40), "\u{e9}"] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
        assert_eq!(FileName::new(format_args!("sco-{:012x}", 18)).to_string(), "sco-000000000012");
    }
}

//! What a driver says about an export.

use alloc::string::String;

use crate::settings::Settings;
use crate::wire::{STRING_BYTES_MAX, transmission_flag as flag};

/// A line of the answer to "which exports are there?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing<'a> {
    /// The name by which a client asks for it; at most 4096 bytes, without NUL.
    pub name: &'a str,
    /// Shown to people; may be empty; at most 4096 bytes, without NUL.
    pub description: &'a str,
}

/// An export as one session sees it, from attaching to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The canonical name, which may differ from the one the client used (a default export).
    pub name: String,
    /// Shown to people; may be empty.
    pub description: String,
    /// Size in bytes. Requests beyond it are refused by the session.
    pub size: u64,
    /// Alignment rules. Requests that break the minimum are refused by the session.
    pub block_sizes: BlockSizes,
    /// What the client may use. Requests for anything else are refused by the session.
    pub features: Features,
}

/// What an export is able to do; each field is one transmission flag.
///
/// `NBD_FLAG_SEND_DF` is not among them: it follows from structured replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Writes of every kind are refused with [`crate::Errno::NotPermitted`].
    pub read_only: bool,
    /// [`crate::Command::Flush`].
    pub flush: bool,
    /// Force unit access, on writes of every kind.
    pub fua: bool,
    /// A hint that seeking is slow.
    pub rotational: bool,
    /// [`crate::Command::Trim`].
    pub trim: bool,
    /// [`crate::Command::WriteZeroes`].
    pub write_zeroes: bool,
    /// The `fast` flag of [`crate::Command::WriteZeroes`]; needs `write_zeroes`.
    pub fast_zero: bool,
    /// Flush and FUA on one connection cover what any other connection was told is written.
    pub multi_conn: bool,
    /// [`crate::Command::BlockStatus`] with the context `base:allocation`.
    pub block_status: bool,
}

impl Features {
    /// Everything but `read_only` and `rotational`.
    pub const ALL: Self = Self {
        read_only: false,
        flush: true,
        fua: true,
        rotational: false,
        trim: true,
        write_zeroes: true,
        fast_zero: true,
        multi_conn: true,
        block_status: true,
    };

    /// Reads and writes, nothing else.
    pub const NONE: Self = Self {
        read_only: false,
        flush: false,
        fua: false,
        rotational: false,
        trim: false,
        write_zeroes: false,
        fast_zero: false,
        multi_conn: false,
        block_status: false,
    };

    /// The 16 bits that the client is told.
    pub(crate) fn transmission_flags(self, structured: bool) -> u16 {
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        //= NBD#transmission-flags
        //# NBD_FLAG_HAS_FLAGS: MUST always be 1
        flag::HAS_FLAGS
            | bit(self.read_only, flag::READ_ONLY)
            | bit(self.flush, flag::SEND_FLUSH)
            | bit(self.fua, flag::SEND_FUA)
            | bit(self.rotational, flag::ROTATIONAL)
            | bit(self.trim, flag::SEND_TRIM)
            | bit(self.write_zeroes, flag::SEND_WRITE_ZEROES)
            //= NBD#transmission-flags
            //# MUST leave this flag clear if structured replies have not been negotiated
            | bit(structured, flag::SEND_DF)
            | bit(self.multi_conn, flag::CAN_MULTI_CONN)
            //= NBD#transmission-flags
            //# MUST set this flag to 0 if NBD_FLAG_SEND_WRITE_ZEROES is not set
            | bit(self.fast_zero && self.write_zeroes, flag::SEND_FAST_ZERO)
    }
}

/// Minimum and preferred block size, in bytes. The maximum is [`Settings::payload_bytes_max`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSizes {
    minimum: u32,
    preferred: u32,
}

impl BlockSizes {
    /// What the specification assumes where nothing is said: any byte, preferably 4 KiB.
    pub const DEFAULT: Self = Self { minimum: 1, preferred: 4096 };

    /// Sizes in bytes.
    ///
    /// # Panics
    /// When `minimum` is not a power of 2 up to 64 KiB, or `preferred` not a power of 2 that is at
    /// least `minimum` and at least 512.
    #[must_use]
    pub const fn new(minimum: u32, preferred: u32) -> Self {
        //= NBD#block-size-constraints
        //# MUST be a power of 2, MUST NOT be larger than 2^16
        assert!(minimum.is_power_of_two() && minimum <= 1 << 16, "minimum block size");
        //= NBD#block-size-constraints
        //# MUST be a power of 2 at least as large as the maximum of the minimum block size and 2^9
        assert!(
            preferred.is_power_of_two() && preferred >= minimum && preferred >= 512,
            "preferred block size"
        );
        Self { minimum, preferred }
    }

    /// Offsets and lengths are multiples of this.
    #[must_use]
    pub const fn minimum(self) -> u32 {
        self.minimum
    }

    /// Requests aligned to this are efficient.
    #[must_use]
    pub const fn preferred(self) -> u32 {
        self.preferred
    }

    /// Longest read and write.
    pub(crate) const fn maximum(self, settings: &Settings) -> u32 {
        //= NBD#block-size-constraints
        //# MUST be either an integer multiple of the minimum block size or 0xffffffff
        settings.payload_bytes_max - settings.payload_bytes_max % self.minimum
    }
}

impl Export {
    /// Panics when the driver describes an export that cannot be put on the wire.
    pub(crate) fn assert_valid(&self, settings: &Settings) {
        assert_string(&self.name);
        assert_string(&self.description);
        //= NBD#block-size-constraints
        //# MUST be at least as large as the smaller of the preferred block size or export size
        assert!(
            u64::from(self.block_sizes.maximum(settings)) >= self.size.min(self.block_sizes.preferred.into()),
            "preferred block size above the maximum"
        );
    }
}

/// Panics on a string that the specification forbids; those of the driver are the programmer's promise.
pub(crate) fn assert_string(string: &str) {
    assert!(string.len() <= STRING_BYTES_MAX, "string over 4096 bytes");
    assert!(!string.as_bytes().contains(&0), "string with NUL");
}

//! Limits of a session.

use core::ops::RangeInclusive;

use crate::wire::STRING_BYTES_MAX;

/// Limits of one session. Each bounds what a hostile client can cost; all are checked before a length
/// from the wire is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest payload of a write and longest read, in bytes, within
    /// [`Settings::PAYLOAD_BYTES_MAX_RANGE`]. It is advertised as the maximum block size (rounded
    /// down to a multiple of the minimum block size of the export).
    pub payload_bytes_max: u32,
    /// Most bytes that are skipped so that a refused message can be answered; a longer one ends the
    /// session. Skipped bytes are never held. At least as much as the two limits beside it.
    pub skip_bytes_max: u32,
    /// Longest option data that is parsed, in bytes; at least 8 KiB. Longer data is skipped and refused.
    pub option_bytes_max: u32,
    /// Most options in one session; a client that haggles longer than that never means to finish.
    pub options_max: u32,
}

impl Settings {
    /// 32 MiB payloads, the size up to which the specification wants clients never to be refused.
    pub const DEFAULT: Self = Self {
        payload_bytes_max: 32 << 20,
        //= NBD#block-size-constraints
        //# any length less than 2^25 bytes SHOULD NOT be considered a denial of service attack
        skip_bytes_max: 64 << 20,
        // A name and a dozen queries of the longest kind.
        option_bytes_max: 64 << 10,
        options_max: 4096,
    };

    /// Bounds of `payload_bytes_max`. Below: the longest read that may not be refused when it asks not
    /// to be fragmented, and the largest minimum block size. Above: far more than any client sends.
    pub const PAYLOAD_BYTES_MAX_RANGE: RangeInclusive<u32> = 64 << 10..=1 << 30;

    /// Panics when the limits contradict each other, which is the programmer's mistake.
    pub(crate) fn assert_valid(&self) {
        //= NBD#request-types
        //# MUST support unfragmented reads in which the length does not exceed 65,536 bytes
        assert!(Self::PAYLOAD_BYTES_MAX_RANGE.contains(&self.payload_bytes_max), "payload_bytes_max");
        assert!(self.skip_bytes_max >= self.payload_bytes_max, "a refused write of legal length is skipped");
        assert!(self.skip_bytes_max >= self.option_bytes_max, "option data that is parsed but not skipped");
        assert!(self.option_bytes_max as usize >= 2 * STRING_BYTES_MAX, "a name and a query must fit");
        assert!(self.options_max > 0, "a session needs at least one option");
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

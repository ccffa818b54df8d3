//! What an ASD is told at construction.

use formats::journal::PAGE;
use glossary::{ByteCount, OsdIdentity};
use step::Bug;

/// The settings of an ASD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who it is: requests for another are refused, files of another are not touched.
    pub identity: OsdIdentity,
    /// Bytes that its segments may take; at least eight segments. Its two checkpoints come on top: about
    /// 40 bytes and the key for each key.
    pub capacity: ByteCount,
    /// Bytes of a segment: whole pages, 64 KiB to 1 GiB. No Apply may be longer (less two pages), and a start
    /// holds one segment in memory.
    pub segment_bytes: u64,
    /// Bytes of log after which the index is written down anew: a start reads about as many.
    pub checkpoint_every: u64,
    /// A planted mistake; production has none.
    pub bug: Option<Bug>,
}

impl Config {
    /// The smallest segment, in bytes.
    pub const MIN_SEGMENT_BYTES: u64 = 64 << 10;

    /// The largest segment, in bytes: positions in it fit 32 bits, and a start reads it whole.
    pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

    /// The longest value that fits a segment under a key of 255 bytes, in bytes.
    pub fn max_value_bytes(&self) -> u64 {
        crate::limits::max_body(self.segment_bytes) - 512
    }

    pub(crate) fn check(&self) {
        let range = Self::MIN_SEGMENT_BYTES..=Self::MAX_SEGMENT_BYTES;
        assert!(range.contains(&self.segment_bytes), "a segment has 64 KiB to 1 GiB");
        assert!(self.segment_bytes.is_multiple_of(PAGE), "a segment has whole pages");
        assert!(self.capacity.0 >= 8 * self.segment_bytes, "an ASD has room for eight segments");
        assert!(self.checkpoint_every > 0, "checkpoints are some bytes apart");
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

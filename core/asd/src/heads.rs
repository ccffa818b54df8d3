//! Heads of long values that were read lately, so that a block of such a value costs one read of the disk.
//!
//! A place in the log is written once and never again, so what is known of one stays true; blocks are checked
//! against it whenever they are read.

use alloc::collections::BTreeMap;
use bytes::Bytes;

use crate::limits::HEADS_BYTES;

/// Where a record starts: its segment, and the position in it.
type Place = (u64, u32);

/// The heads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    list: BTreeMap<Place, Head>,
    /// The places by the time of their last use.
    by_use: BTreeMap<u64, Place>,
    uses: u64,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    bytes: Bytes,
    used: u64,
}

impl Heads {
    /// The start of a record, when at least its first `wanted` bytes are known.
    pub(crate) fn get(&mut self, place: Place, wanted: u64) -> Option<Bytes> {
        let head = self.list.get_mut(&place).filter(|head| head.bytes.len() as u64 >= wanted)?;
        self.uses += 1;
        self.by_use.remove(&head.used);
        self.by_use.insert(self.uses, place);
        head.used = self.uses;
        Some(head.bytes.clone())
    }

    /// Keeps the start of a record that was checked, and forgets what was used longest ago.
    pub(crate) fn keep(&mut self, place: Place, bytes: Bytes) {
        if self.list.get(&place).is_some_and(|head| head.bytes.len() >= bytes.len()) {
            return;
        }
        self.forget(place);
        self.uses += 1;
        self.bytes += bytes.len();
        self.by_use.insert(self.uses, place);
        // A copy, so that no larger buffer stays for its sake.
        self.list.insert(place, Head { bytes: Bytes::copy_from_slice(&bytes), used: self.uses });
        while self.bytes > HEADS_BYTES
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, place: Place) {
        if let Some(head) = self.list.remove(&place) {
            self.by_use.remove(&head.used);
            self.bytes -= head.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let mut heads = Heads::default();
        let head = Bytes::from(alloc::vec![7; 1 << 20]);
        let room = (HEADS_BYTES >> 20) as u32;
        for position in 0..room {
            heads.keep((1, position), head.clone());
        }
        assert!(heads.get((1, 0), 1 << 20).is_some());
        heads.keep((2, 0), head.clone());
        assert_eq!(heads.get((1, 1), 1), None, "it was used longest ago");
        assert!(heads.get((1, 0), 1).is_some() && heads.get((2, 0), 1).is_some());
        assert_eq!(heads.get((2, 0), (1 << 20) + 1), None, "too short");
        heads.keep((2, 0), head.slice(..9));
        assert!(heads.get((2, 0), 10).is_some(), "the longer one is kept");
        assert_eq!(
            (heads.bytes, heads.list.len(), heads.by_use.len()),
            (HEADS_BYTES, room as usize, room as usize)
        );
    }
}

//! How full it may be, and for whom (PROTOCOLS F12).

use formats::journal::PAGE;
use formats::message::asd::Purpose;

/// The three marks, in bytes of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    capacity: u64,
    /// Guests stop here: 90 %.
    guest: u64,
    /// Scrub, repair and rewrite stop here: 95 %.
    maintenance: u64,
    /// What frees space stops here: 99 %.
    freeing: u64,
    /// What only removes keys stops here. What lies above belongs to compaction.
    removal: u64,
}

impl Marks {
    /// The marks of an ASD. Where a percentage is less than what one round of the next needs, the mark is
    /// lower: a round of compaction copies at most a segment, its last batches and headers not full; removals
    /// get half a segment, what frees otherwise and what repairs an eighth.
    pub(crate) fn new(capacity: u64, segment_bytes: u64) -> Self {
        let part = |percent: u64| (u128::from(capacity) * u128::from(percent) / 100) as u64;
        let round = segment_bytes + segment_bytes / 2 + 16 * PAGE;
        let removal = capacity.saturating_sub(round);
        let freeing = part(99).min(removal.saturating_sub(segment_bytes / 2));
        let maintenance = part(95).min(freeing.saturating_sub(segment_bytes / 8));
        let guest = part(90).min(maintenance.saturating_sub(segment_bytes / 8));
        Marks { capacity, guest, maintenance, freeing, removal }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn limit(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Guest => self.guest,
            Purpose::Maintenance => self.maintenance,
            Purpose::Freeing => self.freeing,
        }
    }

    /// How far what only removes keys may go, whatever it was sent for.
    pub(crate) fn removal_limit(&self) -> u64 {
        self.removal
    }

    /// Whether compaction should hurry: an eighth below the first mark.
    pub(crate) fn is_pressing(&self, used: u64) -> bool {
        used >= self.guest - self.guest / 8
    }

    /// How much of a segment must be dead to be worth its compaction, of 100.
    pub(crate) fn dead_share_wanted(&self, used: u64) -> u64 {
        if self.is_pressing(used) {
            5
        } else if used >= self.guest / 2 {
            25
        } else {
            50
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_disk_has_its_percentages() {
        let marks = Marks::new(1 << 40, 64 << 20);
        let percent = |purpose| marks.limit(purpose) * 1000 / marks.capacity();
        assert_eq!([Purpose::Guest, Purpose::Maintenance, Purpose::Freeing].map(percent), [899, 949, 989]);
    }

    #[test]
    fn a_small_disk_keeps_room_for_a_round() {
        for segments in 8..400 {
            let marks = Marks::new(segments << 20, 1 << 20);
            assert!(marks.guest > 5 << 20 && marks.guest < marks.maintenance);
            assert!(marks.maintenance < marks.freeing && marks.freeing < marks.removal);
            assert!(marks.removal + (3 << 19) < marks.capacity());
        }
    }
}

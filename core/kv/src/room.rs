//! Room on the disk: what is left, and what commands leave for what must always be possible (PROTOCOLS F12).
//!
//! A checkpoint, with which old log files go, must fit at any time. So commands stop while there is room for it
//! twice, and those that only remove go on until there is room for it once, with some to spare ([`crate::Config::room_kept`]). The
//! room is not the KV's alone: it is looked at again and again, and whoever fills the disk in between is met where the log meets
//! it.

use step::{DiskOperation, DiskOutcome, DiskResult, Effects};

use formats::Effect;

use crate::disk::{Disk, Purpose};

/// Room is looked at again after so many bytes of log at the latest.
const LOOK_AFTER_BYTES: u64 = 1 << 20;

/// Who was turned away is forgotten after so many looks, about a second each.
const FORGET_AFTER: u32 = 30;

/// What is known of the room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that were free when it was looked last; none before that.
    free: Option<u64>,
    /// Bytes of log since that look was asked for.
    written: u64,
    is_looking: bool,
    /// Bytes of the largest command that was turned away, until there is room for it, or nobody was for a while.
    wanted: u64,
    /// Looks since somebody was turned away.
    looks: u32,
    /// A timer runs, and then it is looked at again.
    pub(crate) is_awaited: bool,
}

impl Room {
    /// Asks how much there is.
    pub(crate) fn look(&mut self, disk: &mut Disk, effects: &mut Effects<Effect>) {
        if !self.is_looking {
            (self.is_looking, self.written) = (true, 0);
            disk.start(Purpose::Space, DiskOperation::Space, effects);
        }
    }

    /// A command of so many bytes was turned away.
    pub(crate) fn turned_away(&mut self, bytes: u64) {
        (self.wanted, self.looks) = (self.wanted.max(bytes), 0);
    }

    /// Bytes of the largest command that was turned away and is not forgotten.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// The answer: whether what was turned away before would fit now. A disk that doesn't tell is written to
    /// until it is full.
    pub(crate) fn looked(&mut self, result: &DiskResult, reserve: u64) -> bool {
        self.is_looking = false;
        self.free = match result {
            Ok(DiskOutcome::Space { free, .. }) => Some(*free),
            _ => None,
        };
        self.looks += 1;
        let fits = self.has(self.wanted, reserve);
        if fits || self.looks > FORGET_AFTER {
            self.wanted = 0;
        }
        fits
    }

    /// The log grew. Says whether it is time to look again: what was seen is a quarter used up.
    pub(crate) fn used(&mut self, bytes: u64, reserve: u64) -> bool {
        self.written += bytes;
        let margin = self.free.map_or(u64::MAX, |free| free.saturating_sub(reserve));
        self.written >= LOOK_AFTER_BYTES.min(margin / 4)
    }

    /// Whether so many bytes are known to fit while `reserve` bytes stay: for what can be done without.
    pub(crate) fn is_ample(&self, bytes: u64, reserve: u64) -> bool {
        self.free.is_some() && self.has(bytes, reserve)
    }

    /// Whether so many bytes can be written and `reserve` bytes stay, as far as is known.
    pub(crate) fn has(&self, bytes: u64, reserve: u64) -> bool {
        self.free.is_none_or(|free| free >= bytes.saturating_add(reserve).saturating_add(self.written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(free: u64) -> Room {
        let mut room = Room::default();
        room.look(&mut Disk::default(), &mut Effects::new());
        room.looked(&Ok(DiskOutcome::Space { free, total: 1 << 40 }), 0);
        room
    }

    #[test]
    fn what_was_written_since_the_look_is_gone() {
        let mut room = seen(1000);
        assert!(room.has(400, 600) && !room.has(401, 600));
        assert!(!room.used(99, 600) && room.used(1, 600), "a quarter of what commands may have");
        assert!(room.has(300, 600) && !room.has(301, 600));
        assert!(seen(u64::MAX).used(LOOK_AFTER_BYTES, 0));
    }

    #[test]
    fn who_was_turned_away_is_thought_of_until_there_is_room_or_for_a_while() {
        let mut room = seen(0);
        let free = |free| Ok(DiskOutcome::Space { free, total: 1 << 40 });
        [7, 300, 9].into_iter().for_each(|bytes| room.turned_away(bytes));
        assert!((0..FORGET_AFTER).all(|_| !room.looked(&free(899), 600) && room.wanted() == 300));
        assert!(room.looked(&free(900), 600) && room.wanted() == 0);
        room.turned_away(300);
        assert!((0..=FORGET_AFTER).all(|_| !room.looked(&free(899), 600)));
        assert!(room.looked(&free(600), 600), "nobody asks any more");
    }

    #[test]
    fn what_is_not_known_refuses_nothing() {
        let mut room = seen(0);
        assert!(!room.has(0, 1));
        assert!(room.looked(&Err(step::DiskError::Failed), u64::MAX));
        assert!(room.has(u64::MAX, u64::MAX));
    }
}

//! What is wrong with a disk at the moment.

use crate::Moment;

/// Troubles of one disk: until when, or how often still.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Reads fail until then.
    pub reads_fail_until: Moment,
    /// So many of the next writes fail, with any part of them done.
    pub writes_to_fail: u32,
    /// So many of the next syncs fail, and what they covered is forgotten.
    pub syncs_to_fail: u32,
    /// So many of the next writes are confirmed and never done.
    pub writes_to_lose: u32,
    /// So many of the next writes go elsewhere.
    pub writes_to_misdirect: u32,
    /// Files have no more than `full_at` bytes until then.
    pub full_until: Moment,
    /// What files may have while the disk is full.
    pub full_at: u64,
    /// Everything takes `slow_factor` times as long until then.
    pub slow_until: Moment,
    /// How slow.
    pub slow_factor: u32,
    /// Syncs take long until then, as on a disk that hoards what it was given: much is written and not yet
    /// durable.
    pub syncs_slow_until: Moment,
    /// A sync failed in this boot of the machine: what the kernel shows is not what the disk holds. Only a
    /// restart of the machine brings the truth back.
    pub lies: bool,
}

impl Faults {
    /// Ends everything that lasts. What is damaged stays damaged.
    pub fn end(&mut self) {
        let lies = self.lies;
        *self = Faults { lies, ..Faults::default() };
    }
}

/// Takes one from a count.
pub(super) fn take(count: &mut u32) -> bool {
    let some = *count > 0;
    *count -= u32::from(some);
    some
}

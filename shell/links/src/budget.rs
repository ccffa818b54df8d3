//! Room for requests, over all connections.

/// Bytes of requests that are being received or answered.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: usize,
    /// A long request found no room: short ones wait too until there is plenty, or it would wait for ever.
    short: bool,
    /// Room was given back since somebody asked.
    gave: bool,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Budget { limit, used: 0, short: false, gave: false }
    }

    /// Takes room before a long request is received. The first always gets some, or what is longer than all of it
    /// would wait for ever.
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.used == 0 || self.used.saturating_add(bytes) <= self.limit;
        if fits {
            self.used += bytes;
        }
        self.short |= !fits;
        fits
    }

    /// Notes a request that was received already: it may go beyond the limit by what one receive brings.
    pub(crate) fn note(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Whether more may be received.
    pub(crate) fn has_room(&self) -> bool {
        self.used < self.limit && !self.short
    }

    /// Gives room back.
    pub(crate) fn give(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "what is given back was taken");
        self.used = self.used.saturating_sub(bytes);
        self.short &= self.used > self.limit / 2;
        self.gave |= bytes > 0;
    }

    /// Whether those who wait may find room now and didn't when they asked.
    pub(crate) fn has_new_room(&mut self) -> bool {
        self.has_room() && std::mem::take(&mut self.gave)
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_waits_but_for_the_first() {
        let mut budget = Budget::new(100);
        assert!(budget.take(500));
        assert!(!budget.take(1) && !budget.has_room());
        budget.give(500);
        assert!(budget.take(60) && !budget.take(41) && budget.take(40));
        assert!(!budget.has_room());
        budget.give(40);
        assert!(!budget.has_new_room(), "there is room, and a long request waits for more");
        budget.give(60);
        assert!(budget.has_new_room() && !budget.has_new_room());
        assert_eq!(budget.used(), 0);
    }
}

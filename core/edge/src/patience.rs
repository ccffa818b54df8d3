//! When to ask again.

use core::time::Duration;
use step::Timestamp;

use crate::config::Config;

/// How long an answer has been waited for. Each try waits twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    due: Timestamp,
    wait: Duration,
}

impl Patience {
    pub(crate) fn new(now: Timestamp, config: &Config) -> Self {
        let wait = config.retry_first;
        Patience { due: now.after(wait), wait }
    }

    /// Whether it is time to ask again; then it is waited for longer.
    pub(crate) fn ran_out(&mut self, now: Timestamp, config: &Config) -> bool {
        let ran_out = self.due <= now;
        if ran_out {
            self.wait = (self.wait * 2).min(config.retry_max);
            self.due = now.after(self.wait);
        }
        ran_out
    }
}

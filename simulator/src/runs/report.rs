//! What came of a run.

use crate::checkers::Violation;
use crate::workload::Profile;
use crate::{Moment, Tally, Trace};

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Guest operations, at least.
    pub operations: u64,
    /// What guests do; drawn by seed when nothing is said.
    pub profile: Option<Profile>,
    /// Lines of the account that are kept.
    pub trace_lines: usize,
    /// The last moment of which an account is kept.
    pub trace_until: Moment,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { operations: 500, profile: None, trace_lines: 0, trace_until: Moment::NEVER }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which run.
    pub seed: u64,
    /// A hash over every event and effect.
    pub digest: u64,
    /// What happened.
    pub tally: Tally,
    /// How often something died before everything was pushed to the ASDs; what dies together counts once.
    pub crashes: u64,
    /// What is wrong.
    pub violations: Vec<Violation>,
    /// It didn't come to an end: what the panic said.
    pub panic: Option<String>,
    /// Operations of guests.
    pub operations: u64,
    /// Events that nodes took.
    pub steps: u64,
    /// The account, where one was asked for.
    pub trace: Trace,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_passed(&self) -> bool {
        self.violations.is_empty() && self.panic.is_none()
    }
}

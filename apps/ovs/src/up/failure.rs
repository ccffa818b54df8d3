//! Why a cluster does not start, in one line for people and one number for scripts.

use std::fmt;

/// A refusal to start, or an end by failure. Nothing was touched unless the message says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
}

/// Exit codes of `ovs`; the README has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Something failed while it ran.
    Failed = 1,
    /// An argument makes no sense.
    Usage = 2,
    /// The cluster refuses to start on what it found.
    Refused = 4,
    /// Something else holds what is needed: the directory's lock, the port.
    Busy = 5,
    /// The operating system refuses: permissions, a full disk, limits.
    System = 6,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Failure::new(ExitCode::Refused, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(ExitCode::Usage, message)
    }

    /// What the operating system said while `doing`.
    pub(crate) fn system(doing: &str, error: &std::io::Error) -> Self {
        Failure::new(ExitCode::System, format!("{doing}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

//! Why `ovs` ends without having done what it was asked, in one line for people and one number for scripts.

use std::fmt;

/// Why it ends. Nothing was touched unless the message says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
}

/// Exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// It was tried and failed.
    Failed = 1,
    /// An argument makes no sense.
    Usage = 2,
    /// No cluster runs on the directory.
    NotRunning = 3,
    /// What is there forbids it.
    Refused = 4,
    /// Something else holds what is needed: the directory, the port.
    Busy = 5,
    /// The operating system refuses: permissions, a full disk, limits.
    System = 6,
    /// What it is about isn't there.
    NotFound = 7,
    /// No answer in time.
    TimedOut = 8,
}

impl ExitCode {
    /// All codes, with what help says of them.
    pub(crate) const TABLE: [(u8, &'static str); 9] = [
        (0, "done"),
        (ExitCode::Failed as u8, "it was tried and failed"),
        (ExitCode::Usage as u8, "the arguments make no sense"),
        (ExitCode::NotRunning as u8, "no cluster is running on the directory"),
        (ExitCode::Refused as u8, "refused: what is there forbids it; nothing was changed"),
        (ExitCode::Busy as u8, "the directory or the port is in use"),
        (ExitCode::System as u8, "the operating system refuses: permissions, space, limits"),
        (ExitCode::NotFound as u8, "there is no such vDisk, disk, key or group"),
        (ExitCode::TimedOut as u8, "no answer in time; it may still happen"),
    ];
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Failure::new(ExitCode::Refused, message)
    }

    /// What may be otherwise later: who has time asks again.
    pub(crate) fn not_yet(message: impl Into<String>) -> Self {
        Failure::new(ExitCode::TimedOut, message)
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

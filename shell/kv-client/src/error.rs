//! Why something came to nothing, in words that say what to do.

use std::fmt;
use std::io;

use formats::kv_scope;
use formats::message::kv::{FunctionId, KvError, StepError};

/// Why something came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nobody at the one place that can be asked, or no server of several let itself be asked in time: nothing was
    /// sent.
    #[error("the KV can't be reached: {0}")]
    Unreachable(io::Error),
    /// No answer in time. What was asked is given up; a change may still have happened, or not.
    #[error("the KV gave no answer in time{}", Why(.0.as_deref()))]
    TimedOut(
        /// What was last in the way, where that is known.
        Option<String>,
    ),
    /// The KV forgot what it answered to the command: it was applied, or never will be.
    #[error("it is not known whether the change was made: look, and repeat it if it was not")]
    Unknown,
    /// A step doesn't hold; nothing was changed.
    #[error("step {}{}: {}; nothing was changed", Path(.path), Key(.key), Words(.why))]
    Step {
        /// Where it stands, from 0: in the outermost sequence, in the sequence there, and so on.
        path: Vec<u32>,
        /// Its key, or the first that is not as expected.
        key: Vec<u8>,
        /// Why.
        why: StepError,
    },
    /// The certificate is for keys of users alone; nothing was changed.
    #[error(
        "this certificate may only read and change keys of users: the whole map takes an administrator's; nothing was \
         changed"
    )]
    NotAllowed,
    /// A bound is broken; nothing was changed.
    #[error("{0}")]
    TooLarge(String),
    /// No member that was asked had applied the command in time.
    #[error("command {wanted} is not applied yet, only those to {applied}: ask later, or for less")]
    NotYet {
        /// What the read had to see.
        wanted: u64,
        /// How far the member is.
        applied: u64,
    },
    /// A member's program is too old for the command.
    #[error("{0}: upgrade all members first")]
    TooNew(String),
    /// A server's program is older than this one; nothing was changed.
    #[error(
        "a server's program is older than this one, and doesn't know what is asked: upgrade the servers first; nothing \
         was changed"
    )]
    NotKnown,
    /// A hosted function refused, in its own format.
    #[error("the function refused, with {} bytes", .0.len())]
    Refused(Vec<u8>),
    /// There is no such function.
    #[error("the KV hosts no function {}", .0.0)]
    NoFunction(FunctionId),
    /// There is no such group, or no longer; nothing was changed.
    #[error("the KV has no group {0}: `ovs kv group list` says which there are")]
    NoGroup(
        /// Its name, or its number where it was dropped meanwhile.
        String,
    ),
    /// The certificate does not allow it, or who leads the KV refuses it; nothing was changed.
    #[error("{0}")]
    NotManaged(String),
    /// The answer is none to what was asked.
    #[error("the KV's answer makes no sense here: is it a newer program? {0}")]
    Nonsense(String),
}

impl Error {
    /// Whether it is known that nothing was changed.
    pub fn is_harmless(&self) -> bool {
        !matches!(self, Error::TimedOut(_) | Error::Unknown)
    }
}

/// The error of a user's request.
pub(crate) fn of(mut error: KvError, is_users: bool) -> Error {
    if is_users {
        kv_scope::error_from_map(&mut error);
    }
    match error {
        KvError::Step { path, key, why } => Error::Step { path, key, why },
        KvError::Assert { step, key } => Error::Step { path: vec![step], key, why: StepError::Value },
        KvError::TooLarge(text) if is_users && text.starts_with("a key") => Error::TooLarge(format!(
            "{text}, with the {} that stand before users' keys",
            kv_scope::USER_PREFIX.len()
        )),
        KvError::TooLarge(text) => Error::TooLarge(text),
        KvError::Forgotten => Error::Unknown,
        KvError::Unknown => Error::NotKnown,
        KvError::TooNew { function, version, member } => {
            Error::TooNew(format!("member {member} lacks version {version} of function {}", function.0))
        }
        KvError::NotYet { applied } => Error::NotYet { wanted: 0, applied },
        KvError::Refused(said) => Error::Refused(said),
        KvError::NoFunction(function) => Error::NoFunction(function),
        KvError::NotAllowed => Error::NotAllowed,
        KvError::NoGroup(group) => Error::NoGroup(group.to_string()),
        KvError::Full | KvError::Unavailable | KvError::NotLeader { .. } | KvError::TooManySessions => {
            Error::TimedOut(None)
        }
    }
}

struct Why<'a>(Option<&'a str>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

struct Path<'a>(&'a [u32]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

struct Key<'a>(&'a [u8]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", key \"{}\"", self.0.escape_ascii())
    }
}

struct Words<'a>(&'a StepError);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            StepError::Value => f.write_str("what it has is not what was asserted"),
            StepError::Missing => f.write_str("it is not there"),
            StepError::Range => f.write_str("the range does not hold what is expected"),
            StepError::Refused(said) => write!(f, "the function refused, with {} bytes", said.len()),
            StepError::NoFunction(function) => write!(f, "the KV hosts no function {}", function.0),
        }
    }
}

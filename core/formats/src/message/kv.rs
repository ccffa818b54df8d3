//! Anyone and the KV: an ordered map of bytes with atomic conditional sequences and hosted functions.

use alloc::string::String;
use alloc::vec::Vec;
use consensus::Member;
use serde::{Deserialize, Serialize};

/// A request to the KV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvRequest {
    /// The asker's number for it.
    pub request: u64,
    /// What.
    pub body: KvBody,
}

/// What can be asked of the KV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvBody {
    /// A change, applied exactly once however often it is sent.
    Command {
        /// Who asks: drawn at random at each start of the asker.
        session: u64,
        /// The asker's number for the command, from 1. A command that is sent again keeps it.
        sequence: u64,
        /// The asker has the answers of all commands below this number: they may be forgotten.
        answered_below: u64,
        /// What to change.
        command: KvCommand,
    },
    /// A linearizable read.
    Query(KvQuery),
}

/// A change of the map; all of it or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvCommand {
    /// Steps in order. Each sees what those before it did.
    Sequence(Vec<KvStep>),
    /// A command of a hosted function.
    Function {
        /// Which.
        function: FunctionId,
        /// Its command, in its own format.
        command: Vec<u8>,
    },
}

/// A hosted function: a state machine that lives in the map (DESIGN section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionId(pub u16);

impl FunctionId {
    /// The namespace manager.
    pub const NAMESPACES: FunctionId = FunctionId(1);
}

/// A step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvStep {
    /// The key has this value; `None`: it isn't there.
    Assert {
        /// The key.
        key: Vec<u8>,
        /// Its value.
        value: Option<Vec<u8>>,
    },
    /// The key is there.
    AssertExists {
        /// The key.
        key: Vec<u8>,
    },
    /// Sets a key.
    Set {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Deletes a key; one that isn't there is as good as deleted.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
}

/// A read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvQuery {
    /// One key's value. Answered with [`KvAnswer::Value`].
    Get {
        /// The key.
        key: Vec<u8>,
    },
    /// Keys that start with `prefix`, in order, from `from` on. Answered with [`KvAnswer::Range`].
    Range {
        /// What they start with.
        prefix: Vec<u8>,
        /// The first that may come.
        from: Vec<u8>,
        /// How many at most; the KV has a bound of its own.
        limit: u32,
    },
    /// A question to a hosted function. Answered with [`KvAnswer::Done`].
    Function {
        /// Which.
        function: FunctionId,
        /// Its question, in its own format.
        query: Vec<u8>,
    },
}

/// The answer of the KV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvReply {
    /// The asker's number for the request.
    pub request: u64,
    /// What.
    pub body: KvAnswer,
}

/// What the KV can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvAnswer {
    /// Done, durable, and this is what the function said (empty for sequences).
    Done(Vec<u8>),
    /// A value, or none.
    Value(Option<Vec<u8>>),
    /// Keys and values.
    Range {
        /// In order.
        pairs: Vec<(Vec<u8>, Vec<u8>)>,
        /// Whether there are more.
        more: bool,
    },
    /// Not done, nothing changed.
    Failed(KvError),
}

/// Why a request came to nothing. Nothing was changed; of a command that came to a member of a group while that lost
/// its lead (`Unavailable`), it is open: it is sent again under its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    /// This step's assert doesn't hold.
    Assert {
        /// Which step, from 0.
        step: u32,
        /// Its key.
        key: Vec<u8>,
    },
    /// The function refused, and what it said, in its own format.
    Refused(Vec<u8>),
    /// No such function here.
    NoFunction(FunctionId),
    /// A bound is broken: which, in words.
    TooLarge(String),
    /// The answer to this command was forgotten: it is below what the asker said it has answers for.
    Forgotten,
    /// The disk is full; only what frees space goes on.
    Full,
    /// Not now: starting, or stopped by a failed disk.
    Unavailable,
    /// Another member of the KV's group is to be asked.
    NotLeader {
        /// The one that leads, where that is known.
        leader: Option<Member>,
    },
}

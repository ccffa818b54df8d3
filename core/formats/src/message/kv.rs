//! Anyone and the KV: an ordered map of bytes with atomic conditional sequences and hosted functions.

use alloc::string::String;
use alloc::vec::Vec;
use consensus::Member;
use glossary::GroupId;
use serde::{Deserialize, Serialize};

use super::kv_range::KvRange;

/// A request to the KV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvRequest {
    /// The asker's number for it.
    pub request: u64,
    /// What.
    pub body: KvBody,
}

/// A request to another group than the root group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvOf {
    /// Which group.
    pub group: GroupId,
    /// What is asked of it.
    pub request: KvRequest,
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
    /// A read that says how much it may lag. Answered with [`KvAnswer::Read`].
    Read {
        /// How much.
        consistency: Consistency,
        /// What to read.
        query: KvQuery,
    },
}

impl KvBody {
    /// The hosted function that it is for, where it is for one.
    pub fn function(&self) -> Option<FunctionId> {
        match self {
            KvBody::Command { command: KvCommand::Function { function, .. }, .. }
            | KvBody::Query(KvQuery::Function { function, .. })
            | KvBody::Read { query: KvQuery::Function { function, .. }, .. } => Some(*function),
            _ => None,
        }
    }
}

/// Which state a read is answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// The read sees all that was answered by any member before it was asked. The leader answers.
    Linearizable,
    /// Any member answers, once it has applied the command of this index: the read sees that and all before it.
    /// [`KvError::NotYet`] when it has not for a while.
    AtLeast(u64),
    /// Any member answers from what it has applied, however far behind that is.
    Stale,
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
    /// Steps in order, any of [`KvStep`]. Answered with [`KvAnswer::Applied`], what steps found included; a step that
    /// fails is named by its path ([`KvError::Step`]).
    Steps(Vec<KvStep>),
}

/// A hosted function: a state machine that lives in the map (DESIGN section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionId(pub u16);

impl FunctionId {
    /// The namespace manager.
    pub const NAMESPACES: FunctionId = FunctionId(1);
    /// None that can be hosted: where versions of functions are told, the level of a member's program stands beside them
    /// under this number.
    pub const LEVEL: FunctionId = FunctionId(u16::MAX);
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
    /// The range holds this and nothing else.
    AssertRange {
        /// Which.
        range: KvRange,
        /// What it holds. Looking costs as much as this is long, however much the range holds.
        expected: KvExpected,
    },
    /// Deletes the first keys that start with a prefix. Answered with [`StepAnswer::Deleted`], which says whether there
    /// are more: a prefix of a million keys takes many commands. An [`KvStep::AssertRange`] behind it makes it "all or
    /// none".
    DeletePrefix {
        /// What they start with.
        prefix: Vec<u8>,
        /// How many at most.
        keys_max: u32,
    },
    /// Sets a key (`None`: deletes it) if it has the value that is expected (`None`: isn't there), and does nothing
    /// otherwise. Answered with [`StepAnswer::Value`]: the value before.
    TestAndSet {
        /// The key.
        key: Vec<u8>,
        /// The value it must have.
        expected: Option<Vec<u8>>,
        /// Its new value.
        value: Option<Vec<u8>>,
    },
    /// Sets a key (`None`: deletes it). Answered with [`StepAnswer::Value`]: the value before.
    Replace {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Option<Vec<u8>>,
    },
    /// A command of a hosted function; where it refuses, the whole sequence fails. Answered with
    /// [`StepAnswer::Function`].
    Function {
        /// Which.
        function: FunctionId,
        /// The version of the function that understands the command. It is not logged before all members of the
        /// group know it.
        version: u32,
        /// Its command, in its own format.
        command: Vec<u8>,
    },
    /// The next steps of the list are a sequence of their own, which counts as one step of the one around it. A length
    /// rather than a list in the list, so that no bytes from anybody make a decoder recurse.
    Nested {
        /// How many, those of sequences in it included.
        steps: u32,
    },
}

/// What a range is expected to hold, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvExpected {
    /// These keys, whatever their values.
    Keys(Vec<Vec<u8>>),
    /// These keys with these values.
    Pairs(Vec<(Vec<u8>, Vec<u8>)>),
}

/// What a step of [`KvCommand::Steps`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepAnswer {
    /// It was done; there is nothing to say.
    Done,
    /// What a key had before.
    Value(Option<Vec<u8>>),
    /// Keys were deleted.
    Deleted {
        /// How many.
        keys: u32,
        /// Whether there are more.
        more: bool,
    },
    /// What the function said.
    Function(Vec<u8>),
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
    /// Whether a key is there. Answered with [`KvFound::Exists`].
    Exists {
        /// The key.
        key: Vec<u8>,
    },
    /// Values of several keys. Answered with [`KvFound::Values`].
    MultiGet {
        /// The keys.
        keys: Vec<Vec<u8>>,
    },
    /// A page of a range. Answered with [`KvFound::Pairs`] or [`KvFound::Keys`].
    Page {
        /// Which.
        range: KvRange,
        /// From the last key down.
        is_reverse: bool,
        /// Without values.
        keys_only: bool,
        /// How many at most; the KV has bounds of its own.
        limit: u32,
    },
    /// How many keys a range holds. Answered with [`KvFound::Count`].
    Count {
        /// Which.
        range: KvRange,
    },
    /// What commands behind an index changed under a prefix; the answer waits a while for the first change. Any member
    /// answers, from what it has applied. Answered with [`KvFound::Changes`] or [`KvFound::Missed`].
    Watch {
        /// What the keys start with.
        prefix: Vec<u8>,
        /// The index.
        after: u64,
    },
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvFound {
    /// A key's value, or none.
    Value(Option<Vec<u8>>),
    /// Whether the key is there.
    Exists(bool),
    /// The values of the first of the keys that were asked for, as many as fit: at least one. The others are to be asked
    /// for again.
    Values(Vec<Option<Vec<u8>>>),
    /// Keys and values.
    Pairs {
        /// In the order that was asked for.
        pairs: Vec<(Vec<u8>, Vec<u8>)>,
        /// Whether there are more.
        more: bool,
    },
    /// Keys.
    Keys {
        /// In the order that was asked for.
        keys: Vec<Vec<u8>>,
        /// Whether there are more.
        more: bool,
    },
    /// Keys were counted.
    Count {
        /// How many.
        keys: u64,
        /// From which key on there are more, not counted.
        next: Option<Vec<u8>>,
    },
    /// What the function said.
    Function(Vec<u8>),
    /// The keys that were changed.
    Changes {
        /// All commands up to here were looked at: the next watch is for those behind.
        through: u64,
        /// Each key once, with its value now (`None`: it is gone), which may be that of a command behind `through`.
        changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    },
    /// What was changed behind the index is no longer known, or too much to say at once: whoever watches reads the
    /// range anew, and watches from the index of that read on.
    Missed,
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
    /// Steps were done, durable.
    Applied {
        /// The number of the command in the order of all: a read at least there sees it.
        index: u64,
        /// What they found, one answer for each step of the list.
        answers: Vec<StepAnswer>,
    },
    /// What was read.
    Read {
        /// The number of the last command that it saw.
        index: u64,
        /// What.
        found: KvFound,
    },
}

impl KvAnswer {
    /// Whether a command that is answered so was applied for certain, if only to find that it can't be done: the KV knows its
    /// session from then on.
    pub fn is_applied(&self) -> bool {
        match self {
            KvAnswer::Done(_) | KvAnswer::Applied { .. } => true,
            KvAnswer::Failed(error) => {
                matches!(error, KvError::Assert { .. } | KvError::Step { .. } | KvError::Refused(_))
            }
            KvAnswer::Value(_) | KvAnswer::Range { .. } | KvAnswer::Read { .. } => false,
        }
    }
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
    /// The answer to this command was forgotten: it is below what the asker said it has answers for, or of a session that was
    /// begun and is not known any more. It may have been applied.
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
    /// This step of [`KvCommand::Steps`] doesn't hold, or was refused.
    Step {
        /// Where it stands, from 0: in the outermost sequence, in the sequence there, and so on.
        path: Vec<u32>,
        /// Its key; of a range, the first that is not as expected; of a function, none.
        key: Vec<u8>,
        /// Why.
        why: StepError,
    },
    /// This member has not applied the command that the read must see, and waited for it: asking again, or asking
    /// another member, may help.
    NotYet {
        /// The last command that it applied.
        applied: u64,
    },
    /// Not all members of the group know this version of the function: the program of this one is older.
    TooNew {
        /// Which function.
        function: FunctionId,
        /// The version that is needed.
        version: u32,
        /// Who lacks it.
        member: Member,
    },
    /// Who asks may only read and change keys of users (`formats::kv_scope`), and this reaches beyond them. Said where
    /// requests come in: no member has seen it.
    NotAllowed,
    /// There was such a group, and it was dropped.
    NoGroup(GroupId),
    /// The program there is older than the asker's, and doesn't know what is asked.
    Unknown,
    /// This would begin a session, and so many were used lately that none can be forgotten for it. Asking again in a while
    /// helps. Said where commands come in: no member has seen it.
    TooManySessions,
}

/// Why a step came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepError {
    /// The key doesn't have that value.
    Value,
    /// The key isn't there.
    Missing,
    /// The range doesn't hold that.
    Range,
    /// The function refused, and what it said, in its own format.
    Refused(Vec<u8>),
    /// No such function here.
    NoFunction(FunctionId),
}

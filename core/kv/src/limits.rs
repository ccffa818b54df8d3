//! What the KV takes, and how much of it (P9). A request beyond is refused before it is logged.

use alloc::format;
use formats::message::kv::{KvCommand, KvError, KvQuery, KvStep};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1 << 10;

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 8 << 20;

/// The largest command, in bytes: keys, values and 16 for each step.
pub const MAX_COMMAND_BYTES: usize = 16 << 20;

/// The longest answer of a function, in bytes.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// The most pairs in one page of a range.
pub const MAX_RANGE_PAIRS: usize = 1000;

/// The most bytes in one page of a range; its first pair comes whatever its size.
pub const MAX_RANGE_BYTES: usize = 4 << 20;

/// The most bytes of requests that wait. Who comes beyond is told "not now".
pub const MAX_QUEUE_BYTES: usize = 64 << 20;

/// The most requests that wait.
pub const MAX_QUEUE_REQUESTS: usize = 16_384;

/// A batch takes no further request once it has so many bytes. With a last command at its own bound it stays
/// far below what a journal's batch may have.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// The most requests in a batch.
pub const MAX_BATCH_REQUESTS: usize = 4096;

/// An entry of the group's log takes no further command once it has so many bytes.
pub const MAX_PROPOSAL_BYTES: usize = 1 << 20;

/// A group of several has at most so many entries of its leader's, and rounds of questions, under way.
pub const MAX_UNDER_WAY: usize = 8;

/// The most sessions that are remembered. One is begun by each start of an asker.
pub const MAX_SESSIONS: usize = 4096;

/// The most forgotten sessions that are known as such, at 8 bytes each.
pub const MAX_FORGOTTEN: usize = 65_536;

/// The most answers that are kept for one session.
pub const MAX_SESSION_ANSWERS: usize = 1024;

/// The most bytes of answers that are kept for one session; the last answer is kept whatever its size.
pub const MAX_SESSION_BYTES: usize = 16 << 20;

/// The most bytes of answers that are kept for all sessions.
pub const MAX_ALL_BYTES: usize = 128 << 20;

/// What a step counts for beside its key and value.
const STEP_BYTES: usize = 16;

/// Bytes that a command counts for.
pub(crate) fn command_bytes(command: &KvCommand) -> usize {
    match command {
        KvCommand::Sequence(steps) => steps.iter().map(step_bytes).sum(),
        KvCommand::Function { command, .. } => STEP_BYTES + command.len(),
    }
}

/// Whether a command can only remove: it may go on when there is no room for others (PROTOCOLS F12).
pub(crate) fn only_removes(command: &KvCommand) -> bool {
    match command {
        KvCommand::Sequence(steps) => !steps.iter().any(|step| matches!(step, KvStep::Set { .. })),
        KvCommand::Function { .. } => false,
    }
}

/// Refuses a command that breaks a bound.
pub(crate) fn check_command(command: &KvCommand) -> Result<(), KvError> {
    let bytes = command_bytes(command);
    if bytes > MAX_COMMAND_BYTES {
        return Err(too_large("command", bytes, MAX_COMMAND_BYTES));
    }
    match command {
        KvCommand::Sequence(steps) => steps.iter().try_for_each(check_step),
        KvCommand::Function { .. } => Ok(()),
    }
}

/// Refuses a question that breaks a bound.
pub(crate) fn check_query(query: &KvQuery) -> Result<(), KvError> {
    match query {
        KvQuery::Get { key } => check_key(key),
        KvQuery::Range { prefix, from, .. } => check_key(prefix).and_then(|()| check_key(from)),
        KvQuery::Function { query, .. } if query.len() > MAX_COMMAND_BYTES => {
            Err(too_large("question", query.len(), MAX_COMMAND_BYTES))
        }
        KvQuery::Function { .. } => Ok(()),
    }
}

/// Refuses a key above its bound.
pub(crate) fn check_key(key: &[u8]) -> Result<(), KvError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(too_large("key", key.len(), MAX_KEY_BYTES));
    }
    Ok(())
}

/// Refuses a value above its bound.
pub(crate) fn check_value(value: &[u8]) -> Result<(), KvError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(too_large("value", value.len(), MAX_VALUE_BYTES));
    }
    Ok(())
}

/// Refuses an answer of a function above its bound.
pub(crate) fn check_answer(bytes: usize) -> Result<(), KvError> {
    if bytes > MAX_ANSWER_BYTES {
        return Err(too_large("answer", bytes, MAX_ANSWER_BYTES));
    }
    Ok(())
}

fn too_large(what: &str, bytes: usize, bound: usize) -> KvError {
    KvError::TooLarge(format!("a {what} has at most {bound} bytes, not {bytes}"))
}

fn check_step(step: &KvStep) -> Result<(), KvError> {
    match step {
        KvStep::Assert { key, value } => {
            check_key(key).and_then(|()| value.as_deref().map_or(Ok(()), check_value))
        }
        KvStep::Set { key, value } => check_key(key).and_then(|()| check_value(value)),
        KvStep::AssertExists { key } | KvStep::Delete { key } => check_key(key),
    }
}

fn step_bytes(step: &KvStep) -> usize {
    let own = match step {
        KvStep::Assert { key, value } => key.len() + value.as_ref().map_or(0, alloc::vec::Vec::len),
        KvStep::Set { key, value } => key.len() + value.len(),
        KvStep::AssertExists { key } | KvStep::Delete { key } => key.len(),
    };
    own + STEP_BYTES
}

/// Bytes that a question counts for.
pub(crate) fn query_bytes(query: &KvQuery) -> usize {
    match query {
        KvQuery::Get { key } => key.len(),
        KvQuery::Range { prefix, from, .. } => prefix.len() + from.len(),
        KvQuery::Function { query, .. } => query.len(),
    }
}

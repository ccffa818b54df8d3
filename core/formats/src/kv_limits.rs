//! What the KV takes, and how much of it (P9). The KV refuses a request beyond before it is logged, and a client before
//! it is sent.

use alloc::format;
use alloc::vec::Vec;

use crate::message::kv::{KvCommand, KvError, KvExpected, KvQuery, KvStep};
use crate::message::kv_range::KvRange;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1 << 10;

/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 8 << 20;

/// The largest command, in bytes: keys, values and 16 for each step.
pub const MAX_COMMAND_BYTES: usize = 16 << 20;

/// The longest answer of a function, and of all steps of a command together, in bytes.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// The most steps of a command, those of nested sequences included: each has an answer, and costs more than its bytes.
pub const MAX_STEPS: usize = 65_536;

/// How deep sequences stand in sequences, at most: enough for programs that put commands together out of others', and
/// a path that fits a line.
pub const MAX_DEPTH: usize = 8;

/// The most keys that the steps of one command delete by prefix: all other commands wait meanwhile.
pub const MAX_DELETED_KEYS: usize = 10_000;

/// The most keys in one question.
pub const MAX_ASKED_KEYS: usize = 1000;

/// The most pairs in one page of a range.
pub const MAX_RANGE_PAIRS: usize = 1000;

/// The most bytes in one page of a range, or of values; its first comes whatever its size.
pub const MAX_RANGE_BYTES: usize = 4 << 20;

/// What a step, and a key in a question, counts for beside its bytes.
pub const STEP_BYTES: usize = 16;

/// Bytes that a command counts for.
pub fn command_bytes(command: &KvCommand) -> usize {
    match command {
        KvCommand::Sequence(steps) | KvCommand::Steps(steps) => steps.iter().map(step_bytes).sum(),
        KvCommand::Function { command, .. } => STEP_BYTES + command.len(),
    }
}

/// Bytes that a question counts for.
pub fn query_bytes(query: &KvQuery) -> usize {
    match query {
        KvQuery::Get { key } | KvQuery::Exists { key } | KvQuery::Watch { prefix: key, .. } => key.len(),
        KvQuery::Range { prefix, from, .. } => prefix.len() + from.len(),
        KvQuery::Function { query, .. } => query.len(),
        KvQuery::MultiGet { keys } => keys.iter().map(|key| key.len() + STEP_BYTES).sum(),
        KvQuery::Page { range, .. } | KvQuery::Count { range } => range.bytes(),
    }
}

/// Whether a command can only remove: it may go on when there is no room for others (PROTOCOLS F12).
pub fn only_removes(command: &KvCommand) -> bool {
    let adds = |step: &KvStep| match step {
        KvStep::Set { .. } | KvStep::Function { .. } => true,
        KvStep::TestAndSet { value, .. } | KvStep::Replace { value, .. } => value.is_some(),
        KvStep::Assert { .. }
        | KvStep::AssertExists { .. }
        | KvStep::AssertRange { .. }
        | KvStep::Delete { .. }
        | KvStep::DeletePrefix { .. }
        | KvStep::Nested { .. } => false,
    };
    match command {
        KvCommand::Sequence(steps) | KvCommand::Steps(steps) => !steps.iter().any(adds),
        KvCommand::Function { .. } => false,
    }
}

/// Refuses a command that breaks a bound.
///
/// # Errors
/// [`KvError::TooLarge`] says which.
pub fn check_command(command: &KvCommand) -> Result<(), KvError> {
    let bytes = command_bytes(command);
    if bytes > MAX_COMMAND_BYTES {
        return Err(too_large("command", bytes, MAX_COMMAND_BYTES));
    }
    let (KvCommand::Sequence(steps) | KvCommand::Steps(steps)) = command else { return Ok(()) };
    if steps.len() > MAX_STEPS {
        return Err(too_many("command", "steps", steps.len(), MAX_STEPS));
    }
    steps.iter().try_for_each(check_step)?;
    let deleted = |step: &KvStep| match step {
        KvStep::DeletePrefix { keys_max, .. } => *keys_max as usize,
        _ => 0,
    };
    let deleted = steps.iter().map(deleted).fold(0, usize::saturating_add);
    if deleted > MAX_DELETED_KEYS {
        return Err(too_many("command", "keys to delete by prefix", deleted, MAX_DELETED_KEYS));
    }
    check_depth(steps)
}

/// Refuses a question that breaks a bound.
///
/// # Errors
/// [`KvError::TooLarge`] says which.
pub fn check_query(query: &KvQuery) -> Result<(), KvError> {
    match query {
        KvQuery::Get { key } | KvQuery::Exists { key } | KvQuery::Watch { prefix: key, .. } => check_key(key),
        KvQuery::Range { prefix, from, .. } => check_key(prefix).and_then(|()| check_key(from)),
        KvQuery::Function { query, .. } if query.len() > MAX_COMMAND_BYTES => {
            Err(too_large("question", query.len(), MAX_COMMAND_BYTES))
        }
        KvQuery::Function { .. } => Ok(()),
        KvQuery::MultiGet { keys } if keys.len() > MAX_ASKED_KEYS => {
            Err(too_many("question", "keys", keys.len(), MAX_ASKED_KEYS))
        }
        KvQuery::MultiGet { keys } => keys.iter().try_for_each(|key| check_key(key)),
        KvQuery::Page { range, .. } | KvQuery::Count { range } => check_range(range),
    }
}

/// Refuses a key above its bound.
///
/// # Errors
/// [`KvError::TooLarge`].
pub fn check_key(key: &[u8]) -> Result<(), KvError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(too_large("key", key.len(), MAX_KEY_BYTES));
    }
    Ok(())
}

/// Refuses a value above its bound.
///
/// # Errors
/// [`KvError::TooLarge`].
pub fn check_value(value: &[u8]) -> Result<(), KvError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(too_large("value", value.len(), MAX_VALUE_BYTES));
    }
    Ok(())
}

/// Refuses an answer above its bound.
///
/// # Errors
/// [`KvError::TooLarge`].
pub fn check_answer(bytes: usize) -> Result<(), KvError> {
    if bytes > MAX_ANSWER_BYTES {
        return Err(too_large("answer", bytes, MAX_ANSWER_BYTES));
    }
    Ok(())
}

fn too_large(what: &str, bytes: usize, bound: usize) -> KvError {
    KvError::TooLarge(format!("a {what} has at most {bound} bytes, not {bytes}"))
}

fn too_many(what: &str, of: &str, count: usize, bound: usize) -> KvError {
    KvError::TooLarge(format!("a {what} has at most {bound} {of}, not {count}"))
}

fn check_range(range: &KvRange) -> Result<(), KvError> {
    range.ends().try_for_each(check_key)
}

fn check_step(step: &KvStep) -> Result<(), KvError> {
    let pair = |key: &[u8], value: &Option<Vec<u8>>| {
        check_key(key).and_then(|()| value.as_deref().map_or(Ok(()), check_value))
    };
    match step {
        KvStep::Assert { key, value } | KvStep::Replace { key, value } => pair(key, value),
        KvStep::Set { key, value } => check_key(key).and_then(|()| check_value(value)),
        KvStep::AssertExists { key } | KvStep::Delete { key } => check_key(key),
        KvStep::DeletePrefix { prefix, .. } => check_key(prefix),
        KvStep::TestAndSet { key, expected, value } => {
            pair(key, expected).and_then(|()| value.as_deref().map_or(Ok(()), check_value))
        }
        KvStep::AssertRange { range, expected } => check_range(range).and_then(|()| match expected {
            KvExpected::Keys(keys) => keys.iter().try_for_each(|key| check_key(key)),
            KvExpected::Pairs(pairs) => {
                pairs.iter().try_for_each(|(key, value)| check_key(key).and_then(|()| check_value(value)))
            }
        }),
        KvStep::Function { .. } | KvStep::Nested { .. } => Ok(()),
    }
}

/// Refuses sequences that reach beyond the one around them, or stand too deep.
fn check_depth(steps: &[KvStep]) -> Result<(), KvError> {
    let mut ends: Vec<usize> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        ends.retain(|end| *end > index);
        let KvStep::Nested { steps: length } = step else { continue };
        let end = (index + 1).saturating_add(*length as usize);
        let around = ends.last().copied().unwrap_or(steps.len());
        if end > around {
            let left = around - index - 1;
            return Err(too_many("sequence", "steps where this one stands", *length as usize, left));
        }
        ends.push(end);
        if ends.len() > MAX_DEPTH {
            return Err(too_many("sequence", "sequences around one another", ends.len(), MAX_DEPTH));
        }
    }
    Ok(())
}

fn step_bytes(step: &KvStep) -> usize {
    let length = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
    let own = match step {
        KvStep::Assert { key, value } | KvStep::Replace { key, value } => key.len() + length(value),
        KvStep::Set { key, value } => key.len() + value.len(),
        KvStep::AssertExists { key } | KvStep::Delete { key } | KvStep::DeletePrefix { prefix: key, .. } => {
            key.len()
        }
        KvStep::TestAndSet { key, expected, value } => key.len() + length(expected) + length(value),
        KvStep::AssertRange { range, expected } => range.bytes() + expected_bytes(expected),
        KvStep::Function { command, .. } => command.len(),
        KvStep::Nested { .. } => 0,
    };
    own + STEP_BYTES
}

fn expected_bytes(expected: &KvExpected) -> usize {
    match expected {
        KvExpected::Keys(keys) => keys.iter().map(|key| key.len() + STEP_BYTES).sum(),
        KvExpected::Pairs(pairs) => {
            pairs.iter().map(|(key, value)| key.len() + value.len() + STEP_BYTES).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn refused(steps: Vec<KvStep>) -> Option<alloc::string::String> {
        match check_command(&KvCommand::Steps(steps)) {
            Err(KvError::TooLarge(why)) => Some(why),
            Err(other) => panic!("{other:?}"),
            Ok(()) => None,
        }
    }

    fn nested(steps: u32) -> KvStep {
        KvStep::Nested { steps }
    }

    #[test]
    fn sequences_stand_in_one_another_to_a_depth() {
        let tower = |height: u32| (0..height).rev().map(nested).collect::<Vec<_>>();
        assert_eq!(refused(tower(MAX_DEPTH as u32)), None);
        assert!(
            refused(tower(MAX_DEPTH as u32 + 1)).expect("refused").contains("at most 8 sequences around")
        );
        assert_eq!(refused(vec![nested(1), nested(0), nested(1), nested(0)]), None);
        assert!(refused(vec![nested(1)]).expect("refused").contains("at most 0 steps where this one stands"));
        let reaching = vec![nested(1), nested(1), KvStep::Delete { key: vec![] }];
        assert!(refused(reaching).is_some(), "it reaches beyond the sequence around it");
        assert!(refused(vec![nested(u32::MAX)]).is_some());
    }

    #[test]
    fn every_bound_has_its_words() {
        let too_many = vec![nested(0); MAX_STEPS + 1];
        assert!(refused(too_many).expect("refused").contains("steps"));
        let delete = |keys_max| KvStep::DeletePrefix { prefix: vec![], keys_max };
        assert_eq!(refused(vec![delete(9_000), delete(1_000)]), None);
        assert!(refused(vec![delete(9_000), delete(1_001)]).expect("refused").contains("delete by prefix"));
        assert!(refused(vec![delete(u32::MAX), delete(u32::MAX)]).is_some());
        let value = |bytes: usize| KvStep::Replace { key: vec![], value: Some(vec![0; bytes]) };
        assert_eq!(refused(vec![value(MAX_VALUE_BYTES)]), None);
        assert!(refused(vec![value(MAX_VALUE_BYTES + 1)]).expect("refused").contains("value"));
        assert!(
            refused(vec![value(MAX_VALUE_BYTES), value(MAX_VALUE_BYTES)])
                .expect("refused")
                .contains("command")
        );
        let keys = |count: usize| KvQuery::MultiGet { keys: vec![vec![]; count] };
        assert_eq!(check_query(&keys(MAX_ASKED_KEYS)), Ok(()));
        assert!(check_query(&keys(MAX_ASKED_KEYS + 1)).is_err());
        let far = KvRange::prefix(&[1; MAX_KEY_BYTES + 1]);
        assert!(check_query(&KvQuery::Count { range: far.clone() }).is_err());
        let expected = KvExpected::Keys(vec![]);
        assert!(
            refused(vec![KvStep::AssertRange { range: far, expected }]).expect("refused").contains("key")
        );
        let expected = KvExpected::Pairs(vec![(vec![], vec![0; MAX_VALUE_BYTES + 1])]);
        assert!(refused(vec![KvStep::AssertRange { range: KvRange::ALL, expected }]).is_some());
    }
}

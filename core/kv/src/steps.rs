//! Running the steps of a command: each sees what those before it did, and one that fails ends all.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use formats::message::kv::{FunctionId, KvError, KvExpected, KvStep, StepAnswer, StepError};
use formats::message::kv_range::KvRange;
use step::{Function, OrderedMap};

use crate::limits::{self, STEP_BYTES};
use crate::transaction::Transaction;

/// A sequence that is being run.
struct Level {
    /// The place in the list behind its last step.
    end: usize,
    /// The number of its next step.
    next: u32,
}

/// Why a step failed: it does so itself, with its key, or a bound is broken.
enum Failed {
    Step(Vec<u8>, StepError),
    Bound(KvError),
}

/// Runs all steps; one answer for each of the list.
///
/// # Errors
/// [`KvError::Step`] names the step that failed; [`KvError::TooLarge`] when the answers are.
pub(crate) fn run<F: Function>(
    map: &mut Transaction<'_>,
    functions: &BTreeMap<FunctionId, F>,
    steps: &[KvStep],
) -> Result<Vec<StepAnswer>, KvError> {
    let (mut answers, mut bytes) = (Vec::new(), 0);
    let mut levels = alloc::vec![Level { end: steps.len(), next: 0 }];
    for (index, step) in steps.iter().enumerate() {
        while levels.last().is_some_and(|level| level.end <= index) {
            levels.pop();
        }
        if let Some(level) = levels.last_mut() {
            level.next += 1;
        }
        if let KvStep::Nested { steps } = step {
            levels.push(Level { end: index + 1 + *steps as usize, next: 0 });
        }
        let answer = run_one(map, functions, step).map_err(|failed| match failed {
            Failed::Step(key, why) => KvError::Step { path: path(&levels), key, why },
            Failed::Bound(error) => error,
        })?;
        let before = bytes;
        bytes += answer_bytes(&answer);
        // One value alone is never too much: nobody could do a step that answers it otherwise.
        if before > 0 {
            limits::check_answer(bytes)?;
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Where the step stands that was begun last.
fn path(levels: &[Level]) -> Vec<u32> {
    levels.iter().map(|level| level.next - 1).collect()
}

/// Bytes of what a step found.
pub(crate) fn answer_bytes(answer: &StepAnswer) -> usize {
    match answer {
        StepAnswer::Done | StepAnswer::Value(None) | StepAnswer::Deleted { .. } => 0,
        StepAnswer::Value(Some(bytes)) | StepAnswer::Function(bytes) => bytes.len() + STEP_BYTES,
    }
}

fn run_one<F: Function>(
    map: &mut Transaction<'_>,
    functions: &BTreeMap<FunctionId, F>,
    step: &KvStep,
) -> Result<StepAnswer, Failed> {
    match step {
        KvStep::Nested { .. } => {}
        KvStep::Set { key, value } => map.set(key, value.clone()),
        KvStep::Delete { key } => map.delete(key),
        KvStep::Assert { key, value } => holds(map.get(key) == value.as_deref(), key, StepError::Value)?,
        KvStep::AssertExists { key } => holds(map.get(key).is_some(), key, StepError::Missing)?,
        KvStep::AssertRange { range, expected } => {
            differs(map, range, expected).map_or(Ok(()), |key| Err(Failed::Step(key, StepError::Range)))?;
        }
        KvStep::DeletePrefix { prefix, keys_max } => return Ok(delete_prefix(map, prefix, *keys_max)),
        KvStep::TestAndSet { key, expected, value } => {
            let before = map.get(key).map(<[u8]>::to_vec);
            if before == *expected {
                put(map, key, value.clone());
            }
            return Ok(StepAnswer::Value(before));
        }
        KvStep::Replace { key, value } => {
            let before = map.get(key).map(<[u8]>::to_vec);
            put(map, key, value.clone());
            return Ok(StepAnswer::Value(before));
        }
        KvStep::Function { function, command, .. } => {
            let failed = |why| Failed::Step(Vec::new(), why);
            let hosted = functions.get(function).ok_or_else(|| failed(StepError::NoFunction(*function)))?;
            let answer = hosted.apply(map, command);
            limits::check_answer(answer.as_ref().map_or_else(Vec::len, Vec::len)).map_err(Failed::Bound)?;
            return answer.map(StepAnswer::Function).map_err(|said| failed(StepError::Refused(said)));
        }
    }
    Ok(StepAnswer::Done)
}

fn put(map: &mut Transaction<'_>, key: &[u8], value: Option<Vec<u8>>) {
    match value {
        Some(value) => map.set(key, value),
        None => map.delete(key),
    }
}

fn holds(holds: bool, key: &[u8], why: StepError) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::Step(key.to_vec(), why)) }
}

fn delete_prefix(map: &mut Transaction<'_>, prefix: &[u8], keys_max: u32) -> StepAnswer {
    let range = KvRange::prefix(prefix);
    map.note_first(range.first());
    let mut keys = 0;
    let mut next = first(map, &range).map(|(key, _)| key.to_vec());
    while let Some(key) = next {
        if keys == keys_max {
            return StepAnswer::Deleted { keys, more: true };
        }
        map.delete(&key);
        keys += 1;
        // Behind what was deleted: from the beginning each look would pass all that is gone.
        let behind = map.first(core::ops::Bound::Excluded(&key)).filter(|(key, _)| range.reaches(key));
        next = behind.map(|(key, _)| key.to_vec());
    }
    StepAnswer::Deleted { keys, more: false }
}

/// The first pair of a range.
fn first<'m>(map: &'m dyn OrderedMap, range: &KvRange) -> Option<(&'m [u8], &'m [u8])> {
    map.first(range.first()).filter(|(key, _)| range.reaches(key))
}

/// The first key of a range that is not as expected, or is expected and isn't there.
fn differs(map: &mut Transaction<'_>, range: &KvRange, expected: &KvExpected) -> Option<Vec<u8>> {
    match expected {
        KvExpected::Keys(keys) => differs_from(map, range, keys.iter().map(|key| (key.as_slice(), None))),
        KvExpected::Pairs(pairs) => differs_from(
            map,
            range,
            pairs.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))),
        ),
    }
}

fn differs_from<'a>(
    map: &mut Transaction<'_>,
    range: &KvRange,
    expected: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Option<Vec<u8>> {
    map.note_first(range.first());
    let mut next = first(map, range);
    for (key, value) in expected {
        let is_same = next.is_some_and(|(at, held)| at == key && value.is_none_or(|value| value == held));
        if !is_same {
            let at = next.map(|(at, _)| at).filter(|at| *at < key);
            return Some(at.unwrap_or(key).to_vec());
        }
        map.note_first(core::ops::Bound::Excluded(key));
        next = map.first(core::ops::Bound::Excluded(key)).filter(|(key, _)| range.reaches(key));
    }
    next.map(|(key, _)| key.to_vec())
}

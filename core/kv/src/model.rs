//! Steps and questions against a plain map, step by step as their documentation says it.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Bound;
use formats::kv_store::LoggedCommand;
use formats::message::kv::{
    FunctionId, KvAnswer, KvCommand, KvError, KvExpected, KvFound, KvQuery, KvStep, StepAnswer, StepError,
};
use formats::message::kv_range::KvRange;
use proptest::prelude::*;
use step::{Function, OrderedMap};

use crate::limits::{MAX_COUNTED_KEYS, MAX_RANGE_BYTES, MAX_RANGE_PAIRS, MAX_RECENT_CHANGES};
use crate::state::State;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sets `f` to its command, and refuses an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setter;

impl Function for Setter {
    fn apply(&self, map: &mut dyn OrderedMap, command: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        map.set(b"f", command.to_vec());
        if command.is_empty() { Err(b"empty".to_vec()) } else { Ok(command.to_vec()) }
    }

    fn query(&self, map: &dyn OrderedMap, query: &[u8]) -> Vec<u8> {
        map.get(query).unwrap_or_default().to_vec()
    }
}

const SETTER: FunctionId = FunctionId(3);

/// A sequence as people think of it.
#[derive(Clone, Debug)]
enum Tree {
    Step(KvStep),
    Nested(Vec<Tree>),
}

fn flatten(trees: &[Tree], steps: &mut Vec<KvStep>) {
    for tree in trees {
        match tree {
            Tree::Step(step) => steps.push(step.clone()),
            Tree::Nested(trees) => {
                let at = steps.len();
                steps.push(KvStep::Nested { steps: 0 });
                flatten(trees, steps);
                steps[at] = KvStep::Nested { steps: (steps.len() - at - 1) as u32 };
            }
        }
    }
}

/// The pairs of a range, found by looking at all.
fn in_range(map: &Model, range: &KvRange) -> Vec<(Vec<u8>, Vec<u8>)> {
    let begins = |key: &Vec<u8>| match &range.first {
        Bound::Included(first) => key >= first,
        Bound::Excluded(first) => key > first,
        Bound::Unbounded => true,
    };
    let ends = |key: &Vec<u8>| match &range.last {
        Bound::Included(last) => key <= last,
        Bound::Excluded(last) => key < last,
        Bound::Unbounded => true,
    };
    let pairs = map.iter().filter(|(key, _)| begins(key) && ends(key));
    pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn put(map: &mut Model, key: &[u8], value: &Option<Vec<u8>>) -> Option<Vec<u8>> {
    match value {
        Some(value) => map.insert(key.to_vec(), value.clone()),
        None => map.remove(key),
    }
}

/// The first key at which two lists of pairs differ.
fn first_difference(held: &[(Vec<u8>, Option<Vec<u8>>)], expected: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<u8> {
    let same = held.iter().zip(expected).take_while(|(held, expected)| held == expected).count();
    let keys = [held.get(same), expected.get(same)].into_iter().flatten().map(|(key, _)| key.clone());
    keys.min().expect("they differ")
}

type Failure = (Vec<u32>, Vec<u8>, StepError);

fn run_one(map: &mut Model, step: &KvStep) -> Result<StepAnswer, (Vec<u8>, StepError)> {
    match step {
        KvStep::Set { key, value } => drop(map.insert(key.clone(), value.clone())),
        KvStep::Delete { key } => drop(map.remove(key)),
        KvStep::Assert { key, value } if map.get(key) != value.as_ref() => {
            return Err((key.clone(), StepError::Value));
        }
        KvStep::AssertExists { key } if !map.contains_key(key) => {
            return Err((key.clone(), StepError::Missing));
        }
        KvStep::Assert { .. } | KvStep::AssertExists { .. } => {}
        KvStep::AssertRange { range, expected } => {
            let held = in_range(map, range).into_iter();
            let (held, expected): (Vec<_>, Vec<_>) = match expected {
                KvExpected::Keys(keys) => (
                    held.map(|(key, _)| (key, None)).collect(),
                    keys.iter().map(|key| (key.clone(), None)).collect(),
                ),
                KvExpected::Pairs(pairs) => (
                    held.map(|(key, value)| (key, Some(value))).collect(),
                    pairs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
                ),
            };
            if held != expected {
                return Err((first_difference(&held, &expected), StepError::Range));
            }
        }
        KvStep::DeletePrefix { prefix, keys_max } => {
            let all: Vec<_> = map.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
            let gone: Vec<_> = all.iter().take(*keys_max as usize).collect();
            gone.iter().for_each(|key| drop(map.remove(*key)));
            return Ok(StepAnswer::Deleted { keys: gone.len() as u32, more: gone.len() < all.len() });
        }
        KvStep::TestAndSet { key, expected, value } => {
            let before = map.get(key).cloned();
            if before == *expected {
                put(map, key, value);
            }
            return Ok(StepAnswer::Value(before));
        }
        KvStep::Replace { key, value } => return Ok(StepAnswer::Value(put(map, key, value))),
        KvStep::Function { function, .. } if *function != SETTER => {
            return Err((Vec::new(), StepError::NoFunction(*function)));
        }
        KvStep::Function { command, .. } if command.is_empty() => {
            return Err((Vec::new(), StepError::Refused(b"empty".to_vec())));
        }
        KvStep::Function { command, .. } => {
            map.insert(b"f".to_vec(), command.clone());
            return Ok(StepAnswer::Function(command.clone()));
        }
        KvStep::Nested { .. } => unreachable!("the model has trees"),
    }
    Ok(StepAnswer::Done)
}

fn run(map: &mut Model, trees: &[Tree], path: &[u32], answers: &mut Vec<StepAnswer>) -> Result<(), Failure> {
    for (tree, number) in trees.iter().zip(0..) {
        let path = [path, &[number]].concat();
        match tree {
            Tree::Nested(trees) => {
                answers.push(StepAnswer::Done);
                run(map, trees, &path, answers)?;
            }
            Tree::Step(step) => answers.push(run_one(map, step).map_err(|(key, why)| (path, key, why))?),
        }
    }
    Ok(())
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(255)], 0..3)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..2, 0..2)
}

fn end() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn range() -> impl Strategy<Value = KvRange> {
    let ends = (end(), end()).prop_map(|(first, last)| KvRange { first, last });
    prop_oneof![ends, key().prop_map(|prefix| KvRange::prefix(&prefix))]
}

fn step() -> impl Strategy<Value = KvStep> {
    let maybe = || proptest::option::of(value());
    let keys = proptest::collection::btree_set(key(), 0..3).prop_map(|keys| keys.into_iter().collect());
    let pairs =
        proptest::collection::btree_map(key(), value(), 0..3).prop_map(|pairs| pairs.into_iter().collect());
    let expected = prop_oneof![keys.prop_map(KvExpected::Keys), pairs.prop_map(KvExpected::Pairs)];
    prop_oneof![
        8 => (key(), value()).prop_map(|(key, value)| KvStep::Set { key, value }),
        1 => key().prop_map(|key| KvStep::Delete { key }),
        1 => (key(), maybe()).prop_map(|(key, value)| KvStep::Assert { key, value }),
        1 => key().prop_map(|key| KvStep::AssertExists { key }),
        1 => (range(), expected).prop_map(|(range, expected)| KvStep::AssertRange { range, expected }),
        1 => (key(), 0_u32..4).prop_map(|(prefix, keys_max)| KvStep::DeletePrefix { prefix, keys_max }),
        2 => (key(), maybe(), maybe())
            .prop_map(|(key, expected, value)| KvStep::TestAndSet { key, expected, value }),
        2 => (key(), maybe()).prop_map(|(key, value)| KvStep::Replace { key, value }),
        1 => (3_u16..5, value()).prop_map(|(function, command)| KvStep::Function {
            function: FunctionId(function),
            version: 0,
            command,
        }),
    ]
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let tree = step()
        .prop_map(Tree::Step)
        .prop_recursive(4, 24, 4, |inner| proptest::collection::vec(inner, 0..4).prop_map(Tree::Nested));
    proptest::collection::vec(tree, 0..8)
}

fn apply(state: &mut State<Setter>, command: KvCommand) -> KvAnswer {
    let sequence = state.index + 1;
    state.apply(&LoggedCommand { session: 1, sequence, answered_below: sequence, command })
}

fn empty() -> State<Setter> {
    State::new([(SETTER, Setter)].into())
}

fn found(state: &State<Setter>, query: &KvQuery) -> KvFound {
    match state.query_at(query) {
        KvAnswer::Read { index, found } if index == state.index => found,
        other => panic!("{other:?}"),
    }
}

/// Reads a range page by page.
fn all_pages(
    state: &State<Setter>,
    range: &KvRange,
    is_reverse: bool,
    limit: u32,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut all, mut rest) = (Vec::new(), range.clone());
    loop {
        let query = |keys_only| KvQuery::Page { range: rest.clone(), is_reverse, keys_only, limit };
        let KvFound::Pairs { pairs, more } = found(state, &query(false)) else { panic!("pairs") };
        let keys = pairs.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(found(state, &query(true)), KvFound::Keys { keys, more });
        assert!(pairs.len() <= limit as usize);
        let last = pairs.last().map(|(key, _)| key.clone());
        all.extend(pairs);
        match last.filter(|_| more) {
            Some(last) => rest = rest.behind(last, is_reverse),
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Commands answer, fail and change as the model says; those that were told before of changes know the map.
    #[test]
    fn commands_do_what_the_model_does(commands in proptest::collection::vec(trees(), 0..8), watched in key()) {
        let (mut state, mut model) = (empty(), Model::new());
        let (mut seen, mut through) = (Model::new(), 0);
        for trees in commands {
            let mut steps = Vec::new();
            flatten(&trees, &mut steps);
            let (mut tried, mut answers) = (model.clone(), Vec::new());
            let expected = match run(&mut tried, &trees, &[], &mut answers) {
                Ok(()) => {
                    model = tried;
                    KvAnswer::Applied { index: state.index + 1, answers }
                }
                Err((path, key, why)) => KvAnswer::Failed(KvError::Step { path, key, why }),
            };
            prop_assert_eq!(apply(&mut state, KvCommand::Steps(steps)), expected);
            let pairs: Model = state.map.pairs().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(&pairs, &model);

            let KvFound::Changes { through: now, changes } =
                found(&state, &KvQuery::Watch { prefix: watched.clone(), after: through }) else { panic!("changes") };
            through = now;
            changes.iter().for_each(|(key, value)| drop(put(&mut seen, key, value)));
            let expected: Model = in_range(&model, &KvRange::prefix(&watched)).into_iter().collect();
            prop_assert_eq!(&seen, &expected);
        }
    }

    #[test]
    fn questions_find_what_the_model_has(
        model in proptest::collection::btree_map(key(), value(), 0..12), range in range(), is_reverse: bool,
        keys in proptest::collection::vec(key(), 0..6), limit in 1_u32..5,
    ) {
        let mut state = empty();
        model.iter().for_each(|(key, value)| state.map.set(key, value.clone()));
        let mut expected = in_range(&model, &range);
        prop_assert_eq!(found(&state, &KvQuery::Count { range: range.clone() }), KvFound::Count {
            keys: expected.len() as u64, next: None,
        });
        if is_reverse {
            expected.reverse();
        }
        prop_assert_eq!(all_pages(&state, &range, is_reverse, limit), expected);
        for key in &keys {
            let value = model.get(key).cloned();
            prop_assert_eq!(found(&state, &KvQuery::Exists { key: key.clone() }), KvFound::Exists(value.is_some()));
            prop_assert_eq!(found(&state, &KvQuery::Get { key: key.clone() }), KvFound::Value(value));
        }
        let values = keys.iter().map(|key| model.get(key).cloned()).collect();
        prop_assert_eq!(found(&state, &KvQuery::MultiGet { keys }), KvFound::Values(values));
    }
}

fn set(key: impl AsRef<[u8]>, bytes: usize) -> KvStep {
    KvStep::Set { key: key.as_ref().to_vec(), value: vec![0; bytes] }
}

#[test]
fn pages_are_bounded_by_bytes_and_keys_are_counted_in_parts() {
    let mut state = empty();
    let half = MAX_RANGE_BYTES / 2;
    ["a", "b", "c"].iter().for_each(|key| state.map.set(key.as_bytes(), vec![0; half]));
    let keys = ["a", "b", "c"].map(|key| key.as_bytes().to_vec()).to_vec();
    let KvFound::Values(values) = found(&state, &KvQuery::MultiGet { keys }) else { panic!("values") };
    assert_eq!(values.len(), 2);
    let page = |range| KvQuery::Page { range, is_reverse: false, keys_only: false, limit: u32::MAX };
    let KvFound::Pairs { pairs, more: true } = found(&state, &page(KvRange::ALL)) else { panic!("pairs") };
    assert_eq!(pairs.len(), 1, "keys count too");

    let mut state = empty();
    (0..MAX_COUNTED_KEYS + 1).for_each(|key| state.map.set(&key.to_be_bytes(), vec![]));
    let next = Some(MAX_COUNTED_KEYS.to_be_bytes().to_vec());
    let counted = found(&state, &KvQuery::Count { range: KvRange::ALL });
    assert_eq!(counted, KvFound::Count { keys: MAX_COUNTED_KEYS, next });
    let KvFound::Pairs { pairs, more: true } = found(&state, &page(KvRange::ALL)) else { panic!("pairs") };
    assert_eq!(pairs.len(), MAX_RANGE_PAIRS);
}

/// Old values that are too much for an answer: nothing is changed. One of any size is answered.
#[test]
fn answers_of_steps_are_bounded() {
    let mut state = empty();
    let largest = crate::limits::MAX_VALUE_BYTES;
    ["a", "b"].iter().for_each(|key| state.map.set(key.as_bytes(), vec![0; largest]));
    let replace = |key: &str| KvStep::Replace { key: key.into(), value: None };
    let both = apply(&mut state, KvCommand::Steps(vec![replace("a"), replace("b")]));
    assert!(matches!(both, KvAnswer::Failed(KvError::TooLarge(_))), "{both:?}");
    assert_eq!(state.map.len(), 2);
    let one = apply(&mut state, KvCommand::Steps(vec![replace("a")]));
    assert!(matches!(one, KvAnswer::Applied { index: 2, .. }));
    assert!(crate::session::answer_bytes(&one) > largest);
}

/// Commands from before there were paths are answered as they were.
#[test]
fn a_flat_sequence_is_answered_as_ever() {
    let mut state = empty();
    let sequence = |state: &mut _, steps| apply(state, KvCommand::Sequence(steps));
    assert_eq!(sequence(&mut state, vec![set("a", 1)]), KvAnswer::Done(vec![]));
    let missing = KvStep::AssertExists { key: b"b".to_vec() };
    let failed = KvError::Assert { step: 1, key: b"b".to_vec() };
    assert_eq!(sequence(&mut state, vec![set("a", 2), missing.clone()]), KvAnswer::Failed(failed.clone()));
    let nested = vec![set("a", 2), KvStep::Nested { steps: 1 }, missing];
    assert_eq!(sequence(&mut state, nested), KvAnswer::Failed(failed));
    let unknown = KvStep::Function { function: FunctionId(9), version: 0, command: vec![] };
    assert_eq!(sequence(&mut state, vec![unknown]), KvAnswer::Failed(KvError::NoFunction(FunctionId(9))));
}

/// What a watch can't tell in a page: a command is told whole, and one that is too large for that is missed.
#[test]
fn a_watch_tells_whole_commands_or_says_that_it_missed_some() {
    let mut state = empty();
    let watch = |state: &_, after| found(state, &KvQuery::Watch { prefix: b"k".to_vec(), after });
    let key = |key: usize| [b"k", &key.to_be_bytes()[..]].concat();
    let keys = |from: usize, count: usize| (from..from + count).map(|number| set(key(number), 0)).collect();
    apply(&mut state, KvCommand::Steps(keys(0, 600)));
    apply(&mut state, KvCommand::Steps(keys(600, 600)));
    let KvFound::Changes { through: 1, changes } = watch(&state, 0) else { panic!("changes") };
    assert_eq!(changes.len(), 600);
    let KvFound::Changes { through: 2, changes } = watch(&state, 1) else { panic!("changes") };
    assert_eq!(changes.len(), 600);
    apply(&mut state, KvCommand::Steps(keys(0, MAX_RANGE_PAIRS + 1)));
    assert_eq!(watch(&state, 2), KvFound::Missed);
    apply(&mut state, KvCommand::Steps(vec![set("elsewhere", 1)]));
    assert_eq!(watch(&state, 3), KvFound::Changes { through: 4, changes: vec![] });
    apply(&mut state, KvCommand::Steps(keys(0, MAX_RECENT_CHANGES)));
    assert_eq!(watch(&state, 3), KvFound::Missed);
    assert_eq!(watch(&state, 5), KvFound::Changes { through: 5, changes: vec![] });
    apply(&mut state, KvCommand::Steps(vec![set("k1", crate::limits::MAX_VALUE_BYTES)]));
    assert!(matches!(watch(&state, 5), KvFound::Changes { through: 6, changes } if changes.len() == 1));
}

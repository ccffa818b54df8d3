//! Verbs on the KV. What is long goes to standard output as it comes.

mod backup;
pub(crate) mod bench;
mod dial;
mod groups;
mod print;
mod script;
mod text;

use std::io::Read;
use std::ops::Bound;
use std::path::Path;

use kv_client::{Client, Consistency, Error, KvExpected, KvRange, Scope, StepAnswer, limits};
use serde_json::{Value, json};

use super::ask::QUICK;
use crate::cli::kv::{
    AssertRange, Get, GroupVerb, Key, Prefixed, Reading, Replace, Sequence, Set, TestAndSet,
};
use crate::cli::{CheckBackup, DataVerb, KvPlace};
use crate::failure::{ExitCode, Failure};
use print::{is_json, said};
use text::text;

/// How much of a value a message shows, in characters.
const SHOWN: usize = 200;

pub(crate) fn run(verb: &DataVerb, directory: &Path) -> Result<String, Failure> {
    let place = verb.place();
    match verb {
        DataVerb::Get(get) => self::get(get, directory),
        DataVerb::MultiGet(get) => print::values(get, directory),
        DataVerb::Exists(Key { key, reading }) => {
            let key = bytes(key)?;
            let exists = reader(reading, directory)?.exists(&key).map_err(failure)?;
            Ok(said(place, &exists.to_string(), &json!(exists)))
        }
        DataVerb::Set(set) => self::set(set, directory),
        DataVerb::Delete(change) => {
            let key = bytes(&change.key)?;
            changed(place, directory, |client| client.delete(&key))
        }
        DataVerb::TestAndSet(set) => test_and_set(set, directory),
        DataVerb::Replace(Replace { key, value, .. }) => {
            let (key, value) = (bytes(key)?, maybe(value.as_deref())?);
            old_value(place, directory, |client| client.replace(&key, value.as_deref()))
        }
        DataVerb::Assert(Replace { key, value, .. }) => {
            let (key, value) = (bytes(key)?, maybe(value.as_deref())?);
            changed(place, directory, |client| client.assert(&key, value.as_deref()))
        }
        DataVerb::AssertExists(change) => {
            let key = bytes(&change.key)?;
            changed(place, directory, |client| client.assert_exists(&key))
        }
        DataVerb::AssertRange(AssertRange { prefix, keys, .. }) => {
            let range = KvRange::prefix(&bytes(prefix)?);
            let expected = KvExpected::Keys(keys.iter().map(|key| bytes(key)).collect::<Result<_, _>>()?);
            changed(place, directory, |client| client.assert_range(range, expected))
        }
        DataVerb::Sequence(sequence) => self::sequence(sequence, directory),
        DataVerb::Range(range) => print::range(range, false, directory),
        DataVerb::ReverseRange(range) => print::range(range, true, directory),
        DataVerb::Prefix(prefix) => {
            let range = KvRange::prefix(&bytes(&prefix.prefix)?);
            print::pairs(range, false, &prefix.printed, directory)
        }
        DataVerb::DeletePrefix(prefix) => {
            let prefix = bytes(&prefix.prefix)?;
            let deleted = client(place, directory)?.delete_prefix(&prefix).map_err(failure)?;
            Ok(said(place, &deleted.to_string(), &json!(deleted)))
        }
        DataVerb::Count(Prefixed { prefix, reading }) => {
            let range = KvRange::prefix(&bytes(prefix)?);
            let count = reader(reading, directory)?.count(range).map_err(failure)?;
            Ok(said(place, &count.to_string(), &json!(count)))
        }
        DataVerb::Watch(watch) => print::watch(watch, directory),
        DataVerb::Backup(verb) => backup::take(verb, directory),
        DataVerb::Restore(verb) => backup::restore(verb, directory),
    }
}

/// Makes, drops or lists groups.
pub(crate) fn run_group(verb: &GroupVerb, directory: &Path) -> Result<String, Failure> {
    groups::run(verb, directory)
}

/// Reads a backup through.
pub(crate) fn check_backup(verb: &CheckBackup) -> Result<String, Failure> {
    backup::check(verb)
}

/// A client for users' keys.
fn client(place: &KvPlace, directory: &Path) -> Result<Client, Failure> {
    let mut client = dial::connect(place, directory)?;
    client.wait_for(place.asking.patience(QUICK));
    if let Some(group) = &place.group {
        client.use_group(group).map_err(failure)?;
    }
    Ok(client)
}

/// A client that only reads.
fn reader(reading: &Reading, directory: &Path) -> Result<Client, Failure> {
    let mut client = client(&reading.place, directory)?;
    client.read_with(match reading.at_least {
        Some(index) => Consistency::AtLeast(index),
        None if reading.stale => Consistency::Stale,
        None => Consistency::Linearizable,
    });
    client.within(if reading.whole { Scope::Whole } else { Scope::Users });
    Ok(client)
}

/// A client's error as one line and a code.
fn failure(error: Error) -> Failure {
    let code = match &error {
        Error::Unreachable(_) => ExitCode::NotRunning,
        Error::TimedOut(_) | Error::Unknown | Error::NotYet { .. } => ExitCode::TimedOut,
        Error::Step { .. } | Error::NotAllowed | Error::NotManaged(_) => ExitCode::Refused,
        Error::NoGroup(_) => ExitCode::NotFound,
        Error::TooLarge(_) => ExitCode::Usage,
        Error::TooNew(_)
        | Error::NotKnown
        | Error::Refused(_)
        | Error::NoFunction(_)
        | Error::Nonsense(_) => ExitCode::Failed,
    };
    Failure::new(code, error.to_string())
}

fn bytes(argument: &str) -> Result<Vec<u8>, Failure> {
    text::bytes(argument).map_err(Failure::usage)
}

fn maybe(argument: Option<&str>) -> Result<Option<Vec<u8>>, Failure> {
    argument.map(bytes).transpose()
}

/// What is in a file, or comes from standard input; no more than `most` bytes.
fn read(file: Option<&Path>, most: usize) -> Result<Vec<u8>, Failure> {
    let named = file.filter(|file| *file != Path::new("-"));
    let shown = named.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
    let failed = |error: &std::io::Error| Failure::system(&format!("reading {shown}"), error);
    let mut bytes = Vec::new();
    let read = match named {
        Some(file) => {
            let file = std::fs::File::open(file).map_err(|error| failed(&error))?;
            file.take(most as u64 + 1).read_to_end(&mut bytes)
        }
        None => std::io::stdin().lock().take(most as u64 + 1).read_to_end(&mut bytes),
    };
    match read.map_err(|error| failed(&error))? {
        length if length > most => Err(Failure::usage(format!("{shown} has more than {most} bytes"))),
        _ => Ok(bytes),
    }
}

fn get(get: &Get, directory: &Path) -> Result<String, Failure> {
    let key = bytes(&get.key)?;
    let mut client = reader(&get.reading, directory)?;
    let Some(value) = client.get(&key).map_err(failure)? else {
        return Err(Failure::new(ExitCode::NotFound, format!("there is no key \"{}\"", text(&key))));
    };
    if get.raw {
        print::raw(&value)?;
        return Ok(String::new());
    }
    let index = client.index();
    Ok(said(&get.reading.place, &text(&value), &json!({ "value": text(&value), "index": index })))
}

fn set(set: &Set, directory: &Path) -> Result<String, Failure> {
    let key = bytes(&set.key)?;
    let value = match &set.value {
        Some(value) => bytes(value)?,
        None => read(set.file.as_deref(), limits::MAX_VALUE_BYTES)?,
    };
    changed(&set.place, directory, |client| client.set(&key, &value))
}

/// A change that says nothing but that it was made, and at which index.
fn changed(
    place: &KvPlace,
    directory: &Path,
    change: impl FnOnce(&mut Client) -> Result<(), Error>,
) -> Result<String, Failure> {
    let mut client = client(place, directory)?;
    change(&mut client).map_err(failure)?;
    Ok(if is_json(place) { said(place, "", &json!({ "index": client.index() })) } else { String::new() })
}

/// A change that says what the value was before.
fn old_value(
    place: &KvPlace,
    directory: &Path,
    change: impl FnOnce(&mut Client) -> Result<Option<Vec<u8>>, Error>,
) -> Result<String, Failure> {
    let mut client = client(place, directory)?;
    let old = change(&mut client).map_err(failure)?.map(|old| text(&old));
    if is_json(place) {
        return Ok(said(place, "", &json!({ "old": old, "index": client.index() })));
    }
    Ok(old.map_or(String::new(), |old| old + "\n"))
}

fn test_and_set(set: &TestAndSet, directory: &Path) -> Result<String, Failure> {
    let key = bytes(&set.key)?;
    let (expected, value) = (maybe(set.expect.as_deref())?, maybe(set.value.as_deref())?);
    let mut other = None;
    let printed = old_value(&set.place, directory, |client| {
        let old = client.test_and_set(&key, expected.as_deref(), value.as_deref())?;
        other = (old != expected).then(|| old.clone());
        Ok(old)
    })?;
    let Some(old) = other else { return Ok(printed) };
    let has = match old {
        Some(old) => format!("has \"{}\"", text(&old).chars().take(SHOWN).collect::<String>()),
        None => "is not there".to_owned(),
    };
    let why = format!("\"{}\" {has}, which is not what is expected; nothing was changed", text(&key));
    Err(Failure::refused(why))
}

fn sequence(sequence: &Sequence, directory: &Path) -> Result<String, Failure> {
    // Escapes make a script longer than what it stands for.
    let script = read(sequence.file.as_deref(), 4 * limits::MAX_COMMAND_BYTES)?;
    let script =
        String::from_utf8(script).map_err(|_| Failure::usage("the steps are no UTF-8 text: write \\xNN"))?;
    let (steps, paths) = script::parse(&script).map_err(Failure::usage)?;
    let mut client = client(&sequence.place, directory)?;
    let answers = client.sequence(steps).map_err(failure)?;
    let found: Vec<_> =
        paths.iter().zip(&answers).filter_map(|(path, answer)| Some((path, told(answer)?))).collect();
    if is_json(&sequence.place) {
        let found: Vec<_> =
            found.iter().map(|(path, (_, value))| json!({ "step": path, "found": value })).collect();
        return Ok(said(&sequence.place, "", &json!({ "index": client.index(), "answers": found })));
    }
    Ok(found.iter().map(|(path, (shown, _))| format!("{path}\t{shown}\n")).collect())
}

/// What a step found, where it says anything.
fn told(answer: &StepAnswer) -> Option<(String, Value)> {
    match answer {
        StepAnswer::Done => None,
        StepAnswer::Value(None) => Some(("-".to_owned(), Value::Null)),
        StepAnswer::Value(Some(value)) | StepAnswer::Function(value) => {
            let value = text(value);
            Some((value.clone(), json!(value)))
        }
        StepAnswer::Deleted { keys, more } => {
            let shown = format!("{keys}{}", if *more { " and there are more" } else { "" });
            Some((shown, json!({ "keys": keys, "more": more })))
        }
    }
}

/// A range of the command line.
fn bounds(range: &crate::cli::kv::Range) -> Result<KvRange, Failure> {
    let end = |key: &Option<String>, is_excluded: bool| {
        Ok::<_, Failure>(match maybe(key.as_deref())? {
            None => Bound::Unbounded,
            Some(key) if is_excluded => Bound::Excluded(key),
            Some(key) => Bound::Included(key),
        })
    };
    let (first, last) = (end(&range.first, range.exclude_first)?, end(&range.last, range.exclude_last)?);
    Ok(KvRange { first, last })
}

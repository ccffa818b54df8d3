//! What goes to standard output: a line for each pair, text or JSON.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use kv_client::{Event, KvRange};
use serde_json::{Value, json};

use super::text::text;
use super::{bounds, bytes, client, failure, reader};
use crate::cli::KvPlace;
use crate::cli::kv::{MultiGet, Printed, Range, Watch};
use crate::failure::Failure;

/// Whether JSON is wanted.
pub(super) fn is_json(place: &KvPlace) -> bool {
    place.asking.json
}

/// One line.
pub(super) fn said(place: &KvPlace, shown: &str, value: &Value) -> String {
    if is_json(place) { format!("{value}\n") } else { format!("{shown}\n") }
}

/// A line for a key and its value; `-` alone, or null, for none.
pub(super) fn pair(place: &KvPlace, key: &[u8], value: Option<&[u8]>) -> String {
    let (key, value) = (text(key), value.map(text));
    match is_json(place) {
        true => format!("{}\n", json!({ "key": key, "value": value })),
        false => value.map_or_else(|| format!("{key}\n"), |value| format!("{key}\t{value}\n")),
    }
}

/// Bytes as they are.
pub(super) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush())).map(drop)
}

/// Whether somebody still reads. A reader that left, as `head` does, has what it wanted.
fn written(result: std::io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::system("writing to standard output", &error)),
    }
}

pub(super) fn range(range: &Range, is_reverse: bool, directory: &Path) -> Result<String, Failure> {
    pairs(bounds(range)?, is_reverse, &range.printed, directory)
}

/// Prints pairs as they come, so that a range of any size needs a page of memory.
pub(super) fn pairs(
    range: KvRange,
    is_reverse: bool,
    printed: &Printed,
    directory: &Path,
) -> Result<String, Failure> {
    let place = &printed.reading.place;
    let mut client = reader(&printed.reading, directory)?;
    let most = printed.limit.unwrap_or(usize::MAX);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut line = |line: String| written(out.write_all(line.as_bytes()));
    if printed.keys_only {
        for key in client.keys(range, is_reverse).take(most) {
            let key = key.map_err(failure)?;
            let shown = text(&key);
            if !line(said(place, &shown, &json!(shown)))? {
                return Ok(String::new());
            }
        }
    } else {
        for found in client.range(range, is_reverse).take(most) {
            let (key, value) = found.map_err(failure)?;
            if !line(pair(place, &key, Some(&value)))? {
                return Ok(String::new());
            }
        }
    }
    written(out.flush()).map(|_| String::new())
}

/// Prints the values of keys as they come, so that any number of them needs one answer's memory.
pub(super) fn values(get: &MultiGet, directory: &Path) -> Result<String, Failure> {
    let keys: Vec<_> = get.keys.iter().map(|key| bytes(key)).collect::<Result<_, _>>()?;
    let mut client = reader(&get.reading, directory)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rest = &keys[..];
    while !rest.is_empty() {
        let values = client.first_values(rest).map_err(failure)?;
        let (told, others) = rest.split_at(values.len());
        for (key, value) in told.iter().zip(values) {
            let line = pair(&get.reading.place, key, value.as_deref());
            if !written(out.write_all(line.as_bytes()))? {
                return Ok(String::new());
            }
        }
        rest = others;
    }
    written(out.flush()).map(|_| String::new())
}

/// Prints changes as they come.
pub(super) fn watch(watch: &Watch, directory: &Path) -> Result<String, Failure> {
    let (prefix, mut left) = (bytes(&watch.prefix)?, watch.limit.unwrap_or(usize::MAX));
    let mut client = client(&watch.place, directory)?;
    let after = match watch.after {
        Some(after) => after,
        None => {
            // From what is there now on: the index of a read tells.
            client.exists(&prefix).map_err(failure)?;
            client.index()
        }
    };
    let mut after = after;
    for event in client.watch(&prefix, after) {
        let lines = match event.map_err(failure)? {
            Event::Missed { through } => {
                return Err(Failure::refused(format!(
                    "too much was changed to tell it all: read the range anew, then watch on with --after {through}"
                )));
            }
            Event::Changed { changes, through } => {
                let lines = changed(&watch.place, &changes, left, (after, through));
                (left, after) = (left.saturating_sub(changes.len()), through);
                lines
            }
        };
        let mut out = std::io::stdout().lock();
        if !written(out.write_all(lines.as_bytes()).and_then(|()| out.flush()))? || left == 0 {
            break;
        }
    }
    Ok(String::new())
}

/// A line for each of the first changes that were told together. As JSON each says behind which command a watch that ended
/// with it goes on: whoever has heard only some of them hears all of them again.
fn changed(
    place: &KvPlace,
    changes: &[(Vec<u8>, Option<Vec<u8>>)],
    most: usize,
    (before, through): (u64, u64),
) -> String {
    let line = |(index, (key, value)): (usize, &(Vec<u8>, Option<Vec<u8>>))| {
        if !is_json(place) {
            return pair(place, key, value.as_deref());
        }
        let after = if index + 1 == changes.len() { through } else { before };
        format!("{}\n", json!({ "key": text(key), "value": value.as_deref().map(text), "after": after }))
    };
    changes.iter().enumerate().take(most).map(line).collect()
}

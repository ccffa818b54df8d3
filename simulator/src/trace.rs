//! A readable account of a run, kept only when asked for: a failing seed runs again with it.

use core::fmt::Debug;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use formats::message::member::MemberBody;
use formats::{Effect, Event, Message, Payload};
use glossary::GroupId;
use step::{DiskOperation, DiskOutcome};

use crate::Moment;

/// How much of an account is kept. Copies share it, so that it outlives a run that panics.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// How many lines are kept, the last ones; none: no account at all.
    keep: usize,
    /// Nothing after this moment is kept.
    until: Moment,
}

/// Characters of a line; what is longer is cut.
const LINE: usize = 220;

impl Trace {
    /// An account of the last `keep` lines before a moment.
    pub fn new(keep: usize, until: Moment) -> Self {
        Trace { keep, until, ..Trace::default() }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.keep > 0
    }

    /// Adds a line; it is made only when it is kept.
    pub fn say(&mut self, now: Moment, line: impl FnOnce() -> String) {
        if self.keep == 0 || now > self.until {
            return;
        }
        let mut text = format!("{now} {}", line());
        if let Some((cut, _)) = text.char_indices().nth(LINE) {
            text.truncate(cut);
            text.push_str(" ...");
        }
        let mut lines = self.lines.lock().expect("nobody panics while writing a line");
        if lines.len() == self.keep {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// The lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics while writing a line").iter().cloned().collect()
    }
}

/// An event in few words.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Start { .. } => "start".into(),
        Event::Message { message, .. } => message_text(message),
        Event::Disk { operation, result } => {
            let result = match result {
                Ok(DiskOutcome::Read(bytes)) => format!("read {} bytes", bytes.len()),
                Ok(DiskOutcome::Listed(files)) => format!("{} files", files.len()),
                Ok(DiskOutcome::Done) => "done".into(),
                Ok(DiskOutcome::Pairs { pairs, .. }) => format!("{} pairs", pairs.len()),
                other => format!("{other:?}"),
            };
            format!("disk {}: {result}", operation.0)
        }
        Event::Worked { job, .. } => format!("work {} done", job.0),
        Event::Timer(timer) => format!("timer {}", timer.0),
        Event::TurnEnd => "turn end".into(),
    }
}

/// An effect in few words; `name` names nodes.
pub(crate) fn effect(effect: &Effect, name: impl Fn(glossary::NodeId) -> String) -> String {
    match effect {
        Effect::Send { to, message } => format!("to {}: {}", name(*to), message_text(message)),
        Effect::Disk { operation, what } => format!("disk {}: {}", operation.0, operation_text(what)),
        Effect::Work { job, work } => format!("work {}: {}", job.0, head(work)),
        Effect::SetTimer { timer, after } => format!("timer {} in {after:?}", timer.0),
        Effect::ClearTimer(timer) => format!("timer {} cleared", timer.0),
        Effect::Halt { reason } => format!("HALT: {reason}"),
    }
}

fn length(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

fn operation_text(what: &DiskOperation) -> String {
    match what {
        DiskOperation::Write { file, offset, pieces } => {
            format!("write {file} {offset}+{}", length(pieces))
        }
        DiskOperation::WriteThrough { file, offset, pieces } => {
            format!("write through {file} {offset}+{}", length(pieces))
        }
        DiskOperation::Read { file, offset, length } => format!("read {file} {offset}+{length}"),
        DiskOperation::Create { file } => format!("create {file}"),
        DiskOperation::Delete { file } => format!("delete {file}"),
        DiskOperation::Sync { file } => format!("sync {file}"),
        DiskOperation::List => "list".into(),
        DiskOperation::Space => "space".into(),
        DiskOperation::Commit { table, changes } => format!("commit {table}: {} changes", changes.len()),
        DiskOperation::ReadOn { table, after, .. } => format!("read on {table} after {after:?}"),
    }
}

/// A message in few words: its payload by its length.
pub(crate) fn message_text(message: &Message) -> String {
    let (group, said) = match message {
        Message::Member(said) => (GroupId::ROOT, said),
        Message::MemberOf(said) => (said.group, &said.message),
        _ => return head_of(message),
    };
    match &said.body {
        MemberBody::Addressed { from, to, message } => {
            format!("member {from} of group {group} to {to}: {}", head(message))
        }
        body => format!("member of group {group}: {}", head(body)),
    }
}

fn head_of(message: &Message) -> String {
    let mut short = message.clone();
    let length = short.payload_mut().map(|payload| {
        let length = payload.len();
        *payload = Payload::default();
        length
    });
    let text = head(&short);
    length.filter(|length| *length > 0).map_or(text.clone(), |length| format!("{text} + {length} bytes"))
}

/// The start of what `Debug` says.
fn head(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.char_indices().nth(160).map_or(text.len(), |(end, _)| end);
    text[..end].replace("payload: Payload { pieces: One(b\"\"), crcs: Many([]) }", "").replace(", }", " }")
}

//! Where the library's log lines go: nowhere, or to the caller.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use slog::{Drain, KV, Level, Logger, Never, OwnedKVList, Record, o};

/// Receives log lines. Must not call back into the group.
pub type LogSink = Arc<dyn Fn(Severity, &str) + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Every message.
    Detail,
    /// Elections, changes of membership, snapshots.
    Event,
    /// Something unusual.
    Warning,
}

pub(super) fn logger(sink: Option<LogSink>) -> Logger {
    match sink {
        Some(sink) => Logger::root(Lines(sink), o!()),
        None => Logger::root(slog::Discard, o!()),
    }
}

struct Lines(LogSink);

impl Drain for Lines {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        let severity = match record.level() {
            Level::Critical | Level::Error | Level::Warning => Severity::Warning,
            Level::Info => Severity::Event,
            Level::Debug | Level::Trace => Severity::Detail,
        };
        let mut line = Line(record.msg().to_string());
        // Writing into a string cannot fail, and a value that cannot be shown is left out.
        let _ = record.kv().serialize(record, &mut line);
        (self.0)(severity, &line.0);
        Ok(())
    }
}

/// Collects the values of a record behind its text.
struct Line(alloc::string::String);

impl slog::Serializer for Line {
    fn emit_arguments(&mut self, key: slog::Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.0.push_str(&format!(", {key}: {value}"));
        Ok(())
    }
}

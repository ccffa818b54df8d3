//! The audit trail: who asked for what, and what came of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

/// Lines that wait for the disk. Verbs are for people; who asks faster than this is told to ask again.
const WAITING_MAX: usize = 1024;

/// Why there is no audit trail.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail {} can't be written: {source}; verbs of management need it", path.display())]
pub struct AuditError {
    path: PathBuf,
    source: io::Error,
}

/// Appends a line of JSON for each verb that is asked for and for each answer. A thread of its own writes and syncs,
/// so that no verb holds up a shard; who asks is told when the trail can't keep up, and nothing was done.
pub struct Audit {
    lines: Option<SyncSender<String>>,
}

/// What is written into the trail.
pub(crate) struct Entry<'a> {
    /// Who: the name in a certificate, or the user on this machine.
    pub(crate) who: &'a str,
    /// Through which door.
    pub(crate) door: &'a str,
    /// The asker's number for the request.
    pub(crate) request: u64,
    /// What is asked for.
    pub(crate) verb: &'a str,
    /// What came of it; `None`: it was asked for.
    pub(crate) outcome: Option<&'a str>,
}

impl Audit {
    /// Appends to a file, which is made for its owner alone.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |source| AuditError { path: path.to_owned(), source };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        let path = path.to_owned();
        let writer = std::thread::Builder::new().name("audit".into());
        writer
            .spawn(move || write_all(file, &path, &waiting))
            .map_err(|source| AuditError { path: PathBuf::new(), source })?;
        Ok(Audit { lines: Some(lines) })
    }

    /// Nothing is written.
    pub fn none() -> Self {
        Audit { lines: None }
    }

    /// Takes an entry; whether it will be written.
    #[must_use]
    pub(crate) fn log(&self, entry: &Entry<'_>) -> bool {
        let Some(lines) = &self.lines else { return true };
        let milliseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let line = json!({
            "at_unix_ms": u64::try_from(milliseconds).unwrap_or(u64::MAX),
            "who": entry.who,
            "door": entry.door,
            "request": entry.request,
            "verb": entry.verb,
            "outcome": entry.outcome,
        });
        match lines.try_send(format!("{line}\n")) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Writes until nobody has anything to say any more, or the disk fails: then nothing is taken any more.
fn write_all(mut file: File, path: &Path, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "{} can't be written: verbs of management are refused", path.display());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_lines_of_json_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, "before\n").unwrap();
        let audit = Audit::open(&path).unwrap();
        let entry = Entry { who: "ann\n", door: "kv.sock", request: 7, verb: "Add(3)", outcome: None };
        assert!(audit.log(&entry) && audit.log(&Entry { outcome: Some("done"), ..entry }));
        drop(audit);
        let text = loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() == 3 {
                break text;
            }
            std::thread::yield_now();
        };
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "before");
        let asked: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!((&asked["who"], &asked["outcome"]), (&json!("ann\n"), &json!(null)));
        let answered: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
        assert_eq!((&answered["verb"], &answered["outcome"]), (&json!("Add(3)"), &json!("done")));
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Audit::open(&folder.path().join("missing/audit.log")).map(drop).unwrap_err();
        assert!(error.to_string().contains("audit.log can't be written"), "{error}");
    }
}

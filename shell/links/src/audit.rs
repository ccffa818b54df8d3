//! The audit trail: who asked for what, and what came of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::AUDIT_FILES;

/// Lines that wait for the disk. Verbs are for people; who asks faster than this is told to ask again.
const WAITING_MAX: usize = 1024;

/// A file that would become longer makes room for another.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How long to wait before a line that could not be written is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

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
    /// Whether the last line that was written could be.
    writes: Arc<AtomicBool>,
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
        Self::open_up_to(path, FILE_BYTES_MAX)
    }

    fn open_up_to(path: &Path, bytes_max: u64) -> Result<Self, AuditError> {
        let failed = |source| AuditError { path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let trail = Trail { file, path: path.to_owned(), bytes, bytes_max };
        let ((lines, waiting), writes) = (sync_channel(WAITING_MAX), Arc::new(AtomicBool::new(true)));
        let writer = std::thread::Builder::new().name("audit".into());
        let is_written = Arc::clone(&writes);
        writer.spawn(move || trail.write_all(&waiting, &is_written)).map_err(failed)?;
        Ok(Audit { lines: Some(lines), writes })
    }

    /// Nothing is written.
    pub fn none() -> Self {
        Audit { lines: None, writes: Arc::default() }
    }

    /// Takes an entry; whether it will be written.
    #[must_use]
    pub(crate) fn log(&self, entry: &Entry<'_>) -> bool {
        let Some(lines) = &self.lines else { return true };
        if !self.writes.load(Ordering::Relaxed) {
            return false;
        }
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

/// The file, behind what is in it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// A full file makes room: it becomes the newest of those that are kept, and the oldest of them goes.
fn rotate(path: &Path) -> io::Result<File> {
    let files = AUDIT_FILES.map(|name| path.with_file_name(name));
    for pair in files.windows(2).rev().filter(|pair| pair[0].exists()) {
        std::fs::rename(&pair[0], &pair[1])?;
    }
    let file = open(path)?;
    // The names too, before a line in the new file counts.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(file)
}

/// The file that is written, and what is in it.
struct Trail {
    file: File,
    path: PathBuf,
    bytes: u64,
    bytes_max: u64,
}

impl Trail {
    /// Writes a line whole, or takes back what came of it.
    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.bytes + line.len() as u64 > self.bytes_max && self.bytes > 0 {
            self.file = rotate(&self.path)?;
            self.bytes = self.file.metadata()?.len();
        }
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            Err(_) => self.file.set_len(self.bytes)?,
        }
        written
    }

    /// Writes until nobody has anything to say any more. Where the disk fails, or is full, nothing is taken until what was
    /// taken before is written.
    fn write_all(mut self, lines: &Receiver<String>, writes: &AtomicBool) {
        while let Ok(line) = lines.recv() {
            while let Err(error) = self.write(&line) {
                if writes.swap(false, Ordering::Relaxed) {
                    let path = self.path.display();
                    tracing::error!(%error, "{path} can't be written: verbs of management are refused until it can");
                }
                std::thread::sleep(TRY_AGAIN);
            }
            if !writes.swap(true, Ordering::Relaxed) {
                tracing::info!("{} is written again", self.path.display());
            }
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
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        // Each line alone in its file.
        let audit = Audit::open_up_to(&path, 100).unwrap();
        for request in 0..12 {
            let entry = Entry { who: "ann", door: "kv.sock", request, verb: "Add(3)", outcome: None };
            assert!(audit.log(&entry));
        }
        drop(audit);
        let request = |file: &Path| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = serde_json::from_str::<serde_json::Value>(text.trim()).ok();
            line.and_then(|line| line["request"].as_u64())
        };
        while request(&path) != Some(11) {
            std::thread::yield_now();
        }
        for number in 1..=9 {
            assert_eq!(
                request(&path.with_added_extension(number.to_string())),
                Some(11 - number),
                "{number}"
            );
        }
        assert!(!path.with_added_extension("10").exists());
    }

    #[test]
    fn a_disk_that_fails_for_a_while_costs_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open_up_to(&path, 1).unwrap();
        // A folder stands where a file would go.
        let in_the_way = path.with_added_extension("9");
        std::fs::create_dir_all(in_the_way.join("held")).unwrap();
        std::fs::write(path.with_added_extension("8"), "old").unwrap();
        let entry = |request| Entry { who: "ann", door: "kv.sock", request, verb: "Add(3)", outcome: None };
        assert!(audit.log(&entry(0)) && audit.log(&entry(1)));
        while audit.writes.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        assert!(!audit.log(&entry(2)), "it can't be written now");
        std::fs::remove_dir_all(in_the_way).unwrap();
        while !audit.writes.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let has = |name: &str, request: &str| {
            std::fs::read_to_string(folder.path().join(name)).is_ok_and(|text| text.contains(request))
        };
        assert!(has("audit.log.1", "\"request\":0") && has("audit.log", "\"request\":1"));
        assert!(audit.log(&entry(3)));
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = Audit::open(&folder.path().join("missing/audit.log")).map(drop).unwrap_err();
        assert!(error.to_string().contains("audit.log can't be written"), "{error}");
    }
}

//! How far a long verb is, on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use api::Client;
use glossary::{ByteCount, VdiskName};

/// How often the line is written anew.
const STEP: Duration = Duration::from_millis(500);

/// How long the question for the line may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does `work`; where a terminal shows standard error, it says meanwhile how much isn't safe yet.
pub(super) fn with_progress<T: Send>(
    directory: &std::path::Path,
    name: Option<&VdiskName>,
    work: impl FnOnce() -> T + Send,
) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let watcher = Client::new(directory, PATIENCE);
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                if let Some(left) = left(&watcher, name) {
                    say(&format!("{left} to go"));
                }
            }
            say("");
        });
        let result = work();
        drop(done);
        result
    })
}

fn left(watcher: &Client, name: Option<&VdiskName>) -> Option<ByteCount> {
    let vdisks = watcher.vdisks().ok()?;
    let asked = vdisks.iter().filter(|vdisk| name.is_none_or(|name| vdisk.name == *name));
    Some(ByteCount(asked.map(|vdisk| vdisk.unsafe_bytes.0).sum()))
}

/// Replaces the line. A terminal that can't be written to is nobody's loss.
fn say(text: &str) {
    let mut terminal = std::io::stderr();
    let _ = write!(terminal, "\r\x1b[K{text}");
    let _ = terminal.flush();
}

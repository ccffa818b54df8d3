//! Waiting for the signals that end a cluster: SIGINT and SIGTERM.

use std::io;
use std::sync::mpsc;

use crate::failure::{ExitCode, Failure};

/// Told when the process is asked to end.
pub(crate) struct Signals {
    asked: mpsc::Receiver<()>,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let (tell, asked) = mpsc::channel();
        let handler = move || {
            let _ = tell.send(());
        };
        ctrlc::set_handler(handler)
            .map_err(|error| Failure::system("catching signals", &io::Error::other(error)))?;
        Ok(Signals { asked })
    }

    /// Waits until one comes.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        self.asked.recv().map_err(|_| Failure::new(ExitCode::Failed, "signals can no longer be heard"))
    }
}

//! Waiting for the signals that end a cluster: SIGINT and SIGTERM.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

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

    /// Waits so long for one; whether it came.
    pub(crate) fn wait_for(&self, patience: Duration) -> Result<bool, Failure> {
        match self.asked.recv_timeout(patience) {
            Ok(()) => Ok(true),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(false),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(Failure::new(ExitCode::Failed, "signals can no longer be heard"))
            }
        }
    }

    /// Waits until one comes.
    pub(crate) fn wait(&self) -> Result<(), Failure> {
        self.asked.recv().map_err(|_| Failure::new(ExitCode::Failed, "signals can no longer be heard"))
    }
}

//! Asking the cluster of a directory, and saying what went wrong.

use std::path::Path;
use std::time::Duration;

use api::{Client, ClientError, Kind, Refusal};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Asking;
use crate::failure::{ExitCode, Failure};

/// How long a question takes at most.
pub(super) const QUICK: Duration = Duration::from_secs(30);

/// How long what moves data takes at most.
pub(super) const SLOW: Duration = Duration::from_secs(60 * 60);

/// Asks the cluster of a directory.
pub(super) fn ask<T>(
    asking: &Asking,
    directory: &Path,
    usual: Duration,
    question: impl FnOnce(&Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let client = Client::new(directory, asking.patience(usual));
    question(&client).map_err(|error| explain(error, directory))
}

/// A client's error as one line and a code.
pub(super) fn explain(error: ClientError, directory: &Path) -> Failure {
    let is_server = ["member", "servers"].iter().any(|name| directory.join(name).exists());
    let directory = directory.display();
    match error {
        ClientError::NotRunning if is_server => Failure::new(
            ExitCode::NotRunning,
            format!(
                "no vDisks are served on {directory}, the data of a server: `ovs serve` serves them there if roles names \
                 volume-driver and edge, and says what it waits for"
            ),
        ),
        ClientError::NotRunning => Failure::new(
            ExitCode::NotRunning,
            format!("no cluster is running on {directory}: start one with `ovs up --dir {directory}`"),
        ),
        ClientError::Denied(error) => Failure::new(
            ExitCode::System,
            format!("the cluster on {directory} belongs to another user ({error}): ask as that user"),
        ),
        ClientError::TimedOut => Failure::new(
            ExitCode::TimedOut,
            format!("the cluster on {directory} did not answer in time: allow more with --timeout"),
        ),
        ClientError::Refused(refusal) => refused(refusal),
        ClientError::Broken(_) | ClientError::Nonsense(_) => {
            Failure::new(ExitCode::Failed, format!("{error}: look at the log of `ovs up --dir {directory}`"))
        }
    }
}

fn refused(refusal: Refusal) -> Failure {
    let code = match refusal.kind {
        Kind::Invalid => ExitCode::Usage,
        Kind::NotFound => ExitCode::NotFound,
        Kind::Conflict => ExitCode::Refused,
        Kind::TimedOut => ExitCode::TimedOut,
        Kind::Unavailable | Kind::Failed => ExitCode::Failed,
    };
    let Refusal { error, hint, .. } = refusal;
    Failure::new(code, hint.map_or(error.clone(), |hint| format!("{error}: {hint}")))
}

/// What a verb says when it has done something: a sentence, or JSON.
pub(super) fn done(asking: &Asking, sentence: String, value: &Value) -> String {
    if asking.json { pretty(value) } else { sentence + "\n" }
}

/// JSON for people and programs.
pub(super) fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("what the API says can be said again") + "\n"
}

/// A failure as one line of JSON.
pub(crate) fn failure_json(failure: &Failure) -> String {
    json!({ "error": failure.message, "exit_code": failure.code as u8 }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let explained = |error| explain(error, Path::new("./data"));
        let failure = explained(ClientError::NotRunning);
        assert_eq!(failure.code, ExitCode::NotRunning);
        assert_eq!(failure.message, "no cluster is running on ./data: start one with `ovs up --dir ./data`");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("servers"), "").unwrap();
        let failure = explain(ClientError::NotRunning, folder.path());
        assert!(failure.message.contains("`ovs serve` serves them there"), "{failure}");
        let denied = explained(ClientError::Denied(std::io::ErrorKind::PermissionDenied.into()));
        assert_eq!((denied.code, denied.message.contains("another user")), (ExitCode::System, true));
        let late = explained(ClientError::TimedOut);
        assert_eq!((late.code, late.message.contains("--timeout")), (ExitCode::TimedOut, true));
        let broken = explained(ClientError::Broken(std::io::ErrorKind::UnexpectedEof.into()));
        assert_eq!((broken.code, broken.message.contains("the log")), (ExitCode::Failed, true));
    }

    #[test]
    fn kinds_have_codes_and_hints_follow() {
        for (kind, code) in [
            (Kind::Invalid, ExitCode::Usage),
            (Kind::NotFound, ExitCode::NotFound),
            (Kind::Conflict, ExitCode::Refused),
            (Kind::TimedOut, ExitCode::TimedOut),
            (Kind::Unavailable, ExitCode::Failed),
            (Kind::Failed, ExitCode::Failed),
        ] {
            assert_eq!(refused(Refusal::new(kind, "no")), Failure::new(code, "no"));
        }
        let hinted = refused(Refusal::new(Kind::Conflict, "it is taken").hint("choose another"));
        assert_eq!(hinted.message, "it is taken: choose another");
    }
}

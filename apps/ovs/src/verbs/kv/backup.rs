//! Taking backups, looking at them, restoring them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use formats::kv_backup::{Backup as Contents, Section};
use kv_client::{BackupFailure, Consistency, Scope, Taken};
use serde_json::json;

use super::print::said;
use super::{client, failure};
use crate::cli::{Backup, CheckBackup, Restore};
use crate::failure::{ExitCode, Failure};

/// Takes a backup. Its file is there whole or not at all.
pub(super) fn take(verb: &Backup, directory: &Path) -> Result<String, Failure> {
    let file = verb.file.display();
    if verb.file.exists() {
        return Err(Failure::refused(format!("{file} is there already: name a new file")));
    }
    let mut client = client(&verb.place, directory)?;
    client.within(scope(verb.whole));
    if verb.stale {
        client.read_with(Consistency::Stale);
    }
    let (partial, writing) = (verb.file.with_added_extension("partial"), format!("writing {file}"));
    let system = |error: &std::io::Error| Failure::system(&writing, error);
    let mut out = BufWriter::new(File::create(&partial).map_err(|error| system(&error))?);
    let taken = client.back_up(&mut out).map_err(refused);
    let kept = taken
        .and_then(|taken| keep(out, &partial, &verb.file).map_err(|error| system(&error)).map(|()| taken));
    let Taken { index, groups, bytes } = kept.inspect_err(|_| {
        // What could not be finished is of no use.
        let _ = std::fs::remove_file(&partial);
    })?;
    let others = if groups == 0 { String::new() } else { format!(", and {groups} more groups") };
    let sentence = format!("{file} holds the KV as it was at command {index}{others}, in {bytes} bytes");
    let value = json!({ "done": "backup", "index": index, "groups": groups, "bytes": bytes });
    Ok(said(&verb.place, &sentence, &value))
}

fn keep(out: BufWriter<File>, partial: &Path, file: &Path) -> std::io::Result<()> {
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(partial, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Restores a backup.
pub(super) fn restore(verb: &Restore, directory: &Path) -> Result<String, Failure> {
    let bytes = bytes_of(&verb.file)?;
    let mut client = client(&verb.place, directory)?;
    client.within(scope(verb.whole));
    let pairs = client.restore(&bytes).map_err(refused)?;
    let sentence = format!("restored {pairs} keys of {}", verb.file.display());
    Ok(said(&verb.place, &sentence, &json!({ "done": "restore", "keys": pairs })))
}

/// Reads a backup through, and says what is in it.
pub(super) fn check(verb: &CheckBackup) -> Result<String, Failure> {
    let read = Contents::read(&bytes_of(&verb.file)?);
    let contents = read.map_err(|error| Failure::refused(format!("{}: {error}", verb.file.display())))?;
    let (cluster, keys, index) = (contents.cluster, contents.first.pairs.len(), contents.first.index);
    if verb.json {
        let group = |(name, group): (&String, &Section)| json!({ "group": name, "index": group.index, "keys": group.pairs.len() });
        let groups: Vec<_> = contents.groups.iter().map(group).collect();
        let value = json!({
            "cluster": cluster.to_string(), "whole": contents.is_whole, "index": index, "keys": keys, "groups": groups,
        });
        return Ok(format!("{value}\n"));
    }
    let what = if contents.is_whole { "the whole map" } else { "users' keys" };
    let mut text =
        format!("sound: {keys} keys ({what}) of cluster {cluster}, as they were at command {index}\n");
    for (name, Section { index, pairs }) in &contents.groups {
        text += &format!("group {name}: {} keys, as they were at command {index}\n", pairs.len());
    }
    Ok(text)
}

fn bytes_of(file: &Path) -> Result<bytes::Bytes, Failure> {
    let read = std::fs::read(file);
    Ok(read.map_err(|error| Failure::system(&format!("reading {}", file.display()), &error))?.into())
}

fn scope(whole: bool) -> Scope {
    if whole { Scope::Whole } else { Scope::Users }
}

fn refused(why: BackupFailure) -> Failure {
    let code = match why {
        BackupFailure::Kv(error) => return failure(error),
        BackupFailure::Write(_) => ExitCode::System,
        BackupFailure::Missed | BackupFailure::VdiskMade => ExitCode::Failed,
        BackupFailure::Read(_)
        | BackupFailure::OtherScope(_)
        | BackupFailure::NotEmpty(_)
        | BackupFailure::HalfRestored
        | BackupFailure::OfGroups
        | BackupFailure::OtherCluster(_)
        | BackupFailure::AnotherUnderWay => ExitCode::Refused,
    };
    Failure::new(code, why.to_string())
}

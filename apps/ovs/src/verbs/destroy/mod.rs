//! `ovs destroy`: removes a cluster that does not run, and nothing else.
//!
//! Everything is reached from the directory's descriptor, one name at a time, never through a link. What is
//! removed has a name that we give and lies in a folder whose identity file names this cluster.

mod folder;
mod names;

use std::path::{Path, PathBuf};

use formats::identity::{Folder as Kind, Identity, IdentityError};
use glossary::ClusterIdentity;
use rustix::io::Errno;
use serde_json::json;

use self::folder::{Folder, Removed};
use super::ask::pretty;
use super::confirm::confirm;
use crate::cli::Destroy;
use crate::failure::{ExitCode, Failure};

/// Names of what was left that are shown.
const LEFT_SHOWN: usize = 10;

/// Destroys.
pub(crate) fn run(arguments: &Destroy) -> Result<String, Failure> {
    destroy(arguments, |name, loss| confirm(name, loss, arguments.yes))
}

/// Destroys, when what is asked with the directory's name and the loss agrees.
fn destroy(
    arguments: &Destroy,
    confirmed: impl FnOnce(&str, &str) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let path = plain(&arguments.dir);
    let root = open(&path)?;
    let cluster = cluster_of(&root, &path)?;
    let lock = root.lock(names::LOCK).map_err(|error| not_locked(error, &path))?;
    let name = name_of(&path)?;
    confirmed(&name, &format!("destroying {} loses every vDisk in it", path.display()))?;
    let left = remove(&root, cluster).map_err(|error| interrupted(&path, error))?;
    drop(lock);
    let left = if left.is_empty() { remove_root(&path)? } else { left };
    Ok(report(&path, cluster, &left, arguments.json))
}

/// The path without what would make its last part be followed.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

fn open(path: &Path) -> Result<Folder, Failure> {
    Folder::open(path).map_err(|error| match error {
        Errno::NOENT => Failure::new(ExitCode::NotFound, format!("there is no directory {}", path.display())),
        Errno::LOOP | Errno::NOTDIR => Failure::refused(format!(
            "{} is no directory, or a link to one: give the directory itself",
            path.display()
        )),
        error => Failure::system(&format!("opening {}", path.display()), &error.into()),
    })
}

fn cluster_of(root: &Folder, path: &Path) -> Result<ClusterIdentity, Failure> {
    let path = path.display();
    let not_ours = || Failure::refused(format!("{path} is not a cluster's directory: nothing was touched"));
    let bytes = match root.read(names::IDENTITY) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(not_ours()),
        Err(error) => return Err(Failure::system(&format!("reading {path}/identity"), &error.into())),
    };
    match Identity::decode(&bytes) {
        Ok(Identity { cluster, folder: Kind::Root }) => Ok(cluster),
        Ok(_) => Err(Failure::refused(format!(
            "{path} is a part of a cluster, not its directory: give the directory above it"
        ))),
        Err(IdentityError::Foreign) => Err(not_ours()),
        Err(error) => Err(Failure::refused(format!("{path}/identity can't be used: {error}"))),
    }
}

fn not_locked(error: Errno, path: &Path) -> Failure {
    let path = path.display();
    match error {
        Errno::WOULDBLOCK => {
            Failure::new(ExitCode::Busy, format!("a cluster is running on {path}: stop its `ovs up` first"))
        }
        error => Failure::system(&format!("locking {path}"), &error.into()),
    }
}

/// What the directory is called, wherever one stands.
fn name_of(path: &Path) -> Result<String, Failure> {
    let whole = path.canonicalize().map_err(|error| Failure::system("finding the directory", &error))?;
    Ok(whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned())
}

fn interrupted(path: &Path, error: Errno) -> Failure {
    let doing = format!("destroying {}, which is done in part; run it again", path.display());
    Failure::system(&doing, &error.into())
}

/// Removes what is the cluster's. Returns what was left, by name from the root.
fn remove(root: &Folder, cluster: ClusterIdentity) -> Result<Vec<String>, Errno> {
    let mut left = Vec::new();
    for entry in root.entries()? {
        if entry.is_folder {
            left.extend(remove_folder(root, &entry.name, cluster)?);
        } else if !names::is_of_root(&entry.name, entry.is_socket) || !entry.is_plain() {
            left.push(entry.name);
        }
    }
    // The identity goes last: up to then, whoever is interrupted can begin again.
    for name in names::root_files() {
        root.unlink(name)?;
    }
    Ok(left)
}

fn remove_folder(root: &Folder, name: &str, cluster: ClusterIdentity) -> Result<Vec<String>, Errno> {
    let whole = || vec![format!("{name}/")];
    let Some(part) = names::part(name) else { return Ok(whole()) };
    let folder = root.open_child(name)?;
    let mut left = Vec::new();
    match folder.read(names::IDENTITY)?.map(|bytes| Identity::decode(&bytes)) {
        Some(Ok(Identity { cluster: of, folder: kind })) if of == cluster && part.is(kind) => {
            let entries = folder.entries()?;
            let (ours, others): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .filter(|entry| entry.name != names::IDENTITY)
                .partition(|entry| entry.is_plain() && !entry.is_socket && part.is_file(&entry.name));
            ours.iter().try_for_each(|entry| folder.unlink(&entry.name))?;
            folder.unlink(names::IDENTITY)?;
            left.extend(others.into_iter().map(|entry| format!("{name}/{}", entry.name)));
        }
        // An empty folder is what an interrupted removal leaves.
        None => {}
        Some(_) => return Ok(whole()),
    }
    match root.remove_child(name)? {
        Removed::Gone => Ok(Vec::new()),
        Removed::NotEmpty if left.is_empty() => Ok(whole()),
        Removed::NotEmpty => Ok(left),
        Removed::MountPoint => Ok(vec![format!("{name}/ (a mount point)")]),
    }
}

fn remove_root(path: &Path) -> Result<Vec<String>, Failure> {
    let doing = format!("removing {}, which is empty now", path.display());
    let whole = path.canonicalize().map_err(|error| Failure::system(&doing, &error))?;
    match folder::remove(&whole).map_err(|error| Failure::system(&doing, &error.into()))? {
        Removed::Gone => Ok(Vec::new()),
        Removed::NotEmpty => Ok(vec!["what came meanwhile".to_owned()]),
        Removed::MountPoint => Ok(vec![". (a mount point)".to_owned()]),
    }
}

fn report(path: &Path, cluster: ClusterIdentity, left: &[String], json: bool) -> String {
    if json {
        return pretty(&json!({ "done": "destroy", "cluster": cluster.to_string(), "left": left }));
    }
    let mut text = format!("destroyed the cluster in {}", path.display());
    if !left.is_empty() {
        let shown: Vec<&str> = left.iter().take(LEFT_SHOWN).map(String::as_str).collect();
        text.push_str("; left what is not its own: ");
        text.push_str(&shown.join(", "));
    }
    if let Some(hidden) = left.len().checked_sub(LEFT_SHOWN + 1) {
        text.push_str(&format!(" and {} more", hidden + 1));
    }
    text + "\n"
}

#[cfg(test)]
mod tests;

//! Where the folders of a process lie, and what they say that they are.
//!
//! ```text
//! DIR/lock                  held by the process that runs on it
//! DIR/ovs.sock              where verbs talk to it
//! DIR/kv.sock               where clients talk to its KV
//! DIR/audit.log             who asked for what there, of verbs
//! DIR/asd-0 …               one folder per ASD, each with an `identity`
//! DIR/write-buffer          SCOs, TLogs and maps that are not all on the ASDs
//! DIR/kv                    manifests, ownership, settings
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use formats::identity::{Identity, IdentityError};
use glossary::OsdId;
use rustix::fs::{FlockOperation, flock};

use crate::failure::{ExitCode, Failure};

/// The file in a folder that says what it is.
pub(crate) const IDENTITY: &str = "identity";

/// The file that a process holds locked as long as it runs.
pub(crate) const LOCK: &str = "lock";

/// Where the folders of a process lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// All of them below a folder.
    pub(crate) fn new(root: &Path) -> Self {
        Layout { root: root.to_path_buf() }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        api::socket_path(&self.root)
    }

    pub(crate) fn kv_socket(&self) -> PathBuf {
        self.root.join(links::LOCAL_SOCKET)
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.root.join(links::AUDIT_FILE)
    }

    pub(crate) fn asd(&self, osd: OsdId) -> PathBuf {
        self.root.join(format!("asd-{}", osd.0))
    }

    /// The ASDs whose folders are there, in any order.
    pub(crate) fn asds(&self) -> Result<Vec<OsdId>, Failure> {
        let entries = fs::read_dir(&self.root)
            .map_err(|error| Failure::system(&format!("looking at {}", self.root.display()), &error))?;
        let number = |name: &str| name.strip_prefix("asd-")?.parse().ok();
        Ok(entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?)).map(OsdId).collect())
    }

    pub(crate) fn write_buffer(&self) -> PathBuf {
        self.root.join("write-buffer")
    }

    pub(crate) fn kv(&self) -> PathBuf {
        self.root.join("kv")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a folder with what it begins with, durably.
    pub(crate) fn make(&self, folder: &Path, identity: &Identity) -> Result<(), Failure> {
        let make = || {
            fs::create_dir_all(folder)?;
            for (name, bytes) in ::roles::first_files(identity) {
                write_file(&folder.join(name.as_str()), &bytes)?;
            }
            File::open(&self.root)?.sync_all()
        };
        make().map_err(|error| Failure::system(&format!("making {}", folder.display()), &error))
    }
}

/// What a folder says that it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// There is no such folder, or nothing is in it.
    Missing,
    /// Its identity file is missing or doesn't check.
    Damaged(String),
    /// It says so.
    Is(Identity),
}

/// Reads what a folder says that it is. A version newer than this program is refused at once.
pub(crate) fn claim(folder: &Path) -> Result<Claim, Failure> {
    match fs::read(folder.join(IDENTITY)) {
        Ok(bytes) => match Identity::decode(&bytes) {
            Ok(identity) => Ok(Claim::Is(identity)),
            Err(error @ IdentityError::Newer(_)) => {
                Err(Failure::refused(format!("{}/identity: {error}; use a newer ovs", folder.display())))
            }
            Err(error) => Ok(Claim::Damaged(error.to_string())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
            Ok(if empty { Claim::Missing } else { Claim::Damaged("its identity file is missing".into()) })
        }
        Err(error) => Ok(Claim::Damaged(error.to_string())),
    }
}

/// Reads what a folder says that it is, where one that was begun and never finished counts for none.
pub(crate) fn found(folder: &Path) -> Result<Claim, Failure> {
    Ok(match claim(folder)? {
        Claim::Damaged(_) if is_half_made(folder) => Claim::Missing,
        claim => claim,
    })
}

/// Waits while a folder that the KV knows nothing of holds more than it was made with: it would be taken for garbage.
///
/// # Errors
/// [`Failure::not_yet`]: the KV may be restored, or the folder moved away, while the server waits.
pub(crate) fn expect_unused(folder: &Path, identity: &Identity) -> Result<(), Failure> {
    let entries = fs::read_dir(folder)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(|error| Failure::system(&format!("listing {}", folder.display()), &error))?;
    let first = ::roles::first_files(identity);
    let is_first = |entry: &fs::DirEntry| first.iter().any(|(name, _)| entry.file_name() == name.as_str());
    if entries.iter().all(is_first) {
        return Ok(());
    }
    Err(Failure::not_yet(format!(
        "{} holds data, and the KV knows nothing of it: restore a backup of the KV (ovs kv restore --whole); to begin \
         without that data, move the folder away",
        folder.display()
    )))
}

/// Whether a folder without an identity holds only what making it leaves when it is interrupted: files that are empty,
/// or not in their place.
fn is_half_made(folder: &Path) -> bool {
    let is_begun = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let is_fresh = entry.path().extension().is_some_and(|extension| extension == "new");
        let metadata = entry.metadata().ok()?;
        Some(metadata.is_file() && (is_fresh || metadata.len() == 0))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(|entry| is_begun(entry) == Some(true)))
}

/// Locks a folder for this process.
pub(crate) fn lock(root: &Path) -> Result<File, Failure> {
    let path = root.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| Failure::system(&format!("opening {}", path.display()), &error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Failure::new(
            ExitCode::Busy,
            format!("{} is in use: another ovs runs on it; stop that one first", root.display()),
        )
    })?;
    Ok(file)
}

/// Refuses a path that is too long for the socket of verbs.
pub(crate) fn check_socket_path(root: &Path) -> Result<(), Failure> {
    let length = api::socket_path(root).as_os_str().len();
    if length > api::SOCKET_PATH_MAX {
        return Err(Failure::refused(format!(
            "the path {}/ovs.sock has {length} bytes and a socket's has at most {}: use a shorter path, or a \
             relative one",
            root.display(),
            api::SOCKET_PATH_MAX
        )));
    }
    Ok(())
}

/// Writes a file, whole and durable or not at all.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use formats::identity::Folder;
    use glossary::{ClusterIdentity, OsdIdentity};

    use super::*;

    #[test]
    fn a_folder_that_was_begun_holds_nothing_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(is_half_made(path) && !is_half_made(&path.join("none")));
        fs::write(path.join("segment-0"), b"").unwrap();
        fs::write(path.join("identity.new"), b"half").unwrap();
        assert!(is_half_made(path));
        fs::write(path.join("segment-0"), b"data").unwrap();
        assert!(!is_half_made(path));
    }

    /// What an attempt made that another server forestalled is not taken for used.
    #[test]
    fn a_folder_that_was_only_made_is_unused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let path = layout.asd(OsdId(7));
        let asd = Folder::Asd { osd: OsdId(7), identity: OsdIdentity([1; 16]) };
        let identity = Identity { cluster: ClusterIdentity([2; 16]), folder: asd };
        layout.make(&path, &identity).unwrap();
        expect_unused(&path, &identity).unwrap();
        fs::write(path.join("segment-0"), b"data").unwrap();
        let failure = expect_unused(&path, &identity).unwrap_err();
        assert_eq!(failure.code, ExitCode::TimedOut);
        assert!(failure.to_string().contains("asd-7 holds data, and the KV knows nothing of it"));
    }
}

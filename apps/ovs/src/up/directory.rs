//! The directory of a cluster in one process: what belongs in it, and whose it is.
//!
//! ```text
//! DIR/identity              the cluster; written last: a directory without it was never finished
//! DIR/creating              while the first start is under way
//! DIR/lock                  held by the process that runs the cluster
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

use formats::identity::{Folder, Identity, IdentityError};
use glossary::{ClusterIdentity, OsdId};
use rustix::fs::{FlockOperation, flock};

use crate::failure::{ExitCode, Failure};

const IDENTITY: &str = "identity";
const CREATING: &str = "creating";
const LOCK: &str = "lock";

/// The directory of a cluster, locked by this process.
pub(crate) struct Directory {
    root: PathBuf,
    /// What this process had to make for the root to be there: the root, then those above it.
    made: Vec<PathBuf>,
    /// Held as long as the cluster runs.
    _lock: File,
}

/// What was found at the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or what a first start that was interrupted left.
    New,
    /// A cluster.
    Cluster(ClusterIdentity),
}

impl Directory {
    /// Locks the directory of a cluster.
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        Ok(Directory { root: root.to_path_buf(), made: Vec::new(), _lock: lock(root)? })
    }

    /// Makes the directory of a new cluster, and locks it.
    pub(crate) fn create(root: &Path) -> Result<Self, Failure> {
        let above = root.ancestors().filter(|path| !path.as_os_str().is_empty());
        let made = above.take_while(|path| !path.exists()).map(Path::to_path_buf).collect();
        fs::create_dir_all(root)
            .map_err(|error| Failure::system(&format!("creating {}", root.display()), &error))?;
        let directory = Directory { root: root.to_path_buf(), made, _lock: lock(root)? };
        // Another first start may have come and gone since one looked.
        match look(root)? {
            Found::New => Ok(directory),
            Found::Cluster(_) => Err(Failure::new(
                ExitCode::Busy,
                format!("another ovs up has just made a cluster in {}", root.display()),
            )),
        }
    }

    /// Removes what a first start that failed has made.
    pub(crate) fn abandon(self, folders: &[PathBuf]) {
        for folder in folders {
            let _ = fs::remove_dir_all(folder);
        }
        for name in ["identity.new", CREATING, "creating.new", LOCK] {
            let _ = fs::remove_file(self.root.join(name));
        }
        for folder in &self.made {
            // What others put there meanwhile stays.
            let _ = fs::remove_dir(folder);
        }
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

    /// Begins a first start: what an interrupted one left goes, and a marker says that this one is under way.
    pub(crate) fn begin(&self, folders: &[PathBuf]) -> Result<(), Failure> {
        let doing = format!("writing to {}", self.root.display());
        let begin = || {
            for folder in folders.iter().filter(|folder| folder.exists()) {
                fs::remove_dir_all(folder)?;
            }
            write_file(&self.root.join(CREATING), b"the first start of a cluster is under way\n")
        };
        begin().map_err(|error| Failure::system(&doing, &error))
    }

    /// The first start is done: from now on this is the cluster's directory.
    pub(crate) fn finish(&self, cluster: ClusterIdentity) -> Result<(), Failure> {
        let identity = Identity { cluster, folder: Folder::Root };
        let finish = || {
            write_file(&self.root.join(IDENTITY), &identity.encode())?;
            fs::remove_file(self.root.join(CREATING))
        };
        finish().map_err(|error| Failure::system(&format!("writing to {}", self.root.display()), &error))
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

/// Looks at the path and touches nothing.
pub(crate) fn look(root: &Path) -> Result<Found, Failure> {
    check_socket_path(root)?;
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::New),
        Err(error) => return Err(Failure::system(&format!("looking at {}", root.display()), &error)),
    };
    match claim(root)? {
        Claim::Is(Identity { cluster, folder: Folder::Root }) => Ok(Found::Cluster(cluster)),
        Claim::Is(_) => Err(Failure::refused(format!(
            "{} is a part of a cluster, not its directory: give the directory above it",
            root.display()
        ))),
        Claim::Missing => Ok(Found::New),
        Claim::Damaged(why) => {
            let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
            let foreign = names.into_iter().find(|name| name != LOCK && !root.join(CREATING).exists());
            match foreign {
                None => Ok(Found::New),
                Some(_) if root.join(IDENTITY).exists() => {
                    Err(Failure::refused(format!("{}/identity can't be used: {why}", root.display())))
                }
                Some(name) => Err(Failure::refused(format!(
                    "{} is not empty and not a cluster's (there is {:?}): give another directory",
                    root.display(),
                    name
                ))),
            }
        }
    }
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

fn check_socket_path(root: &Path) -> Result<(), Failure> {
    let length = api::socket_path(root).as_os_str().len();
    if length > api::SOCKET_PATH_MAX {
        return Err(Failure::refused(format!(
            "the path {}/ovs.sock has {length} bytes and a socket's has at most {}: use a shorter --dir, or a \
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

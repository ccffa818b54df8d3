//! The directory of a cluster in one process: what belongs in it, and whose it is.
//!
//! ```text
//! DIR/identity              the cluster; written last: a directory without it was never finished
//! DIR/creating              while the first start is under way
//! ```
//!
//! Its other folders are those of any process that stores ([`Layout`]).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use formats::identity::{Folder, Identity};
use glossary::ClusterIdentity;

use crate::failure::{ExitCode, Failure};
use crate::storage::layout::{Claim, IDENTITY, LOCK, Layout, check_socket_path, claim, lock, write_file};

const CREATING: &str = "creating";

/// The directory of a cluster, locked by this process.
pub(crate) struct Directory {
    layout: Layout,
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
        Ok(Directory { layout: Layout::new(root), made: Vec::new(), _lock: lock(root)? })
    }

    /// Makes the directory of a new cluster, and locks it.
    pub(crate) fn create(root: &Path) -> Result<Self, Failure> {
        let above = root.ancestors().filter(|path| !path.as_os_str().is_empty());
        let made = above.take_while(|path| !path.exists()).map(Path::to_path_buf).collect();
        fs::create_dir_all(root)
            .map_err(|error| Failure::system(&format!("creating {}", root.display()), &error))?;
        let directory = Directory { layout: Layout::new(root), made, _lock: lock(root)? };
        // Another first start may have come and gone since one looked.
        match look(root)? {
            Found::New => Ok(directory),
            Found::Cluster(_) => Err(Failure::new(
                ExitCode::Busy,
                format!("another ovs up has just made a cluster in {}", root.display()),
            )),
        }
    }

    /// Where its folders lie.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Removes what a first start that failed has made.
    pub(crate) fn abandon(self, folders: &[PathBuf]) {
        for folder in folders {
            let _ = fs::remove_dir_all(folder);
        }
        for name in ["identity.new", CREATING, "creating.new", LOCK] {
            let _ = fs::remove_file(self.layout.root().join(name));
        }
        for folder in &self.made {
            // What others put there meanwhile stays.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Begins a first start: what an interrupted one left goes, and a marker says that this one is under way.
    pub(crate) fn begin(&self, folders: &[PathBuf]) -> Result<(), Failure> {
        let doing = format!("writing to {}", self.layout.root().display());
        let begin = || {
            for folder in folders.iter().filter(|folder| folder.exists()) {
                fs::remove_dir_all(folder)?;
            }
            write_file(&self.layout.root().join(CREATING), b"the first start of a cluster is under way\n")
        };
        begin().map_err(|error| Failure::system(&doing, &error))
    }

    /// The first start is done: from now on this is the cluster's directory.
    pub(crate) fn finish(&self, cluster: ClusterIdentity) -> Result<(), Failure> {
        let identity = Identity { cluster, folder: Folder::Root };
        let finish = || {
            write_file(&self.layout.root().join(IDENTITY), &identity.encode())?;
            fs::remove_file(self.layout.root().join(CREATING))
        };
        finish()
            .map_err(|error| Failure::system(&format!("writing to {}", self.layout.root().display()), &error))
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

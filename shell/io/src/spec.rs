//! Who is to be started, and why it can fail.

use std::io;
use std::path::PathBuf;

use glossary::NodeId;

use crate::disk::open_folder;
use crate::gateway::Gateway;
use crate::settings::Settings;
use crate::shard::{Failure, NewFolder, NewTenant, Starting};
use crate::tap::Tap;

/// A node to be started.
pub struct NodeSpec<N> {
    /// Its id, below 0xf000_0000.
    pub id: NodeId,
    /// Its name, for logs.
    pub name: String,
    /// The shard that it lives on, from 0. It stays there in all its lives.
    pub shard: usize,
    /// The folder of its files, which exists. `None`: it has no disk.
    pub folder: Option<PathBuf>,
    /// Whether large writes to its files go past the page cache, where the file system lets them: a copy less, and
    /// no memory for what is not read again soon.
    pub past_page_cache: bool,
    /// The machine in its first state; `Start` is its first event.
    pub machine: N,
    /// Who watches it.
    pub tap: Option<Box<dyn Tap>>,
}

/// A gateway to be started.
pub struct GatewaySpec {
    /// Its id, below 0xf000_0000.
    pub id: NodeId,
    /// Its name, for logs.
    pub name: String,
    /// The shard that it lives on, from 0: best that of the roles it talks to.
    pub shard: usize,
    /// The gateway.
    pub gateway: Box<dyn Gateway>,
}

/// Why something could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder can't be opened.
    #[error("the folder {} of {name} can't be opened", path.display())]
    Folder {
        /// Whose.
        name: String,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The gateway could not start.
    #[error("{name} can't start")]
    Gateway {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system refuses what every shard needs.
    #[error("the operating system refuses {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It runs already.
    #[error("node {0} runs already")]
    Running(NodeId),
    /// Its last life has operations in flight on its disk.
    #[error("node {0} still waits for its disk")]
    Stopping(NodeId),
    /// The runtime has ended.
    #[error("the runtime has ended")]
    Ended,
}

impl StartError {
    pub(crate) fn from_failure(node: NodeId, name: String, failure: Failure) -> Self {
        match failure {
            Failure::Running => StartError::Running(node),
            Failure::Stopping => StartError::Stopping(node),
            Failure::Gateway(source) => StartError::Gateway { name, source },
        }
    }

    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
        move |source| StartError::System { what, source }
    }
}

impl<N> NodeSpec<N> {
    /// Opens the folder, here and not on the shard, so that whoever starts the node hears of it.
    pub(crate) fn prepare(self, settings: &Settings) -> Result<Starting<N>, StartError> {
        let NodeSpec { id, name, folder, past_page_cache, machine, tap, shard: _ } = self;
        let open = |path: PathBuf| match open_folder(&path) {
            Ok(descriptor) => {
                let (open_files, threads) = (settings.open_files, settings.disk_threads);
                Ok(NewFolder { descriptor, open_files, threads, past_page_cache })
            }
            Err(source) => Err(StartError::Folder { name: name.clone(), path, source: source.into() }),
        };
        let folder = folder.map(open).transpose()?;
        Ok(Starting { node: id, name, tenant: NewTenant::Node { machine, folder, tap } })
    }
}

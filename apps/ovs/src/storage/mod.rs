//! What every process that stores is made of: one cluster in one process (`ovs up`), or one server of a cluster (`ovs
//! serve`). They differ in where the KV is and in which settings count; the nodes and their order are these.

pub(crate) mod ask;
pub(crate) mod asker;
mod banner;
pub(crate) mod casting;
pub(crate) mod control;
pub(crate) mod folders;
pub(crate) mod guests;
pub(crate) mod layout;
pub(crate) mod limits;
pub(crate) mod members;
pub(crate) mod namespaces;
pub(crate) mod nodes;
pub(crate) mod ports;
pub(crate) mod recorder;
pub(crate) mod registry;
pub(crate) mod settings;
pub(crate) mod signals;
pub(crate) mod versions;

use step::Entropy;

use crate::failure::{ExitCode, Failure};

/// Why a node or gateway could not be started, as whoever asked for it is told.
pub(crate) fn failed_start(error: &io::StartError) -> Failure {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(ExitCode::System, format!("{error}{cause}"))
}

/// Randomness of the operating system, for identities that must never be used twice.
pub(crate) fn entropy() -> Result<Entropy, Failure> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::system("drawing random numbers", &error.into()))?;
    Ok(Entropy::new(seed))
}

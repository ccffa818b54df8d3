//! What the operating system must grant.

use std::path::Path;

use glossary::ByteCount;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::settings::free_space;
use crate::failure::{ExitCode, Failure};

/// Descriptors for connections, sockets and the KV.
const BASE: u64 = 512;

/// Descriptors for each disk: segments, checkpoints.
const PER_DISK: u64 = 64;

/// Takes as many file descriptors as the system gives, and refuses to start with too few.
pub(crate) fn raise_descriptors(disks: usize) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum;
    if limit.current != hard {
        // Not granted is found out below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = BASE + PER_DISK * disks as u64;
    if granted < needed {
        return Err(Failure::new(
            ExitCode::System,
            format!(
                "{granted} file descriptors are too few for {disks} disks: allow {needed} (ulimit -n {needed})"
            ),
        ));
    }
    Ok(())
}

/// Bytes that must be free for a start: new logs and their first entries.
const ROOM_MIN: u64 = 16 << 20;

/// Refuses a file system without room for a start. A cluster that runs into it later waits for room.
pub(crate) fn check_room(path: &Path) -> Result<(), Failure> {
    let free = free_space(path)?;
    if free >= ROOM_MIN {
        return Ok(());
    }
    let (free, least) = (ByteCount(free), ByteCount(ROOM_MIN));
    Err(Failure::new(
        ExitCode::System,
        format!("the disk of {} is full, with {free} free: a start needs {least}; free some", path.display()),
    ))
}

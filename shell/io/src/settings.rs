//! What an operator can choose about the executor. Settings are data: they arrive as a whole value.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How the executor runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Event loops, one operating system thread each.
    pub shards: usize,
    /// How disks are reached.
    pub io: IoChoice,
    /// How long a loop looks for more before it sleeps.
    pub spin: Spin,
    /// Whether every message between roles is encoded, sent through a socket and decoded, as it would be
    /// between processes.
    pub frames: bool,
    /// Threads that compute, for all shards together.
    pub compute_threads: usize,
    /// Threads that wait for the disk of one folder, at most. They come when they are needed. Each folder has
    /// its own, so that a disk that hangs holds up nobody else.
    pub disk_threads: usize,
    /// Files that stay open for one folder. Files with writes that no sync followed stay open beyond it.
    pub open_files: usize,
    /// Whether a node that halts is logged at once. If not, from [`crate::Runtime::log_halts`] on: who starts the
    /// first nodes may have the reason as its own error.
    pub log_halts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            shards: 1,
            io: IoChoice::Auto,
            spin: Spin::Auto,
            frames: false,
            compute_threads: cores(),
            disk_threads: 8,
            open_files: 256,
            log_halts: true,
        }
    }
}

/// How disks are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// By io_uring where the kernel lets us, else by threads.
    #[default]
    Auto,
    /// By threads that block in `pread`, `pwritev` and `fdatasync`.
    Portable,
    /// By io_uring, or not at all.
    Uring,
}

impl std::str::FromStr for IoChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(IoChoice::Auto),
            "portable" => Ok(IoChoice::Portable),
            "uring" => Ok(IoChoice::Uring),
            other => Err(format!("there is no io {other:?}: it is auto, portable or uring")),
        }
    }
}

/// How long a loop looks for more after the last event before it sleeps. Spinning wins latency while the load
/// is light and steady, and costs up to a core; it ends where it doesn't pay, and an idle loop sleeps whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// A short time when there are more cores than shards, else none: the guest needs the core more.
    #[default]
    Auto,
    /// So long; zero is never.
    For(Duration),
}

impl Spin {
    /// The time, for so many shards.
    pub(crate) fn duration(self, shards: usize) -> Duration {
        match self {
            Spin::Auto if shards < cores() => Duration::from_micros(30),
            Spin::Auto => Duration::ZERO,
            Spin::For(duration) => duration,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

//! How a log is found again after crashes (PROTOCOLS L3, L4, F10), for all logs at once: TLog, ASD segments, the
//! KV's log.
//!
//! # The world
//! Three places for files, of a header page and three record pages each, and two places for checkpoints. At the
//! start one place holds a live log without records, one holds an older log whose bytes were never wiped, one is
//! blank. At most four records are written, with any flushes between; the log may move on to a new file once and
//! write one checkpoint, which frees the files that it covers. Twice the process dies, or power is cut: then any
//! subset of what was not synced persists, page headers and bodies apart. After a crash a client may send again
//! what was lost, or something else. And one fault in all: a page rots, a write lands on another page, or a sync
//! fails.
//!
//! # The promises
//! - What a FLUSH acknowledged is there after every crash, or the log halts, saying so.
//! - What a write acknowledged is there after the process died.
//! - What is found is a beginning of what was written, counted from what was found the last time: nothing that
//!   was cut away or belonged to an older log comes alive.
//! - Without a fault of the disk the log never halts.
//! - A read by location yields what was written there, or an error.
//!
//! One loss is excused: a fault in a page that no surviving mark covers looks exactly like the end of the log. That
//! is why a mark is worth writing soon after a sync even when nothing else follows.

mod bytes;
mod disk;
mod model;
mod recovery;
mod rules;
mod run;
#[cfg(test)]
mod shadow;
mod state;
mod verdict;

pub use disk::{Fates, Location};
pub use model::{Action, LogRecovery, Rot};
pub use rules::{Rule, Rules};
pub use run::{Report, Search, check};
pub use state::State;
pub use verdict::Verdict;

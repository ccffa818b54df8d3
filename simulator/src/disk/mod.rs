//! Simulated disks: a folder for each node, with `step::DiskOperation`'s semantics, crashes and faults.
//!
//! What may hit whom, so that every promise still holds:
//!
//! | fault | Edge, objects | volume driver | KV | ASD |
//! |---|---|---|---|---|
//! | process crash, pause | any | any | any | any |
//! | power loss | as a crash | any | any | any, all at once too |
//! | slow | - | any | any | any |
//! | reads fail for a while | - | any | any | any |
//! | full for a while | - | any | any | any |
//! | a write fails | - | any; the process is started again | same | same |
//! | a sync fails | - | any; the *machine* is started again | same | same |
//! | bit rot, lost write, misdirected write | - | after everything else, see below | same | damageable ASDs |
//!
//! A commit to a table fails as a write does, or as a sync does; then all of it is done, or nothing. In flight at a
//! crash it is the same. Bit rot flips a bit of a pair, takes a pair, or makes the whole table unreadable.
//!
//! *A sync fails* (L4): the kernel takes what it covered for clean, later syncs succeed without writing it,
//! readers see it until it leaves the kernel's memory. A process that starts again would be lied to, so the
//! operator restarts the machine: every later crash of the node is a power loss, until that has happened.
//!
//! *Damageable ASDs* are drawn at a run's start, at most `Layout::damaged_asds_max` of them: as many as every
//! stored object can do without. Nothing repairs them in a run, so the number counts over the whole run.
//!
//! *After everything else*, when the last audit has passed, some runs rot the volume driver's disk or the KV's.
//! No redundancy makes up for that, so the promise is less then: an error or a halt, never a wrong byte, and
//! never a state that a flush had left behind.

mod faults;
mod file;
mod folder;
mod table;

pub use faults::Faults;
pub use file::{File, SECTOR_BYTES};
pub use folder::{Crash, Folder};
pub use table::TableFile;

//! The client's side of verbs: each asks the running cluster, and comes to what goes to standard output.

mod ask;
pub(crate) mod cluster;
mod confirm;
pub(crate) mod destroy;
pub(crate) mod member;
pub(crate) mod osd;
mod progress;
pub(crate) mod status;
mod table;
pub(crate) mod vdisk;

pub(crate) use ask::failure_json;

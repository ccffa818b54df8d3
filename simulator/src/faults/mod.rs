//! What goes wrong, and when.

mod fault;
mod plan;

pub use fault::{DiskFault, Fault};
pub use plan::{CRASHES_MIN, KINDS_MIN, Plan};

//! The command line.

mod sizes;
mod up;

pub(crate) use up::{DEFAULT_NBD, Up};

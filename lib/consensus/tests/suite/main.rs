//! The tests of the replicated log.

mod hostile;
mod pair;
mod seeds;
mod teeth;
mod transcripts;
mod world;

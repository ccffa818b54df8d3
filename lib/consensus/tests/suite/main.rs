//! The tests of the replicated log.

mod hostile;
mod seeds;
mod teeth;
mod transcripts;
mod world;

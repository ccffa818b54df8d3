//! Tests of the Edge: transcripts, effect by effect, and sessions against a volume driver in memory.

mod driver;
mod transcript;
mod transcripts;
mod world;

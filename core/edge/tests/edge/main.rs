//! Tests of the Edge: transcripts, effect by effect, and sessions against a volume driver in memory.

mod changes;
mod driver;
mod requests;
mod sessions;
mod transcript;
mod world;

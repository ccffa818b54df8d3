//! The KV from outside: transcripts of exact effects, and runs with crashes against a model.

mod alike;
mod changes;
mod crashes;
mod groups;
mod healing;
mod hung;
mod levels;
mod members;
mod naming;
mod sessions;
mod support;
mod transcripts;
mod version_1;
mod version_2;
mod versions;
mod waiting;
mod wanted;
